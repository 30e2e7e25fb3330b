import { type Stats, fstatSync, readSync } from "node:fs";
import type { ByteSource } from "../formats/byte-source.ts";
import { writeLine } from "./handed.ts";

/** A file that could not be read as it was found; `message` is safe to show. */
export class ReadError extends Error {
  override readonly name = "ReadError";
}

/** How many bytes are read between two reports, at least; and how many reports a file is worth, about. */
const REPORT_BYTES = 64 * 1024 * 1024;
const REPORTS = 1_000;

/** A file that is open already, read by blocking calls; it tells on standard output how many bytes were read so far. */
export class FileSource implements ByteSource {
  readonly size: number;
  readonly #fd: number;
  readonly #stats: Stats;
  #read = 0;
  #reported = 0;

  constructor(fd: number) {
    this.#fd = fd;
    this.#stats = fstatSync(fd);
    this.size = this.#stats.size;
  }

  read(offset: number, into: Uint8Array): void {
    let done = 0;
    while (done < into.length) {
      const count = this.#readSome(offset + done, into.subarray(done));
      if (count === 0) throw changed();
      done += count;
    }
    this.#read += done;
    if (this.#read - this.#reported < Math.max(REPORT_BYTES, this.size / REPORTS)) return;
    this.#reported = this.#read;
    writeLine({ progress: this.#read });
  }

  /** Throws `ReadError` when the file is not as it was when it was opened: what was read may never have been one file. */
  checkUnchanged(): void {
    const { size, mtimeMs } = fstatSync(this.#fd);
    // Not the time of the inode: links come and go while a registry publishes, and leave the bytes alone.
    if (size !== this.#stats.size || mtimeMs !== this.#stats.mtimeMs) throw changed();
  }

  #readSome(offset: number, into: Uint8Array): number {
    try {
      return readSync(this.#fd, into, 0, into.length, offset);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
      throw new ReadError(`the file could not be read (${code})`);
    }
  }
}

function changed(): ReadError {
  return new ReadError("the file was changed while it was being read");
}
