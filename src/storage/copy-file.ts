import type { Writable } from "node:stream";
import type { ByteRange } from "./blob-store.ts";

/** Larger pieces are no faster (bytes). */
const PIECE = 256 * 1024;
/** How many buffers of finished copies wait for the next ones. */
const MAX_FREE = 32;

const free: Buffer[] = [];

/** Reads at most `length` bytes of a file from `position` into a buffer; how many, none at the end of the file. */
type ReadAt = (into: Buffer, length: number, position: number) => Promise<number>;

/**
 * Writes a part of a file to a sink, which stays open; how many bytes. While one piece is written the next one is read, by turns into the
 * same two buffers: a stream that takes fresh memory for each piece spends more on collecting garbage than on the bytes.
 */
export async function copyFile(read: ReadAt, sink: Writable, { start, end }: ByteRange): Promise<number> {
  const writer = new PieceWriter(sink);
  let [next, other] = [takeBuffer(), takeBuffer()];
  let position = start;
  let writing = Promise.resolve();
  try {
    while (position <= end) {
      const bytes = await read(next, Math.min(PIECE, end - position + 1), position);
      if (bytes === 0) break;
      position += bytes;
      await writing;
      writing = writer.write(next.subarray(0, bytes));
      // It is awaited, though not before the next piece was read.
      writing.catch(() => undefined);
      [next, other] = [other, next];
    }
    await writing;
  } finally {
    writer.release();
  }
  // Only here is it known that nobody writes from them any more.
  if (free.length < MAX_FREE) free.push(next, other);
  return position - start;
}

/** Writes bytes to a sink, which stays open, in one piece. */
export async function writePiece(sink: Writable, bytes: Uint8Array): Promise<void> {
  const writer = new PieceWriter(sink);
  try {
    await writer.write(bytes);
  } finally {
    writer.release();
  }
}

function takeBuffer(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(PIECE);
}

/** Writes piece by piece to a sink that may be destroyed at any time: not all of them call back then. */
class PieceWriter {
  readonly #sink: Writable;
  #reject: (error: Error) => void = () => undefined;
  readonly #onClose = (): void => this.#reject(new Error("the sink was closed"));

  constructor(sink: Writable) {
    this.#sink = sink;
    sink.on("close", this.#onClose);
  }

  write(piece: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      if (this.#sink.destroyed) reject(new Error("the sink was closed"));
      else this.#sink.write(piece, (error) => (error ? reject(error) : resolve()));
    });
  }

  release(): void {
    this.#sink.off("close", this.#onClose);
  }
}
