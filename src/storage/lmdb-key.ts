import type { Key } from "./metadata-store.ts";

/** What LMDB allows with pages of 4 KiB. */
const MAX_KEY_BYTES = 1978;
const NUMBER = 0x10;
const TEXT = 0x20;
const END_OF_TEXT = 0;
/** Inside of text `\0` is written as `\x01\x01` and `\x01` as `\x01\x02`, so that the end of a text sorts before all that goes on. */
const ESCAPE = "\x01";

const scratch = Buffer.alloc(MAX_KEY_BYTES + 1);

/**
 * A key as bytes that sort like the key: component by component, numbers before text, text by code points.
 * Throws a `RangeError` for a key of more than 1978 bytes and a `TypeError` for what has no place in the order.
 */
export function encodeKey(key: Key): Buffer {
  return Buffer.from(encodeKeyBriefly(key));
}

/** Like `encodeKey`, but the bytes are good only until the next key is encoded: for look-ups, which copy them at once. */
export function encodeKeyBriefly(key: Key): Buffer {
  let at = 0;
  for (const part of key) at = typeof part === "number" ? writeNumber(part, at) : writeText(part, at);
  return scratch.subarray(0, at);
}

function writeNumber(value: number, at: number): number {
  if (!Number.isFinite(value)) throw new TypeError("a number in a key must be finite");
  const end = at + 9;
  need(end);
  scratch[at] = NUMBER;
  // Adding 0 makes -0 the 0 that it equals.
  scratch.writeDoubleBE(value + 0, at + 1);
  // IEEE 754 sorts as bytes once the sign is turned, and for negative numbers every bit.
  if (value < 0) for (let i = at + 1; i < end; i += 1) scratch[i] = ~(scratch[i] ?? 0);
  else scratch[at + 1] = (scratch[at + 1] ?? 0) | 0x80;
  return end;
}

function writeText(text: string, at: number): number {
  if (!text.isWellFormed()) throw new TypeError("text in a key must be well-formed");
  const plain = text.replaceAll(ESCAPE, "\x01\x02").replaceAll("\0", "\x01\x01");
  const end = at + 2 + Buffer.byteLength(plain);
  need(end);
  scratch[at] = TEXT;
  scratch.write(plain, at + 1);
  scratch[end - 1] = END_OF_TEXT;
  return end;
}

function need(end: number): void {
  if (end > MAX_KEY_BYTES) throw new RangeError(`a key may have at most ${MAX_KEY_BYTES} bytes`);
}

/** The key that `encodeKey` made these bytes of. */
export function decodeKey(bytes: Buffer): Key {
  const parts: (string | number)[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] === NUMBER) {
      parts.push(readNumber(bytes, at + 1));
      at += 9;
    } else {
      const end = bytes.indexOf(END_OF_TEXT, at);
      parts.push(readText(bytes, at + 1, end));
      at = end + 1;
    }
  }
  const [first, ...rest] = parts;
  if (typeof first !== "string") throw new TypeError("a key begins with text");
  return [first, ...rest];
}

function readNumber(bytes: Buffer, at: number): number {
  const copy = Buffer.from(bytes.subarray(at, at + 8));
  const positive = ((copy[0] ?? 0) & 0x80) !== 0;
  if (positive) copy[0] = (copy[0] ?? 0) & 0x7f;
  else for (let i = 0; i < 8; i += 1) copy[i] = ~(copy[i] ?? 0);
  return copy.readDoubleBE(0);
}

function readText(bytes: Buffer, start: number, end: number): string {
  return bytes.toString("utf8", start, end).replaceAll("\x01\x01", "\0").replaceAll("\x01\x02", ESCAPE);
}
