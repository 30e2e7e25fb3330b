import { parseManifest } from "../oci/manifest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { INDEX_ARTIFACTS, formatKeys, waitingKeys } from "../registry/artifact-index.ts";
import type { Services } from "../registry/ports.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry, Expectation, Key } from "../storage/metadata-store.ts";
import { type ArtifactIndexRecord, artifactIndexRecord, manifestRecord } from "../storage/records.ts";

type Needs = Pick<Services, "metadata">;

const KEY = keys.job(INDEX_ARTIFACTS);
/** Artifacts of one look-up, and of one change. */
const PAGE = 128;

/**
 * Writes the rows by which artifacts of earlier versions are found by their age and formats, once in the life of a store: later ones come with
 * them. It can end anywhere and goes on where it was. False when a signal ended it.
 */
export async function indexArtifacts(needs: Needs, signal?: AbortSignal): Promise<boolean> {
  const entry = await needs.metadata.get(KEY);
  const before = entry && artifactIndexRecord.parse(entry.value);
  if (before?.status === "done") return true;
  for (let after = before?.after ?? null; ;) {
    if (signal?.aborted === true) return false;
    const next = await indexPage(needs, after);
    if (next === undefined) break;
    after = next;
  }
  await needs.metadata.commit({ expect: [], put: [{ key: KEY, value: { v: 1, status: "done", after: null } }], remove: [], audit: [] });
  return true;
}

type Place = ArtifactIndexRecord["after"];

/** How far it is after the next artifacts: no further where one of them changed meanwhile, so that they are looked at again. */
async function indexPage(needs: Needs, after: Place): Promise<Place | undefined> {
  const page = await needs.metadata.list(under(keys.manifests(), PAGE, after ?? []));
  const last = page.at(-1);
  if (last === undefined) return undefined;
  const next: Place = [String(last.key[1]), String(last.key[2])];
  return (await written(needs, page, { v: 1, status: "under-way", after: next })) ? next : after;
}

async function written(needs: Needs, page: readonly Entry[], progress: ArtifactIndexRecord): Promise<boolean> {
  const expect: Expectation[] = [];
  const found: Key[] = [];
  for (const entry of page) {
    const rows = await rowsFor(needs, entry);
    if (rows.length === 0) continue;
    expect.push({ key: entry.key, version: entry.version });
    found.push(...rows);
  }
  const put = [...found.map((key) => ({ key, value: {} })), { key: KEY, value: progress }];
  return (await needs.metadata.commit({ expect, put, remove: [], audit: [] })) === "committed";
}

async function rowsFor({ metadata }: Needs, { key, value }: Entry): Promise<readonly Key[]> {
  const record = manifestRecord.parse(value);
  if (record.statement || record.state === "deleted") return [];
  const repository = repositoryNameSchema.parse(key[1]);
  const content = await metadata.get(keys.manifestContent(repository, record.digest));
  const manifest = content?.value instanceof Uint8Array ? parseManifest(content.value, record.mediaType) : undefined;
  return [...waitingKeys(repository, record), ...(manifest === undefined ? [] : formatKeys({ repository, record, manifest }))];
}
