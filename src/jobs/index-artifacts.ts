import { parseManifest } from "../oci/manifest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { INDEX_ARTIFACTS, formatKeys, waitingKeys } from "../registry/artifact-index.ts";
import { type Indexed, indexOnce } from "../registry/index-once.ts";
import type { Services } from "../registry/ports.ts";
import { keys } from "../storage/keys.ts";
import type { Entry } from "../storage/metadata-store.ts";
import { manifestRecord } from "../storage/records.ts";

type Needs = Pick<Services, "metadata">;

/** Artifacts whose manifests are parsed for one change. */
const PAGE = 128;

/** Writes the rows by which artifacts of earlier versions are found by their age and formats. False when a signal ended it. */
export async function indexArtifacts(needs: Needs, signal?: AbortSignal): Promise<boolean> {
  const index = {
    progress: keys.job(INDEX_ARTIFACTS),
    family: keys.manifests(),
    page: PAGE,
    rowsFor: (entry: Entry) => rowsFor(needs, entry),
  };
  return indexOnce(needs, index, signal);
}

async function rowsFor({ metadata }: Needs, { key, value, version }: Entry): Promise<Indexed | undefined> {
  const record = manifestRecord.parse(value);
  if (record.statement || record.state === "deleted") return undefined;
  const repository = repositoryNameSchema.parse(key[1]);
  const content = await metadata.get(keys.manifestContent(repository, record.digest));
  const manifest = content?.value instanceof Uint8Array ? parseManifest(content.value, record.mediaType) : undefined;
  const rows = [...waitingKeys(repository, record), ...(manifest === undefined ? [] : formatKeys({ repository, record, manifest }))];
  return rows.length === 0 ? undefined : { expect: [{ key, version }], put: rows.map((row) => ({ key: row, value: {} })) };
}
