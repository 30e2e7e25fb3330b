import { type Digest, digestSchema } from "../oci/digest.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { type Content, keys, under } from "../storage/keys.ts";
import { type DamageRecord, blobRecord, damageRecord } from "../storage/records.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";
import { findManifest } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** How far damaged blobs, and artifacts that reach one, are counted: that there are any is what matters. */
const MAX_COUNT = 1000;
/** RULES 2: no artifact is deeper. */
const MAX_DEPTH = 8;
const PAGE = 256;

export interface Counted {
  readonly count: number;
  /** False when there are at least as many as are counted. */
  readonly complete: boolean;
}

/** What was found of a blob that is damaged now. */
export async function damageOf({ metadata }: Needs, digest: Digest): Promise<DamageRecord | undefined> {
  const found = await metadata.get(keys.blobDamage(digest));
  if (found === undefined) return undefined;
  const blob = await metadata.get(keys.blob(digest));
  // A push of the right bytes may leave the row; the blob's record is what counts.
  return blob !== undefined && blobRecord.parse(blob.value).damaged ? damageRecord.parse(found.value) : undefined;
}

/** How many blobs are damaged now, up to a thousand. */
export async function countDamaged(needs: Needs): Promise<Counted> {
  let count = 0;
  for await (const _ of damagedBlobs(needs)) {
    count += 1;
    if (count === MAX_COUNT) return { count, complete: false };
  }
  return { count, complete: true };
}

async function* damagedBlobs(needs: Needs): AsyncGenerator<Digest> {
  for await (const { key } of rowsOf(needs, [under(keys.blobDamages(), PAGE)])) {
    const digest = digestSchema.parse(key[1]);
    if ((await damageOf(needs, digest)) !== undefined) yield digest;
  }
}

/** Forgets what was found of blobs that were healed by a push, or are gone, since. */
export async function forgetHealed({ metadata }: Needs): Promise<void> {
  for await (const row of rowsOf({ metadata }, [under(keys.blobDamages(), PAGE)])) {
    const digest = digestSchema.parse(row.key[1]);
    if ((await damageOf({ metadata }, digest)) !== undefined) continue;
    // A blob that is damaged again by then has put its row.
    await metadata.commit({ expect: [{ key: row.key, version: row.version }], put: [], remove: [row.key], audit: [] });
  }
}

/** How many artifacts reach a damaged blob, themselves or by a manifest that they hold; up to a thousand. */
export async function countAffected(needs: Needs): Promise<number> {
  const affected = new Set<string>();
  for await (const digest of damagedBlobs(needs)) {
    for await (const { key } of rowsOf(needs, [under(keys.blobRepositories(digest), PAGE)])) {
      await addAffected(needs, repositoryNameSchema.parse(key[2]), digest, affected);
      if (affected.size >= MAX_COUNT) return MAX_COUNT;
    }
  }
  return affected.size;
}

/** From what names the blob upwards, revoked artifacts too. */
async function addAffected(needs: Needs, repository: RepositoryName, blob: Digest, affected: Set<string>): Promise<void> {
  let level: readonly Content[] = [{ kind: "blob", digest: blob }];
  for (let depth = 0; level.length > 0 && depth <= MAX_DEPTH; depth += 1) {
    const families = level.flatMap((content) => [keys.edges(repository, content), keys.deadEdges(repository, content)]);
    const parents = new Set<Digest>();
    for await (const { key } of rowsOf(
      needs,
      families.map((family) => under(family, PAGE)),
    )) {
      if (affected.size + parents.size >= MAX_COUNT) break;
      const parent = digestSchema.parse(key[4]);
      if (!affected.has(`${repository}@${parent}`)) parents.add(parent);
    }
    const artifacts = await withoutStatements(needs, repository, parents);
    for (const artifact of artifacts) affected.add(`${repository}@${artifact}`);
    level = artifacts.map((digest) => ({ kind: "manifest", digest }));
  }
}

/** The registry's own statements are no artifacts. */
async function withoutStatements(needs: Needs, repository: RepositoryName, manifests: Iterable<Digest>): Promise<readonly Digest[]> {
  const artifacts: Digest[] = [];
  for (const manifest of manifests) {
    const found = await findManifest(needs, repository, manifest);
    if (found !== undefined && !found.record.statement) artifacts.push(manifest);
  }
  return artifacts;
}

/** A damaged blob, and artifacts that reach it. */
export interface Damaged {
  readonly blob: Digest;
  /** `<repository>@<digest>`. */
  readonly artifacts: readonly string[];
}

/** The first damaged blobs with the first of the artifacts that reach them, at most `limit` of each. */
export async function firstDamaged(needs: Needs, limit: number): Promise<readonly Damaged[]> {
  const found: Damaged[] = [];
  for await (const blob of damagedBlobs(needs)) {
    const affected = new Set<string>();
    for (const { key } of await needs.metadata.list(under(keys.blobRepositories(blob), limit)))
      await addAffected(needs, repositoryNameSchema.parse(key[2]), blob, affected);
    found.push({ blob, artifacts: [...affected].slice(0, limit) });
    if (found.length === limit) break;
  }
  return found;
}
