import { randomUUIDv7 } from "node:crypto";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import type { BackupTask } from "./command-line.ts";
import { loadDataDirectory } from "./config.ts";
import { createLogger } from "./log.ts";
import { storageFailure } from "./registry/storage-failure.ts";
import { type BackupReport, backUp } from "./registry/back-up.ts";
import { checkBackup, restore } from "./registry/restore.ts";
import { StartError } from "./start-error.ts";
import { BackupError, BackupFolder } from "./storage/backup-folder.ts";
import { openBlobs } from "./storage/blob-rows.ts";
import { hasCode } from "./storage/claim.ts";
import { holdsRegistry, openDataDirectory } from "./storage/data-directory.ts";
import { openLmdb } from "./storage/lmdb.ts";
import { oneSecret, readSecretFile } from "./storage/secret-file.ts";

/** Makes, checks or restores a backup for who is on this machine; what there is to say. Throws what an operator can mend in words. */
export async function runBackupCommand(task: BackupTask): Promise<string> {
  try {
    return await runIn(task, await readPassphrase(task.passphraseFile));
  } catch (error) {
    throw inWords(error, task.command) ?? error;
  }
}

/** How things stand, and what is to be done, where the disk is full or failed. */
const AFTERWARDS: Readonly<Record<BackupTask["command"], { readonly state: string; readonly remedy: string }>> = {
  backup: { state: "an earlier backup in the folder is what it was, and the registry as well", remedy: "and run it again" },
  "check-backup": { state: "nothing was changed", remedy: "and run it again" },
  restore: { state: "do not start what is there", remedy: "empty the data directory, and run it again" },
};
const AS_WHOM = "run it as the registry's user, on a disk that can be written";

/**
 * What a disk that is full, fails or is not this user's says, without paths, of which some are of secrets; undefined for anything else. LMDB
 * copies say it by the system's text alone.
 */
function inWords(error: unknown, command: BackupTask["command"]): BackupError | undefined {
  if (!(error instanceof Error)) return undefined;
  const failure = (hasCode(error, "EACCES", "EPERM", "EROFS") ? "DENIED" : storageFailure(error)?.code) ?? BY_TEXT[error.message];
  if (failure === undefined) return undefined;
  const { state, remedy } = AFTERWARDS[command];
  const why = "code" in error && "syscall" in error ? `${String(error.code)}, ${String(error.syscall)}` : error.message;
  if (failure === "DENIED") return new BackupError(`this user may not do that here (${why}): ${state}; ${AS_WHOM}`, { cause: error });
  const [what, first] =
    failure === "STORAGE_FULL" ? ["there is no room left on the disk", "make room"] : ["the disk failed", "see to the disk"];
  return new BackupError(`${what} (${why}): ${state}; ${first}, ${remedy}`, { cause: error });
}

const BY_TEXT: Readonly<Record<string, "STORAGE_FULL" | "STORAGE_FAILED" | "DENIED">> = {
  "No space left on device": "STORAGE_FULL",
  "Disk quota exceeded": "STORAGE_FULL",
  "Input/output error": "STORAGE_FAILED",
  "Permission denied": "DENIED",
  "Operation not permitted": "DENIED",
  "Read-only file system": "DENIED",
};

async function runIn({ command, folder: path, atLeast }: BackupTask, passphrase: string): Promise<string> {
  const folder = await BackupFolder.open(resolve(path), { make: command === "backup" });
  try {
    if (command === "backup") return told("The backup holds", await makeBackup(folder, passphrase));
    if (command === "check-backup") return told("The backup is whole and holds", await checkBackup(folder, passphrase));
    return await restoreBackup(folder, passphrase, atLeast);
  } finally {
    await folder.close();
  }
}

/** Needs no lock: the store is for many processes, and none of them is stopped. */
async function makeBackup(folder: BackupFolder, passphrase: string): Promise<BackupReport> {
  const dataDirectory = loadDataDirectory();
  if (!(await holdsRegistry(dataDirectory))) throw new StartError(`${dataDirectory} holds no registry; set REGISTRY_DIR`);
  const { paths } = await openDataDirectory(dataDirectory, { worker: true });
  const metadata = await openLmdb(paths.metadata);
  try {
    return await backUp({ metadata, blobs: await openBlobs(paths.root, metadata), clock: () => Date.now(), paths }, folder, passphrase);
  } finally {
    await metadata.close();
  }
}

async function restoreBackup(folder: BackupFolder, passphrase: string, atLeast: number): Promise<string> {
  const services = { clock: () => Date.now(), newId: () => randomUUIDv7(), log: createLogger("warn") };
  const report = await restore(services, { folder, passphrase, into: loadDataDirectory(), atLeast });
  const later = "What was revoked, deleted or taken from somebody after that is not so here: do it again before anybody is served.";
  return `${told("Restored", report)}${later}\n`;
}

function told(beginning: string, { takenAt, audit, blobs, lost }: Pick<BackupReport, "takenAt" | "audit" | "blobs" | "lost">): string {
  const state = `the state of ${new Date(takenAt).toISOString()}, up to audit event ${audit.sequence} (${audit.hash})`;
  const missing = lost.length === 0 ? "" : `Damaged or missing when it was made:\n${lost.map((digest) => `  ${digest}\n`).join("")}`;
  return `${beginning} ${state}: ${blobs.count} blobs, ${blobs.bytes} bytes.\n${missing}`;
}

/** As securectl takes tokens: into a container, which has no file of the passphrase, it comes through its runtime. */
const STANDARD_INPUT = "-";

async function readPassphrase(path: string): Promise<string> {
  if (path === STANDARD_INPUT) return oneSecret(await text(process.stdin), "standard input");
  const file = await readSecretFile(path);
  if (file === undefined) throw new StartError(`--passphrase-file: ${path} is not there`);
  if (file.readableByOthers) throw new StartError(`--passphrase-file: others can read ${path}; make it private with chmod 600`);
  return file.secret;
}
