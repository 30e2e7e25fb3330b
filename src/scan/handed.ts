import { readSync, writeSync } from "node:fs";

/** What a process is handed by the one that started it: where it answers, and the descriptors of the files. */
const OUTPUT = 1;
export const FIRST = 3;
export const SECOND = 4;

const PIECE = 1024 * 1024;

/** Writes one line of an answer. Throws when nobody reads it any more, and so ends the process. */
export function writeLine(value: unknown): void {
  writeBytes(OUTPUT, Buffer.from(`${JSON.stringify(value)}\n`));
}

/** Writes text to a descriptor, in large pieces. */
export function writeText(descriptor: number, parts: Iterable<string>): void {
  let piece = "";
  for (const part of parts) {
    piece += part;
    if (piece.length < PIECE) continue;
    writeBytes(descriptor, Buffer.from(piece));
    piece = "";
  }
  writeBytes(descriptor, Buffer.from(piece));
}

/** Writes bytes to a descriptor. */
export function writeBytes(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
}

/** Reads a file or a pipe to its end, or until there are more than `limit` bytes. */
export function readAll(descriptor: number, limit: number): Uint8Array {
  const buffer = new Uint8Array(PIECE);
  const pieces: Uint8Array[] = [];
  let size = 0;
  for (let count = readSync(descriptor, buffer); count > 0 && size <= limit; count = readSync(descriptor, buffer)) {
    pieces.push(buffer.slice(0, count));
    size += count;
  }
  return Buffer.concat(pieces, size);
}
