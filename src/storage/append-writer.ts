import { type WritableFile, writeAll } from "./writable-file.ts";

/** How many bytes may wait while others are written. */
const MAX_WAITING = 1024 ** 2;
/** How many pieces may wait, since each costs memory however small it is; also what one writev(2) takes. */
const MAX_PIECES = 1024;

/**
 * Writes to the end of a file. What arrives while a write is under way is written by the next one at once, so that a fast source gets
 * large writes, a slow one holds no memory, and the source is never kept waiting while there is something to do.
 */
export class AppendWriter {
  readonly #open: () => WritableFile;
  readonly #written: (piece: Uint8Array) => void;
  #file: WritableFile | undefined;
  #position: number;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  /** The write under way; stays rejected when it failed, so that nothing is written beyond a gap. */
  #writing: Promise<void> | undefined;

  /** `open` is called when there is something to write; `position` is the size of the file; `written` is told of each piece that was. */
  constructor(open: () => WritableFile, position: number, written: (piece: Uint8Array) => void = () => undefined) {
    this.#written = written;
    this.#open = open;
    this.#position = position;
  }

  /** Takes a piece, which the caller may not change any more; waits while too many wait already. */
  async add(piece: Uint8Array): Promise<void> {
    if (piece.byteLength === 0) return;
    this.#waiting.push(piece);
    this.#bytes += piece.byteLength;
    if (this.#writing === undefined) this.#start();
    else if (this.#bytes >= MAX_WAITING || this.#waiting.length >= MAX_PIECES) await this.#writing;
  }

  /** Writes what still waits and closes the file; the position after the last byte. */
  async end(): Promise<number> {
    try {
      while (this.#writing !== undefined) await this.#writing;
      return this.#position;
    } finally {
      this.#file?.close();
    }
  }

  #start(): void {
    this.#writing = this.#writeWaiting();
    // Whoever adds or ends next awaits it and gets the error.
    this.#writing.catch(() => {});
  }

  async #writeWaiting(): Promise<void> {
    const pieces = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    this.#file ??= this.#open();
    this.#position = await writeAll(this.#file, pieces, this.#position);
    for (const piece of pieces) this.#written(piece);
    this.#writing = undefined;
    if (this.#waiting.length > 0) this.#start();
  }
}
