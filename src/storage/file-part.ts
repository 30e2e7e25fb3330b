import { closeSync, constants, openSync, read } from "node:fs";
import { Readable, type Writable } from "node:stream";
import { promisify } from "node:util";
import type { BlobStream, ByteRange } from "./blob-store.ts";
import { copyFile } from "./copy-file.ts";

/** Larger reads are no faster, and each stream holds one of them (bytes). */
const READ_SIZE = 512 * 1024;

const readAt = promisify(read);

/**
 * A part of a file, to be read once. It is opened and closed without a thread, which would cost more processor time than a look-up and a
 * small read together; bytes may have to come from a disk, so that these are read by one.
 */
export class FilePart extends Readable implements BlobStream {
  readonly #fd: number;
  readonly #range: ByteRange;
  #position: number;
  #reads = 0;
  #closeWhenRead: (() => void) | undefined;

  /** Throws, with code ENOENT, when there is no such file. */
  constructor(path: string, { start, end }: ByteRange, flags = constants.O_RDONLY) {
    super({ highWaterMark: READ_SIZE });
    this.#fd = openSync(path, flags);
    this.#range = { start, end };
    this.#position = start;
  }

  async copyTo(sink: Writable): Promise<number> {
    try {
      return await copyFile((piece, length, position) => this.#readAt(piece, length, position), sink, this.#range);
    } finally {
      this.destroy();
    }
  }

  override _read(): void {
    this.#readNext().catch((error: unknown) => this.destroy(error instanceof Error ? error : new Error("unreadable", { cause: error })));
  }

  async #readNext(): Promise<void> {
    const piece = Buffer.allocUnsafeSlow(Math.max(0, Math.min(READ_SIZE, this.#range.end - this.#position + 1)));
    const bytes = await this.#readAt(piece, piece.length, this.#position);
    this.#position += bytes;
    if (!this.destroyed) this.push(bytes === 0 ? null : piece.subarray(0, bytes));
  }

  /** Never while it is being read: the system gives the number to the next file that is opened, and that one would be read. */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const close = (): void => {
      closeSync(this.#fd);
      callback(error);
    };
    if (this.#reads === 0) close();
    else this.#closeWhenRead = close;
  }

  async #readAt(piece: Buffer, length: number, position: number): Promise<number> {
    // Its number may be another file's by now.
    if (this.destroyed) throw new Error("the file was closed");
    if (length <= 0) return 0;
    this.#reads += 1;
    try {
      return (await readAt(this.#fd, piece, 0, length, position)).bytesRead;
    } finally {
      this.#reads -= 1;
      if (this.#reads === 0) this.#closeWhenRead?.();
    }
  }
}
