import { type LockEntry, LockFileError, MAX_LOCK_BYTES, parseLockFile } from "../audit/lock-file.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { OwnedFileError, readOwnedFile } from "../storage/owned-file.ts";
import type { AcquireServices } from "./acquire.ts";
import { isEmptyStore, recordFile, refuse, standingOf } from "./first-models-file.ts";
import { type Entry, STEPS, registerEntries } from "./register-entries.ts";
import type { Registration } from "./register-model.ts";
import type { DecidingFile } from "./registration-draft.ts";

const KIND = "boot-lock";

/** Where the lock file is, and the data directory that it may not lie in. */
export interface BootLock {
  readonly path: string;
  readonly directory: string;
  /** Ends it between two models, or in the middle of a copy; the next start goes on. */
  readonly signal: AbortSignal;
}

/**
 * Registers what the lock file names, in a store that holds nothing yet (RULES 25): each entry by itself, by the decision of that very file.
 * It never changes what is registered already. A file, or an entry, that is not as it must be is refused loudly, and the rest goes on.
 */
export async function applyBootLock(services: AcquireServices, lock: BootLock): Promise<void> {
  const known = await standingOf(services, KIND);
  if (known.standing === "closed") return;
  const read = await readLock(lock);
  if (known.standing === "unfinished" && !isThe(read, known.digest)) return giveUp(services, { kind: KIND, digest: known.digest });
  if (read === undefined) return;
  if ("fault" in read) return refuse(services, { kind: KIND, ...read.file }, { reason: read.fault });
  await applyEntries(services, read, lock);
}

function isThe(read: Read | undefined, digest: Digest): boolean {
  return read !== undefined && !("fault" in read) && read.file.digest === digest;
}

async function applyEntries(services: AcquireServices, { file, entries }: Readable, { path, signal }: BootLock): Promise<void> {
  const { log } = services;
  if (entries.length === 0) return log.info({ path }, "the lock file names no model");
  log.info({ path, digest: file.digest, models: entries.length }, "models are registered from the lock file");
  await recordFile(services, file, "under-way", { after: { entries: entries.length } });
  const wanted = entries.map((entry) => registrationOf(file, entry));
  const counts = await registerEntries(services, file, wanted, signal);
  // Where nothing came of it, such as while the files are not there yet, the next start may try again.
  await recordFile(services, file, (await isEmptyStore(services)) ? undefined : "done", { after: { ...counts } });
  log.info({ digest: file.digest, ...counts }, "the lock file is done");
}

interface Readable {
  readonly file: DecidingFile;
  readonly entries: readonly LockEntry[];
}
type Read = Readable | { readonly fault: string; readonly file?: DecidingFile };

async function readLock({ path, directory }: BootLock): Promise<Read | undefined> {
  const bytes = await readOwnedFile(path, { maxBytes: MAX_LOCK_BYTES, outside: directory }).catch(faultOf);
  if (bytes === undefined || "fault" in bytes) return bytes;
  const file = { kind: KIND, digest: digestOf(bytes) } as const;
  try {
    return { file, entries: parseLockFile(bytes) };
  } catch (error) {
    if (error instanceof LockFileError) return { fault: error.message, file };
    throw error;
  }
}

function faultOf(error: unknown): { readonly fault: string } {
  if (error instanceof OwnedFileError) return { fault: error.message };
  throw error;
}

/** The rest of a file that is not there as it was when a start was cut off is nobody's decision any more. */
async function giveUp(services: AcquireServices, file: DecidingFile): Promise<void> {
  const reason = "the lock file is no longer the one that was being registered: the rest of it is not";
  services.log.error({ file: KIND, digest: file.digest, reason }, "THE FILE IS REFUSED");
  await recordFile(services, file, "done", { outcome: "deny", reason });
}

function registrationOf(file: DecidingFile, entry: LockEntry): Entry {
  if ("fault" in entry) return entry;
  const { position, line, name, model } = entry;
  const registration: Registration = { file, model, steps: STEPS[model.state], acquiredAt: undefined, bytes: "demanded", chain: "begins" };
  return { position, line, name, registration };
}
