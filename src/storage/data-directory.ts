import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { chmod, link, lstat, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { hasCode } from "./claim.ts";
import { faultOfUser } from "./owned-file.ts";
import { InUseError, type ProcessLock, lockDirectory } from "./process-lock.ts";
import { makeDurableFolder, syncPath } from "./sync.ts";

/** Why a data directory cannot be used, for the operator who starts the registry. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";
}

/** The folders of a data directory and their modes: what a runtime mounts is open to read, all else is the registry's own. */
const MODES = { credentials: 0o700, metadata: 0o700, blobs: 0o700, uploads: 0o700, trusted: 0o755 } as const;
const FOLDERS = ["credentials", "metadata", "blobs", "uploads", "trusted"] as const;
type Folder = (typeof FOLDERS)[number];

const SECRET_BYTES = 32;
/** The file of the metadata store. */
const DATA = "data.mdb";

export interface DataDirectory {
  /** Absolute paths: the directory itself, and its folders. */
  readonly paths: Readonly<Record<Folder | "root", string>>;
  /** The registry's root secret, 32 bytes, from which every other one is derived. */
  readonly secret: Uint8Array;
  /** Can others rename and replace what is in it, its folders included? */
  readonly isOpenToOthers: boolean;
  /** Lets another process start over the directory. */
  release(): Promise<void>;
}

/**
 * Opens the data directory of a registry and makes what is missing in it. One registry at a time: a second one is refused with a
 * `DataDirectoryError`. With `worker`, for a process that belongs to the registry which holds the directory, it is only read; with
 * `restoring`, for the restore itself, one that is half restored is not refused.
 */
export async function openDataDirectory(
  path: string,
  options: { readonly worker?: boolean; readonly restoring?: boolean } = {},
): Promise<DataDirectory> {
  const paths = pathsOf(resolve(path));
  if (options.worker === true) {
    return { paths, secret: await readSecret(paths.metadata), isOpenToOthers: false, release: async () => {} };
  }
  await makeFolders(paths);
  const isOpenToOthers = !(await keepNames(paths.root));
  await refuseSeveralFilesystems(paths);
  const lock = await takeLock(paths);
  try {
    if (options.restoring !== true) await refuseHalfRestored(paths);
    await makeSecret(paths.metadata);
    return { paths, secret: await readSecret(paths.metadata), isOpenToOthers, release: () => lock.release() };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function pathsOf(root: string): DataDirectory["paths"] {
  const [credentials, metadata, blobs] = [join(root, "credentials"), join(root, "metadata"), join(root, "blobs")];
  return { root, credentials, metadata, blobs, uploads: join(root, "uploads"), trusted: join(root, "trusted") };
}

/** What the operating system refuses here is for the operator to mend: a read-only or full disk, foreign owners, a file in the way. */
async function makeFolders(paths: DataDirectory["paths"]): Promise<void> {
  try {
    await makeDurableFolder(paths.root);
    for (const folder of FOLDERS) await makeFolder(paths[folder], MODES[folder]);
    await syncPath(paths.root);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    const remedy = "give it to this user on a writable disk with room, or set REGISTRY_DIR to another directory";
    throw new DataDirectoryError(`${paths.root} cannot be used as the data directory (${String(error.code)}): ${remedy}`, { cause: error });
  }
}

async function makeFolder(folder: string, mode: number): Promise<void> {
  await mkdir(folder, { recursive: true, mode });
  const found = await stat(folder);
  // Where others may put files, they could have put a folder of theirs, or a link to one, before the first start.
  for (const each of [await lstat(folder), found]) refuseForeign(folder, each);
  // The umask may have taken bits away, and an older folder may have too many.
  if ((found.mode & 0o777) !== mode) await chmod(folder, mode);
}

function refuseForeign(folder: string, found: Stats): void {
  const fault = faultOfUser(found);
  if (fault !== undefined) throw new DataDirectoryError(`${folder} ${fault}`);
}

const [WRITABLE_BY_OTHERS, STICKY] = [0o022, 0o1000];

/**
 * Has everybody who may put files into a folder leave alone what others have there: without the sticky bit they could put a tree of their own
 * in the place of `trusted/`. False where that is for another user to say.
 */
async function keepNames(folder: string): Promise<boolean> {
  const { mode } = await stat(folder);
  if ((mode & WRITABLE_BY_OTHERS) === 0 || (mode & STICKY) !== 0) return true;
  try {
    await chmod(folder, (mode & 0o7777) | STICKY);
    return true;
  } catch (error) {
    if (!hasCode(error, "EPERM", "EROFS", "ENOTSUP")) throw error;
    return false;
  }
}

async function refuseSeveralFilesystems({ root, blobs, uploads, trusted }: DataDirectory["paths"]): Promise<void> {
  const devices = await Promise.all([blobs, uploads, trusted].map(async (folder) => (await stat(folder)).dev));
  if (new Set(devices).size === 1) return;
  throw new DataDirectoryError(`blobs, uploads and trusted in ${root} must lie on one file system, because hard links join them`);
}

async function takeLock({ root, metadata }: DataDirectory["paths"]): Promise<ProcessLock> {
  try {
    return await lockDirectory(metadata);
  } catch (error) {
    if (!(error instanceof InUseError)) throw error;
    throw new DataDirectoryError(`${root} is in use by another registry: stop that one first, or set REGISTRY_DIR to another directory`);
  }
}

/** Where `restored-directory.ts` makes the metadata of a backup, below `metadata`, until they are whole; the folder stays for ever. */
export const RESTORING = "restoring";

/** Are there metadata of a registry? Throws a `DataDirectoryError` where this user may not look. */
export async function holdsRegistry(path: string): Promise<boolean> {
  const { root, metadata } = pathsOf(resolve(path));
  return isThere(join(metadata, DATA)).catch((error: unknown) => {
    if (!hasCode(error, "EACCES", "EPERM")) throw error;
    throw new DataDirectoryError(`${root} may not be read by this user: run this as the registry's user`, { cause: error });
  });
}

/** Did a restore into this directory begin that has not come to its end, or was its end lost? */
export async function isHalfRestored(path: string): Promise<boolean> {
  const { metadata } = pathsOf(resolve(path));
  return (await isThere(join(metadata, RESTORING))) && !(await isThere(join(metadata, DATA)));
}

async function isThere(path: string): Promise<boolean> {
  const found = await stat(path).catch((error: unknown) => {
    // What stands where a folder should is no folder that it could be in.
    if (!hasCode(error, "ENOENT", "ENOTDIR")) throw error;
  });
  return found !== undefined;
}

/** A registry that began anew among what a restore left would look like the restored one that has lost everything. */
async function refuseHalfRestored({ root }: DataDirectory["paths"]): Promise<void> {
  if (await isHalfRestored(root))
    throw new DataDirectoryError(`${root} holds a restore that did not come to its end: empty it, and restore again`);
}

/** Made whole under another name first, so that a crash leaves no half of one. */
async function makeSecret(metadata: string): Promise<void> {
  const path = join(metadata, "secret");
  if (await isThere(path)) return;
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx", 0o600);
  try {
    await file.writeFile(randomBytes(SECRET_BYTES));
    await file.sync();
  } finally {
    await file.close();
  }
  await link(temporary, path);
  await rm(temporary);
  await syncPath(metadata);
}

async function readSecret(metadata: string): Promise<Uint8Array> {
  const path = join(metadata, "secret");
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0)
    throw new DataDirectoryError(`others can read ${path}: make it private with chmod 600, and rotate every credential`);
  const secret = await readFile(path);
  if (secret.length !== SECRET_BYTES) throw new DataDirectoryError(`${path} must have ${SECRET_BYTES} bytes: restore it from a backup`);
  return new Uint8Array(secret);
}
