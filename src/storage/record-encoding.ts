import { goJson } from "../oci/go-json.ts";

/** How the rest of an encoded value is to be read. */
const JSON_TEXT = 0;
const BYTES = 1;
const JSON_WITH_BYTES = 2;
/** Where the version, a double, stands in an encoded record; the kind and the value follow. */
const KIND_AT = 8;
const VALUE_AT = 9;

/** Marks text of `JSON_WITH_BYTES` that stands for bytes; text that begins like it gets it twice. */
const MARK = "\0";

/**
 * A value (JSON, or `Uint8Array` at any depth) as bytes, with room for its version in front. Members that are undefined are left out.
 * Throws a `TypeError` for anything else, since a record that does not come back as it was put would be found too late.
 */
export function encodeRecord(value: unknown): Buffer {
  if (value instanceof Uint8Array) return recordOf(BYTES, value);
  const parts = partsOf(value);
  if (parts.bytes) return encodeWithBytes(value);
  // JSON.stringify would lose the sign, and with it the hash of what was hashed before.
  return encodeText(parts.negativeZero ? goJson(value) : JSON.stringify(value));
}

function encodeText(text: string): Buffer {
  const record = Buffer.allocUnsafe(VALUE_AT + Buffer.byteLength(text));
  record[KIND_AT] = JSON_TEXT;
  record.write(text, VALUE_AT);
  return record;
}

function recordOf(kind: number, ...parts: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(VALUE_AT);
  head[KIND_AT] = kind;
  return Buffer.concat([head, ...parts]);
}

/** What is in a value that JSON.stringify does not write. */
interface Parts {
  bytes: boolean;
  negativeZero: boolean;
}

/** Checks that a value can be encoded, and tells what takes more than JSON.stringify. */
function partsOf(value: unknown): Parts {
  const parts = { bytes: false, negativeZero: false };
  look(value, parts);
  return parts;
}

function look(value: unknown, parts: Parts): void {
  if (value === null || typeof value !== "object") lookAtScalar(value, parts);
  else if (value instanceof Uint8Array) parts.bytes = true;
  else for (const member of membersOf(value)) look(member, parts);
}

/** Throws for what JSON cannot hold. */
function lookAtScalar(value: unknown, parts: Parts): void {
  const holds = value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
  if (!holds) throw new TypeError(`a record cannot hold this ${typeof value}`);
  if (Object.is(value, -0)) parts.negativeZero = true;
}

function membersOf(value: object): unknown[] {
  // Array.from shows holes, which JSON would turn into null.
  if (Array.isArray(value)) return Array.from(value);
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new TypeError("a record holds plain objects only");
  return Object.values(value).filter((member) => member !== undefined);
}

function encodeWithBytes(value: unknown): Buffer {
  const parts: Uint8Array[] = [];
  const text = JSON.stringify(value, function replace(this: Record<string, unknown>, name: string, member: unknown): unknown {
    // Buffer.toJSON has been at work on `member` already.
    const original = this[name];
    if (original instanceof Uint8Array) return `${MARK}${parts.push(original) - 1}`;
    return typeof member === "string" && member.startsWith(MARK) ? MARK + member : member;
  });
  const index = JSON.stringify([Buffer.byteLength(text), ...parts.map((part) => part.length)]);
  return recordOf(JSON_WITH_BYTES, Buffer.from(`${index}\n${text}`), ...parts);
}

/** Writes the version into an encoded record. */
export function setVersion(record: Buffer, version: number): void {
  record.writeDoubleLE(version, 0);
}

/** The version of an encoded record. */
export function versionOf(record: Buffer): number {
  return record.readDoubleLE(0);
}

/** Are there bytes in the value of an encoded record? */
export function holdsBytes(record: Buffer): boolean {
  return record[KIND_AT] !== JSON_TEXT;
}

/** The value of an encoded record of `length` bytes; it shares no memory with the record. */
export function decodeRecord(record: Buffer, length: number = record.length): unknown {
  const kind = record[KIND_AT];
  if (kind === JSON_TEXT) return JSON.parse(record.toString("utf8", VALUE_AT, length));
  if (kind === BYTES) return bytesOf(record, VALUE_AT, length);
  if (kind === JSON_WITH_BYTES) return decodeWithBytes(record);
  throw new TypeError("a record of an unknown encoding: it was written by a later version");
}

function decodeWithBytes(record: Buffer): unknown {
  const textAt = record.indexOf("\n", VALUE_AT) + 1;
  const [textLength = 0, ...lengths] = numbersOf(JSON.parse(record.toString("utf8", VALUE_AT, textAt)));
  let at = textAt + textLength;
  const parts = lengths.map((length) => bytesOf(record, at, (at += length)));
  return JSON.parse(record.toString("utf8", textAt, textAt + textLength), (_name, member: unknown) => {
    if (typeof member !== "string" || !member.startsWith(MARK)) return member;
    return member.startsWith(MARK, 1) ? member.slice(1) : parts[Number(member.slice(1))];
  });
}

function numbersOf(value: unknown): number[] {
  return Array.isArray(value) ? value.map(Number) : [];
}

function bytesOf(record: Buffer, start: number, end: number): Uint8Array {
  return new Uint8Array(record.subarray(start, end));
}
