import { type Hash, createHash, randomBytes } from "node:crypto";

const BLOCK = 1024 * 1024;

/** Bytes of any length, no two mebibytes of which are alike, of which one mebibyte at a time is in memory. */
export class LargeContent {
  readonly size: number;
  readonly #base = randomBytes(BLOCK);
  readonly #hash: Hash = createHash("sha256");
  #hashed = 0;

  /** In bytes. */
  constructor(size: number) {
    this.size = size;
  }

  /** A piece that begins at an offset and ends with its mebibyte, or earlier, before `end`. Good until the next one is asked for. */
  at(offset: number, end: number): Buffer {
    const block = Math.floor(offset / BLOCK);
    this.#base.writeBigUInt64BE(BigInt(block));
    return this.#base.subarray(offset - block * BLOCK, Math.min(end, (block + 1) * BLOCK) - block * BLOCK);
  }

  /** Are these the bytes at an offset? */
  holds(bytes: Buffer, offset: number): boolean {
    for (let at = 0; at < bytes.length;) {
      const piece = this.at(offset + at, offset + bytes.length);
      if (!piece.equals(bytes.subarray(at, at + piece.length))) return false;
      at += piece.length;
    }
    return true;
  }

  /** The digest, for which each byte is hashed once however often it is asked for. */
  digest(): string {
    for (; this.#hashed < this.size;) {
      const piece = this.at(this.#hashed, this.size);
      this.#hash.update(piece);
      this.#hashed += piece.length;
    }
    return `sha256:${this.#hash.copy().digest("hex")}`;
  }
}
