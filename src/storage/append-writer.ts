import type { FileHandle } from "node:fs/promises";

/** How many bytes may wait while others are written. */
const MAX_WAITING = 1024 ** 2;
/** How many pieces may wait, since each costs memory however small it is; also what one writev(2) takes. */
const MAX_PIECES = 1024;

/**
 * Writes to the end of a file. What arrives while a write is under way is written by the next one at once, so that a fast source gets
 * large writes, a slow one holds no memory, and the source is never kept waiting while there is something to do.
 */
export class AppendWriter {
  readonly #open: () => Promise<FileHandle>;
  readonly #written: (piece: Uint8Array) => void;
  #handle: FileHandle | undefined;
  #position: number;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  /** The write under way; stays rejected when it failed, so that nothing is written beyond a gap. */
  #writing: Promise<void> | undefined;

  /** `open` is called when there is something to write; `position` is the size of the file; `written` is told of each piece that was. */
  constructor(open: () => Promise<FileHandle>, position: number, written: (piece: Uint8Array) => void = () => undefined) {
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
      await this.#handle?.close();
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
    this.#handle ??= await this.#open();
    this.#position = await writeAll(this.#handle, pieces, this.#position);
    for (const piece of pieces) this.#written(piece);
    this.#writing = undefined;
    if (this.#waiting.length > 0) this.#start();
  }
}

/** writev(2) may write less than it was given. */
async function writeAll(handle: FileHandle, pieces: readonly Uint8Array[], position: number): Promise<number> {
  let [left, at] = [pieces, position];
  while (left.length > 0) {
    const { bytesWritten } = await handle.writev(left, at);
    if (bytesWritten === 0) throw Object.assign(new Error("the file takes no more bytes"), { code: "ENOSPC" });
    at += bytesWritten;
    left = without(left, bytesWritten);
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
