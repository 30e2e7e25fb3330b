import { closeSync, openSync, writev } from "node:fs";
import { promisify } from "node:util";

/** A file that is open to be written. */
export interface WritableFile {
  /** writev(2) at a position: how many bytes it wrote, which may be fewer than it was given. */
  write(pieces: readonly Uint8Array[], position: number): Promise<number>;
  close(): void;
}

const writeAt = promisify(writev);

/** Opens a file, without a thread as it is closed: only to write may wait for a disk. Throws what open(2) says. */
export function openWritable(path: string, flags: number, mode?: number): WritableFile {
  const fd = openSync(path, flags, mode);
  return {
    write: async (pieces, position) => (await writeAt(fd, pieces, position)).bytesWritten,
    close: () => closeSync(fd),
  };
}

/** Writes all of some pieces from a position; the position after the last byte. An error with code ENOSPC when the file takes no more. */
export async function writeAll(file: WritableFile, pieces: readonly Uint8Array[], position: number): Promise<number> {
  let [left, at] = [without(pieces, 0), position];
  while (left.length > 0) {
    const written = await file.write(left, at);
    if (written === 0) throw Object.assign(new Error("the file takes no more bytes"), { code: "ENOSPC" });
    at += written;
    left = without(left, written);
  }
  return at;
}

function without(pieces: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let [first, skip] = [0, bytes];
  for (let piece = pieces[first]; piece !== undefined && skip >= piece.byteLength; piece = pieces[first]) {
    skip -= piece.byteLength;
    first += 1;
  }
  const rest = pieces.slice(first);
  if (skip > 0 && rest[0] !== undefined) rest[0] = rest[0].subarray(skip);
  return rest;
}
