import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, realpath } from "node:fs/promises";
import { join } from "node:path";
import type { LockEntry } from "../audit/lock-file.ts";
import type { RecordedModel } from "../audit/recorded-model.ts";
import type { CheckedEntry } from "./json-outputs.ts";
import { startProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** Checks an entry; with a data directory, the bytes as well, of which what is revoked or deleted needs none. */
export async function checkEntry(entry: LockEntry, directory: string | undefined, terminal: Terminal): Promise<CheckedEntry> {
  const { position, line, name } = entry;
  const place = { entry: position, line, name };
  if ("fault" in entry) return { ...place, status: "refused", reason: entry.fault };
  if (directory === undefined) return { ...place, status: "read" };
  const { state } = entry.model;
  if (state === "revoked" || state === "deleted") return { ...place, status: "needless" };
  const reason = await problemOf(entry.model, directory, terminal);
  return reason === undefined ? { ...place, status: "intact" } : { ...place, status: "failed", reason };
}

/** As the registry looks for the bytes: under the filename, else where the predecessor kept its own copy. */
async function problemOf(model: RecordedModel, directory: string, terminal: Terminal): Promise<string | undefined> {
  const problems: string[] = [];
  for (const place of model.objectPath === undefined ? [model.path] : [model.path, model.objectPath]) {
    const problem = await problemAt(model, join(directory, place), terminal);
    if (problem === undefined) return undefined;
    problems.push(`${place}: ${problem}`);
  }
  return problems.join("; ");
}

async function problemAt({ name, sha256, size }: RecordedModel, path: string, terminal: Terminal): Promise<string | undefined> {
  const file = await openPlain(path);
  if (typeof file === "string") return file;
  try {
    const { size: actual } = await file.stat();
    if (size !== 0 && size !== actual) return `declared size does not match artifact: expected ${size}, got ${actual}`;
    const hash = await hashOf(file, startProgress(terminal, name, actual));
    return hash === sha256 ? undefined : `hash mismatch: expected ${sha256}, got ${hash}`;
  } finally {
    await file.close();
  }
}

/** A regular file that no symbolic link leads to; else why not. O_NONBLOCK: opening a FIFO would wait for somebody to write to it. */
async function openPlain(path: string): Promise<FileHandle | string> {
  try {
    if ((await realpath(path)) !== path) return "symbolic-link artifacts are not allowed";
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
    return "artifact must be a regular file";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    return code === "ENOENT" || code === "ENOTDIR" ? "there is no such file" : `the file cannot be read (${code})`;
  }
}

async function hashOf(file: FileHandle, progress: ReturnType<typeof startProgress>): Promise<string> {
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    for await (const chunk of file.createReadStream({ autoClose: false, highWaterMark: READ_SIZE })) {
      if (!(chunk instanceof Uint8Array)) throw new TypeError("a stream of bytes");
      hash.update(chunk);
      bytes += chunk.byteLength;
      progress.update(bytes);
    }
  } finally {
    progress.done();
  }
  return hash.digest("hex");
}

const READ_SIZE = 1024 * 1024;
