import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry } from "../storage/metadata-store.ts";
import { type ModelDetails, modelFileRemovalRecord } from "../storage/records.ts";
import type { Rows } from "./change-state.ts";
import { fileHolder } from "./file-holder.ts";
import type { Services } from "./ports.ts";

/**
 * An artifact is deleted with the file that it was acquired from, as the predecessor has it. The deletion's change says that the file has to
 * go; it goes once that is committed, by whoever deleted or, after a crash, by the job. Whoever acquires the file anew takes the row away.
 */
type Removing = Pick<Services, "metadata" | "files" | "log">;

const PAGE = 100;
const NOTHING: Rows = { expect: [], put: [], remove: [] };

/** The row that orders it, unless another live artifact holds the file; what is in the place of the file by now stays in any case. */
export async function fileRemovalRows(
  { metadata }: Pick<Services, "metadata">,
  deleted: { readonly repository: RepositoryName; readonly digest: Digest },
  { path, file: identity }: ModelDetails,
): Promise<Rows> {
  const row = await metadata.get(keys.modelFile(path));
  if (identity === null || row === undefined) return NOTHING;
  const holder = await fileHolder({ metadata }, row, path);
  const isOthers = holder !== undefined && (holder.repository !== deleted.repository || holder.record.digest !== deleted.digest);
  const expect = [{ key: row.key, version: row.version }];
  return isOthers
    ? { ...NOTHING, expect }
    : { expect, put: [{ key: keys.modelFileRemoval(path), value: { v: 1, path, identity } }], remove: [] };
}

/** Removes a file that has to go. One that cannot be removed is none of the registry's any more. */
export async function removeFile(services: Removing, path: string): Promise<void> {
  const row = await services.metadata.get(keys.modelFileRemoval(path));
  if (row !== undefined) await remove(services, row);
}

/** The same with all that a crash has left. */
export async function finishFileRemovals(services: Removing): Promise<void> {
  for (;;) {
    const rows = await services.metadata.list(under(keys.modelFileRemovals(), PAGE));
    for (const row of rows) await remove(services, row);
    if (rows.length < PAGE) return;
  }
}

async function remove({ metadata, files, log }: Removing, { key, value, version }: Entry): Promise<void> {
  const { path, identity } = modelFileRemovalRecord.parse(value);
  await files.removeIfSame(path, identity).catch((error: unknown) => {
    log.warn({ err: error }, "the file of a deleted artifact could not be removed");
  });
  // The row is operational: it goes without an audit event.
  await metadata.commit({ expect: [{ key, version }], put: [], remove: [key], audit: [] });
}
