import type { ByteSource } from "./byte-source.ts";
import { FormatError } from "./format-error.ts";

const WINDOW = 256 * 1024;
const U32 = 2 ** 32;

/** Which bytes a cursor reads, and what it says when something leads beyond them. */
export interface Region {
  readonly start: number;
  readonly end: number;
  readonly beyond: string;
}

/** Reads a region of a source from its start to its end, little-endian, through a window of 256 KiB. Throws `FormatError` beyond the end. */
export class ByteCursor {
  readonly #source: ByteSource;
  readonly #region: Region;
  readonly #window: Uint8Array;
  readonly #view: DataView;
  readonly #decoder = newDecoder();
  /** Where in the source the window begins, how many of its bytes are filled, and which is next. */
  #base: number;
  #filled = 0;
  #at = 0;

  constructor(source: ByteSource, region: Region) {
    this.#source = source;
    this.#region = region;
    this.#window = new Uint8Array(Math.min(WINDOW, Math.max(8, region.end - region.start)));
    this.#view = new DataView(this.#window.buffer);
    this.#base = region.start;
  }

  /** The next byte's offset in the source. */
  get position(): number {
    return this.#base + this.#at;
  }

  /** How many bytes are left. */
  get remaining(): number {
    return this.#region.end - this.position;
  }

  /** Throws unless so many bytes are left. */
  expect(bytes: number): void {
    if (bytes > this.remaining) throw new FormatError(this.#region.beyond);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A 64-bit number that must be at most `limit`; `what` names it in the refusal. */
  u64(limit: number, what: string): number {
    const at = this.#take(8);
    const value = this.#view.getUint32(at + 4, true) * U32 + this.#view.getUint32(at, true);
    // Above 2^53 the sum is rounded, but stays above any limit.
    if (value > limit) throw new FormatError(`${what} is ${this.#view.getBigUint64(at, true)}, and may be at most ${limit}`);
    return value;
  }

  /** The next byte, which stays the next; undefined at the end. */
  peek(): number | undefined {
    if (this.#at < this.#filled) return this.#window[this.#at];
    return this.ahead(1)[0];
  }

  skip(bytes: number): void {
    this.expect(bytes);
    if (this.#at + bytes <= this.#filled) {
      this.#at += bytes;
      return;
    }
    this.#base = this.position + bytes;
    this.#at = 0;
    this.#filled = 0;
  }

  /** Text of so many bytes, which the caller has bounded; undefined when they are not UTF-8. */
  text(bytes: number): string | undefined {
    this.expect(bytes);
    if (bytes <= this.#window.length) return this.#decodeWindow(bytes);
    const parts: string[] = [];
    return this.#decodeLong(bytes, (part) => parts.push(part)) ? parts.join("") : undefined;
  }

  /** Passes over so many bytes without keeping them; tells whether they are UTF-8. */
  skipText(bytes: number): boolean {
    this.expect(bytes);
    if (bytes <= this.#window.length) return this.#decodeWindow(bytes) !== undefined;
    return this.#decodeLong(bytes, () => undefined);
  }

  /** What lies in the window from the next byte on: at least so many bytes, at most all that are left. Valid until the next call. */
  ahead(least: number): Uint8Array {
    const wanted = Math.min(least, this.remaining);
    if (this.#at + wanted > this.#filled) this.#fill(wanted);
    return this.#window.subarray(this.#at, this.#filled);
  }

  #decodeWindow(bytes: number): string | undefined {
    const at = this.#take(bytes);
    return ifUtf8(() => this.#decoder.decode(this.#window.subarray(at, at + bytes)));
  }

  /** Decodes more than a window holds, part by part; tells whether all of it is UTF-8, and passes over it in any case. */
  #decodeLong(bytes: number, each: (part: string) => void): boolean {
    const decoder = newDecoder();
    const end = this.position + bytes;
    while (this.position < end) {
      const chunk = this.ahead(1).subarray(0, end - this.position);
      this.#at += chunk.length;
      const part = ifUtf8(() => decoder.decode(chunk, { stream: this.position < end }));
      if (part === undefined) {
        this.skip(end - this.position);
        return false;
      }
      each(part);
    }
    return true;
  }

  /** Makes so many bytes, at most a window, lie together in the window and passes over them; where they begin. */
  #take(bytes: number): number {
    if (this.#at + bytes > this.#filled) this.#fill(bytes);
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  #fill(bytes: number): void {
    this.expect(bytes);
    this.#window.copyWithin(0, this.#at, this.#filled);
    this.#base += this.#at;
    this.#filled -= this.#at;
    this.#at = 0;
    const more = Math.min(this.#window.length, this.#region.end - this.#base) - this.#filled;
    this.#source.read(this.#base + this.#filled, this.#window.subarray(this.#filled, this.#filled + more));
    this.#filled += more;
  }
}

function newDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
}

function ifUtf8(decode: () => string): string | undefined {
  try {
    return decode();
  } catch (error) {
    // How a decoder that is told to be fatal says so.
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
