import { type Hash, createHash } from "node:crypto";
import { readSync } from "node:fs";
import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import type { DigestAlgorithm } from "../oci/digest.ts";

/*
 * A thread that reads files and hashes them, for `file-hashing.ts`. It blocks while it reads, so that no thread is taken from those that read
 * for others, and gives way to everybody: what it does, nobody is served by.
 */

/** To go on with a file: at most so many bytes from a position, which is where the piece before ended. Or to forget it. */
export type Order =
  | {
      readonly order: "go on";
      readonly file: number;
      readonly algorithm: DigestAlgorithm;
      readonly fd: number;
      readonly position: number;
      readonly length: number;
    }
  | { readonly order: "forget"; readonly file: number };
/**
 * How many bytes there were, with the hash of all of them (hex) when that was the end of the file; or why they could not be read, with the
 * system's code, which no error takes along from one thread to another.
 */
export type Answer = { readonly file: number } & (
  | { readonly read: number; readonly hash?: string }
  | { readonly code: string; readonly message: string }
);

/** Larger reads are no faster (bytes). */
const PIECE = 256 * 1024;
/** The lowest priority that a thread which is no real-time one can have. */
const LOWEST = 19;

const piece = new Uint8Array(PIECE);
const hashes = new Map<number, Hash>();

giveWay();
parentPort?.on("message", (order: Order) => {
  if (order.order === "forget") hashes.delete(order.file);
  else parentPort?.postMessage(goOn(order), []);
});

/** On Linux a priority is that of a thread, elsewhere it would be that of the process; where it is refused, the thread is like others. */
function giveWay(): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(LOWEST);
  } catch {
    // A filter of system calls may not let it through.
  }
}

function goOn({ file, algorithm, fd, position, length }: Extract<Order, { order: "go on" }>): Answer {
  const hash = hashes.get(file) ?? createHash(algorithm);
  hashes.set(file, hash);
  try {
    for (let read = 0; read < length;) {
      const bytes = readSync(fd, piece, 0, Math.min(PIECE, length - read), position + read);
      if (bytes === 0) return { file, read, hash: endOf(file, hash) };
      hash.update(piece.subarray(0, bytes));
      read += bytes;
    }
    return { file, read: length };
  } catch (error) {
    hashes.delete(file);
    return { file, code: codeOf(error), message: error instanceof Error ? error.message : "unreadable" };
  }
}

function endOf(file: number, hash: Hash): string {
  hashes.delete(file);
  return hash.digest("hex");
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown";
}
