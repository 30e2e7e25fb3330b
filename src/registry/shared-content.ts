import { type Digest, digestSchema } from "../oci/digest.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Manifest } from "../oci/manifest.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import type { PromotionFacts } from "../policy/promotion.ts";
import { LAST, keys, under } from "../storage/keys.ts";
import type { Key, Put } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { inPortions } from "./in-portions.ts";
import type { Services } from "./ports.ts";
import { findManifest } from "./serving.ts";

type Needs = Pick<Services, "metadata">;

/** RULES 13: smaller layers say nothing when they are shared. */
const LARGE_LAYER = 64 * 1024;
/** Layers that are looked up before others have their turn in this process. */
const LAYERS_AT_A_TIME = 64;

/**
 * The rows that tell of the layers of a revoked artifact, for as long as its revocation is not lifted, deleted or not (RULES 12). A permanent
 * or wide one is looked up from any repository, so that neither many holders of a layer nor many ordinary revocations can hide it.
 */
export function revokedContentRows(
  repository: RepositoryName,
  { digest, revocation }: ManifestRecord,
  manifest: Manifest,
): { readonly put: readonly Put[]; readonly remove: readonly Key[] } {
  const blobs = [...new Set(manifest.blobReferences.map((reference) => reference.digest))];
  const ordinary = blobs.map((blob) => keys.revokedContent(repository, blob, digest));
  const severe = blobs.map((blob) => keys.barredContent(blob, digest, repository));
  const isSevere = revocation !== null && (revocation.permanent || revocation.everywhere);
  const put = [...(revocation === null ? [] : ordinary), ...(isSevere ? severe : [])];
  return { put: put.map((key) => ({ key, value: {} })), remove: [...ordinary, ...severe] };
}

/** Large layers that a revoked manifest names too: of this repository, or by a permanent or wide revocation of another (RULES 13). */
export async function sharesRevoked(
  needs: Needs,
  repository: RepositoryName,
  { root, layers }: { readonly root: Digest; readonly layers: readonly Descriptor[] },
): Promise<PromotionFacts["sharesRevoked"]> {
  const shared: PromotionFacts["sharesRevoked"][number][] = [];
  for await (const { digest, size } of inPortions(layers, LAYERS_AT_A_TIME)) {
    if (size <= LARGE_LAYER) continue;
    const names = await namesOf(needs, digest);
    const severe = await firstOf(names, (blob) => barring(needs, blob, root));
    const ordinary = await firstOf(names, (blob) => revokedWith(needs, repository, { blob, root }));
    const revoked = severe ?? ordinary;
    if (revoked === undefined) continue;
    const reason = (await findManifest(needs, revoked.repository, revoked.manifest))?.record.revocation?.reason ?? "no reason recorded";
    shared.push({ digest, problem: `belongs to a revoked artifact as well: ${reason}`, severe: severe !== undefined });
  }
  return shared;
}

/**
 * A blob by all of its known names. The rows hold the names that manifests gave, so that it does not matter whether the other name
 * became known before a revocation or after it, nor whether the bytes are still there.
 */
async function namesOf({ metadata }: Needs, blob: Digest): Promise<readonly Digest[]> {
  const other = await metadata.get(keys.blobName(blob));
  return other === undefined ? [blob] : [blob, digestSchema.parse(other.value)];
}

async function firstOf(names: readonly Digest[], find: (name: Digest) => Promise<Revoked | undefined>): Promise<Revoked | undefined> {
  for (const name of names) {
    const found = await find(name);
    if (found !== undefined) return found;
  }
  return undefined;
}

interface Revoked {
  readonly repository: RepositoryName;
  readonly manifest: Digest;
}

/** An artifact other than the root, of whatever repository, that names a blob and is revoked permanently or everywhere. */
async function barring({ metadata }: Needs, blob: Digest, root: Digest): Promise<Revoked | undefined> {
  const family = keys.barredContents(blob);
  const [first] = await metadata.list(under(family, 1));
  const [other] = first?.key[2] === root ? await metadata.list(under(family, 1, [root, LAST])) : [first];
  return other && { manifest: digestSchema.parse(other.key[2]), repository: repositoryNameSchema.parse(other.key[3]) };
}

async function revokedWith(
  { metadata }: Needs,
  repository: RepositoryName,
  { blob, root }: { readonly blob: Digest; readonly root: Digest },
): Promise<Revoked | undefined> {
  const rows = await metadata.list(under(keys.revokedContents(repository, blob), 2));
  const other = rows.map(({ key }) => digestSchema.parse(key[3])).find((manifest) => manifest !== root);
  return other && { manifest: other, repository };
}
