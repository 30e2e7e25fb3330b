import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { noneWhenMissing } from "./claim.ts";
import { syncPath } from "./sync.ts";
import { nameUnderWay, removeLeftovers } from "./under-way.ts";

/** Why a file that others may read, or write, cannot be used. */
export class ResultFileError extends Error {
  override readonly name = "ResultFileError";
}

/** A result that others may read. */
const READABLE = 0o644;

/**
 * Reads a small file that another program may have written; undefined when there is none. Throws `ResultFileError` for what is no plain file,
 * such as a symbolic link or a FIFO, and for more than `most` bytes.
 */
export async function readResultFile(path: string, most: number): Promise<Uint8Array | undefined> {
  // A FIFO without a writer would hold the open for ever.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch(noneWhenMissing);
  if (file === undefined) return undefined;
  try {
    if (!(await file.stat()).isFile()) throw new ResultFileError("it is not a regular file");
    return await readAtMost(file, most);
  } finally {
    await file.close();
  }
}

/** Whatever its size was said to be: it may be growing. */
async function readAtMost(file: FileHandle, most: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(most + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
    if (length > most) throw new ResultFileError(`it has more than ${most} bytes`);
  }
}

/**
 * Writes a file that others may read, whole or not at all: whoever reads it finds the old content or the new one. What stands in its place is
 * replaced, never written through.
 */
export async function writeResultFile(path: string, content: string): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, nameUnderWay(prefixOf(path)));
  try {
    const file = await open(temporary, "wx", READABLE);
    try {
      // Whatever the umask has taken away.
      await file.chmod(READABLE);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncPath(folder);
}

/** Removes what processes that have ended left beside a result file while they wrote it. */
export async function removeUnwrittenResult(path: string): Promise<void> {
  await removeLeftovers(dirname(path), prefixOf(path));
}

function prefixOf(path: string): string {
  return `.${basename(path)}.`;
}
