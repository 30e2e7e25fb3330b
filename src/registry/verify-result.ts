import { parseJson } from "../oci/json.ts";
import { RegistryError } from "../oci/errors.ts";
import { keys } from "../storage/keys.ts";
import { type VerificationResult, verificationRecord } from "../storage/records.ts";
import { readResultFile, writeResultFile } from "../storage/result-file.ts";
import type { Services } from "./ports.ts";

/** What the result's file needs. */
export interface ResultServices extends Pick<Services, "metadata" | "log"> {
  /** INTEGRITY_RESULT_PATH. */
  readonly integrityResultPath: string;
}

/** The bounds of the file: who else writes it is not ours to know. */
const MAX_BYTES = 1024 * 1024;
const MAX_DEPTH = 64;

/**
 * The result of the last integrity check as its file has it, whoever wrote that: any one JSON value. Throws `UNAVAILABLE` for a file that
 * cannot be read or understood, and for what is no regular file.
 */
export async function readIntegrityResult({ integrityResultPath, log }: Omit<ResultServices, "metadata">): Promise<unknown> {
  try {
    const bytes = await readResultFile(integrityResultPath, MAX_BYTES);
    if (bytes !== undefined) return parseJson(bytes, { maxDepth: MAX_DEPTH });
  } catch (error) {
    log.warn({ err: error }, "INTEGRITY_RESULT_PATH: the file cannot be used");
    throw new RegistryError("UNAVAILABLE", "integrity result unavailable", { cause: error });
  }
  return { detail: "no integrity check has run yet", status: "unknown" };
}

/**
 * Writes the file of the last result unless that was done; a worker may have crashed in between. What cannot be written is logged and given
 * up: the result is in its row as well.
 */
export async function publishResult(services: ResultServices): Promise<void> {
  let written: string | undefined;
  for (;;) {
    const entry = await services.metadata.get(keys.job("verify-all"));
    if (entry === undefined) return;
    const record = verificationRecord.parse(entry.value);
    const { last } = record;
    // Whoever was overtaken by a later result has perhaps put an older one in its place.
    if (last === null || (last.isPublished && (written ?? last.id) === last.id)) return;
    await write(services, last);
    written = last.id;
    const value = { ...record, last: { ...last, isPublished: true } };
    await services.metadata.commit({
      expect: [entry].map(({ key, version }) => ({ key, version })),
      put: [{ key: entry.key, value }],
      remove: [],
      audit: [],
    });
  }
}

async function write({ integrityResultPath, log }: ResultServices, result: VerificationResult): Promise<void> {
  try {
    await writeResultFile(integrityResultPath, `${JSON.stringify(fileOf(result))}\n`);
  } catch (error) {
    log.error({ err: error }, "INTEGRITY_RESULT_PATH: the result of the check cannot be written there");
  }
}

/** The predecessor's members, and how much was read. Everybody may read it: it names nobody. */
function fileOf(result: VerificationResult): object {
  return {
    status: result.status,
    models_checked: result.artifactsChecked,
    failures: result.artifactsFailed,
    checked_at: new Date(result.endedAt).toISOString(),
    started_at: new Date(result.startedAt).toISOString(),
    ...(result.detail !== null && { detail: result.detail }),
    blobs_checked: result.blobsChecked,
    bytes_checked: result.bytesChecked,
    blobs_damaged: result.blobsDamaged,
    blobs_unreadable: result.blobsUnreadable,
  };
}
