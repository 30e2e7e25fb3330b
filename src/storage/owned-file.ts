import { type Stats, constants } from "node:fs";
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { hasCode, noneWhenMissing } from "./claim.ts";

/** Why a file is not trusted to say what the operator wants, for the operator. */
export class OwnedFileError extends Error {
  override readonly name = "OwnedFileError";
}

export interface OwnedFileOptions {
  /** Larger files are refused (bytes). */
  readonly maxBytes: number;
  /** A folder that the file may not lie in, in which others may put files. */
  readonly outside?: string;
}

/**
 * Reads a file that only the operator can have written: a regular file, no symbolic link; it and its folder belong to root or to this user
 * and can be written by nobody else. Undefined when there is no such file; anything else is thrown as `OwnedFileError`.
 */
export async function readOwnedFile(path: string, { maxBytes, outside }: OwnedFileOptions): Promise<Uint8Array | undefined> {
  const folder = await realpath(dirname(path)).catch(noneWhenAbsent);
  const file = folder === undefined ? undefined : await openFile(join(folder, basename(path)));
  if (folder === undefined || file === undefined) return undefined;
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new OwnedFileError("it is not a regular file");
    if (outside !== undefined && isWithin(folder, await realpath(outside)))
      throw new OwnedFileError("it lies in the data directory: keep it elsewhere");
    refuse("it", faultOfOwner(found));
    refuse("its folder", faultOfOwner(await stat(folder)));
    if (found.size > maxBytes) throw new OwnedFileError(`it has more than ${maxBytes} bytes`);
    return await readAll(file, maxBytes);
  } finally {
    await file.close();
  }
}

/** O_NONBLOCK: opening a FIFO would wait for somebody to write to it. */
async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (hasCode(error, "ELOOP")) throw new OwnedFileError("it is a symbolic link", { cause: error });
    if (hasCode(error, "EACCES", "EPERM")) throw new OwnedFileError("this user may not read it", { cause: error });
    if (hasCode(error, "ENXIO", "ENODEV", "EOPNOTSUPP")) throw new OwnedFileError("it is not a regular file", { cause: error });
    return noneWhenAbsent(error);
  }
}

function noneWhenAbsent(error: unknown): undefined {
  return hasCode(error, "ENOTDIR") ? undefined : noneWhenMissing(error);
}

function isWithin(folder: string, root: string): boolean {
  return folder === root || folder.startsWith(root.endsWith(sep) ? root : root + sep);
}

const ROOT = 0;

function refuse(what: string, fault: string | undefined): void {
  if (fault !== undefined) throw new OwnedFileError(`${what} ${fault}`);
}

/** Why somebody else than root or this user could have written a file, or have put it into a folder; with the remedy. */
export function faultOfOwner({ uid, mode }: Pick<Stats, "uid" | "mode">): string | undefined {
  return faultOfUser({ uid }) ?? ((mode & 0o022) === 0 ? undefined : "can be written by others: take that away with chmod go-w");
}

/** Why a file or folder is somebody else's than root's or this user's; with the remedy. */
export function faultOfUser({ uid }: Pick<Stats, "uid">): string | undefined {
  const own = process.getuid?.();
  return own === undefined || uid === ROOT || uid === own
    ? undefined
    : "belongs to another user: give it to root or to the registry's user";
}

/** Its owner may be writing more to it. */
async function readAll(file: FileHandle, maxBytes: number): Promise<Uint8Array> {
  const bytes = await file.readFile();
  if (bytes.byteLength > maxBytes) throw new OwnedFileError(`it has more than ${maxBytes} bytes`);
  return bytes;
}
