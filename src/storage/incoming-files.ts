import { constants } from "node:fs";
import { type FileHandle, open, readlink, realpath, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { hasCode } from "./claim.ts";

/** Why a file that somebody put into the data directory is not taken; `message` is safe to show. */
export class IncomingFileError extends Error {
  override readonly name = "IncomingFileError";
}

/** A regular file of the data directory, held open: what is read is this file, whatever its name names by then. */
export interface IncomingFile {
  readonly size: number;
  /** Tells this content of this file from any other: device, inode, size and the times of its last changes. */
  readonly identity: string;
  /** For the system call that clones it. */
  readonly fd: number;
  /** Those that it had when it was opened: somebody may go on appending faster than they are read. */
  bytes(): AsyncIterable<Uint8Array>;
  /** Is it still as it was when it was opened? */
  isUnchanged(): Promise<boolean>;
  close(): Promise<void>;
}

/** Files that people and programs put into the data directory, by clean relative paths (`oci/model-name.ts`). */
export interface IncomingFiles {
  /** Throws `IncomingFileError` for what is missing, or is anything else than a regular file reached without a symbolic link. */
  open(path: string): Promise<IncomingFile>;
  /** Removes the file if it is still the one that was taken in; a file that took its place stays. */
  removeIfSame(path: string, identity: string): Promise<void>;
}

/** Larger reads are no faster (bytes). */
const READ_SIZE = 1024 * 1024;

/** The files below a folder, which must exist. */
export function openIncomingFiles(root: string): IncomingFiles {
  return {
    open: (path) => inFolder(root, dirname(path), (folder) => openRegular(join(folder, basename(path)))),
    removeIfSame: async (path, identity) => {
      await inFolder(root, dirname(path), (folder) => removeIfSame(join(folder, basename(path)), identity)).catch(noneWhenRefused);
    },
  };
}

/**
 * Does something in a folder below the root that is held open and was reached without a symbolic link, so that nobody who swaps a folder
 * for one meanwhile leads it elsewhere. Linux names a folder by its descriptor; elsewhere only the name is looked at.
 */
async function inFolder<T>(root: string, path: string, use: (folder: string) => Promise<T>): Promise<T> {
  const lexical = join(await realpath(root), path);
  const handle = await refusing(open(lexical, constants.O_RDONLY | constants.O_DIRECTORY));
  try {
    const held = `/proc/self/fd/${handle.fd}`;
    const reached = await readlink(held).catch(noneWhenGone);
    if ((reached ?? (await realpath(lexical).catch(noneWhenGone))) !== lexical) throw new IncomingFileError(NO_LINKS);
    return await use(reached === undefined ? lexical : held);
  } finally {
    await handle.close();
  }
}

const NO_LINKS = "symbolic-link artifacts are not allowed";

/** O_NONBLOCK: opening a FIFO would wait for somebody to write to it. */
async function openRegular(path: string): Promise<IncomingFile> {
  const handle = await refusing(open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK));
  try {
    if (!(await handle.stat()).isFile()) throw new IncomingFileError("artifact must be a regular file");
    return await incoming(handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function refusing(opened: Promise<FileHandle>): Promise<FileHandle> {
  try {
    return await opened;
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) throw new IncomingFileError("no such file in the registry directory", { cause: error });
    if (hasCode(error, "ELOOP")) throw new IncomingFileError(NO_LINKS, { cause: error });
    if (hasCode(error, "ENXIO", "ENODEV", "EOPNOTSUPP")) throw new IncomingFileError("artifact must be a regular file", { cause: error });
    if (hasCode(error, "EACCES", "EPERM")) throw new IncomingFileError("the registry may not read this file", { cause: error });
    if (hasCode(error, "ENAMETOOLONG")) throw new IncomingFileError("the file's name is too long", { cause: error });
    throw error;
  }
}

async function removeIfSame(path: string, identity: string): Promise<void> {
  const file = await openRegular(path);
  await file.close();
  if (file.identity === identity) await unlink(path).catch(noneWhenGone);
}

async function incoming(handle: FileHandle): Promise<IncomingFile> {
  const identity = await identityOf(handle);
  const { size } = await handle.stat();
  return {
    size,
    identity,
    fd: handle.fd,
    bytes: () => readFirst(handle, size),
    isUnchanged: async () => (await identityOf(handle)) === identity,
    close: () => handle.close(),
  };
}

async function identityOf(handle: FileHandle): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(":");
}

async function* readFirst(handle: FileHandle, size: number): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < size;) {
    const length = Math.min(READ_SIZE, size - position);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function noneWhenRefused(error: unknown): undefined {
  if (error instanceof IncomingFileError) return undefined;
  throw error;
}

function noneWhenGone(error: unknown): undefined {
  if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
  throw error;
}
