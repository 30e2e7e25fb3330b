/** What a CBOR item can be here: no floats, no indefinite lengths, and of the simple values only these. */
export type CborValue = number | string | Buffer | boolean | null | readonly CborValue[] | CborMap | CborTag;
/** A map whose keys are whole numbers and texts. */
export type CborMap = ReadonlyMap<number | string, CborValue>;
/** A tagged item. */
interface CborTag {
  readonly tag: number;
  readonly value: CborValue;
}

/** Bytes that are not the CBOR that is read here. */
export class CborError extends Error {
  override readonly name = "CborError";
}

const MAX_DEPTH = 8;
const MAX_ITEMS = 1_024;

const BYTES = 2;
const TEXT = 3;

/** Reads exactly one item (RFC 8949), at most 8 deep and of at most 1024 items in all; throws a `CborError`. */
export function readCbor(bytes: Buffer): CborValue {
  const reader = new Reader(bytes);
  const value = reader.item(0);
  if (!reader.isAtEnd) throw new CborError("bytes follow the item");
  return value;
}

/** The shortest encoding of a byte string, as signature structures have it. */
export function cborBytes(bytes: Buffer): Buffer {
  return Buffer.concat([head(BYTES, bytes.length), bytes]);
}

/** The shortest encoding of a text, as signature structures have it. */
export function cborText(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([head(TEXT, bytes.length), bytes]);
}

function head(major: number, length: number): Buffer {
  if (length < 24) return Buffer.from([(major << 5) | length]);
  if (length < 0x1_00) return Buffer.from([(major << 5) | 24, length]);
  if (length < 0x1_00_00) return Buffer.from([(major << 5) | 25, length >> 8, length & 0xff]);
  const long = Buffer.alloc(5, (major << 5) | 26);
  long.writeUInt32BE(length, 1);
  return long;
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;
  #items = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  item(depth: number): CborValue {
    this.#items += 1;
    if (depth > MAX_DEPTH || this.#items > MAX_ITEMS) throw new CborError("it is nested too deep or has too many items");
    const initial = this.#take(1)[0] ?? 0;
    const major = initial >> 5;
    if (major === 7) return simpleValue(initial & 0x1f);
    const argument = this.#argument(initial & 0x1f);
    return this.#ofMajor(major, argument, depth + 1);
  }

  #ofMajor(major: number, argument: number, depth: number): CborValue {
    switch (major) {
      case 0:
        return argument;
      case 1:
        return -1 - argument;
      case BYTES:
        return this.#take(argument);
      case TEXT:
        return textOf(this.#take(argument));
      case 4:
        return this.#list(argument, depth);
      case 5:
        return this.#map(argument, depth);
      default:
        return { tag: argument, value: this.item(depth) };
    }
  }

  #list(length: number, depth: number): readonly CborValue[] {
    const items: CborValue[] = [];
    // Grows with what is read, whatever length it claims: `item` ends it.
    while (items.length < length) items.push(this.item(depth));
    return items;
  }

  #map(length: number, depth: number): CborMap {
    const map = new Map<number | string, CborValue>();
    for (let pair = 0; pair < length; pair += 1) {
      const key = this.item(depth);
      if (typeof key !== "number" && typeof key !== "string") throw new CborError("a key is neither number nor text");
      if (map.has(key)) throw new CborError("a map has a key twice");
      map.set(key, this.item(depth));
    }
    return map;
  }

  /** The number in or behind an initial byte. */
  #argument(info: number): number {
    if (info < 24) return info;
    const width = info - 24;
    if (width > 3) throw new CborError("a length is indefinite or reserved");
    const value = this.#take(2 ** width).reduce((sum, byte) => sum * 256 + byte, 0);
    if (!Number.isSafeInteger(value)) throw new CborError("a number is too large");
    return value;
  }

  #take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new CborError("it ends too early");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

function simpleValue(info: number): boolean | null {
  if (info === 20 || info === 21) return info === 21;
  if (info === 22) return null;
  throw new CborError("a simple value or float is not read here");
}

function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CborError("a text is not UTF-8");
  }
}
