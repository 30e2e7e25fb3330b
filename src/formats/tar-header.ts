import type { LayoutFault } from "../oci/layout-fault.ts";
import { FormatError } from "./format-error.ts";

/** Why a file is not taken for a tar archive; `message` is safe to show. */
export class TarError extends FormatError {
  readonly code: Extract<LayoutFault, "archive-invalid" | "archive-unsafe" | "layout-too-large">;

  constructor(code: TarError["code"], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** A tar archive is a row of these, headers and content alike (POSIX.1-2024, pax, "ustar Interchange Format"). */
export const TAR_BLOCK = 512;
/** The most bytes that a header's own records may have: paths and sizes need a fraction. */
export const MAX_RECORD_BYTES = 1_048_576;
const MAX_NAME = 1024;

/** What a header announces. `records` and `long-name` tell about the member that follows. */
export interface TarHeader {
  readonly kind: "file" | "directory" | "records" | "long-name";
  readonly name: string;
  readonly size: number;
}

/** What pax records say of the member that follows. */
export interface TarRecords {
  readonly path?: string;
  readonly size?: number;
}

const KINDS: ReadonlyMap<string, TarHeader["kind"]> = new Map([
  ["0", "file"],
  // As it was written before POSIX.
  ["\0", "file"],
  ["5", "directory"],
  ["x", "records"],
  ["L", "long-name"],
]);

/** Is this block nothing but zeros, as at the end of an archive? */
export function isZeroBlock(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}

/** Reads a header. Throws `TarError` for a wrong checksum, and for members that are neither files nor folders: links, devices, sparse files. */
export function parseTarHeader(block: Buffer): TarHeader {
  if (block.length !== TAR_BLOCK) throw new TarError("archive-invalid", "the archive ends in the middle of a header");
  if (octal(block.subarray(148, 156)) !== checksumOf(block)) {
    throw new TarError("archive-invalid", "this is not a tar archive, or it is damaged");
  }
  const kind = KINDS.get(String.fromCharCode(block[156] ?? 0));
  if (kind === undefined) {
    throw new TarError("archive-unsafe", "the archive has links, devices or other members that are neither files nor folders");
  }
  return { kind, name: nameOf(block), size: numberOf(block.subarray(124, 136)) };
}

/** Reads the records of a pax header: `<length> <key>=<value>\n`, each. */
export function parseTarRecords(bytes: Buffer): TarRecords {
  const records: { path?: string; size?: number } = {};
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(0x20, at);
    const length = space === -1 || space - at > 8 ? NaN : Number(bytes.toString("latin1", at, space));
    const record = Number.isSafeInteger(length) && length > 0 ? bytes.subarray(space + 1, at + length) : Buffer.alloc(0);
    if (at + length > bytes.length || record.at(-1) !== 0x0a) throw invalidRecords();
    addRecord(records, record.subarray(0, -1));
    at += length;
  }
  return records;
}

/** What is of no interest may hold any bytes, as extended attributes do. */
function addRecord(records: { path?: string; size?: number }, record: Buffer): void {
  const equals = record.indexOf("=");
  if (equals < 1) throw invalidRecords();
  const [key, value] = [record.toString("latin1", 0, equals), record.subarray(equals + 1)];
  if (key.startsWith("GNU.sparse.")) throw new TarError("archive-unsafe", "the archive has sparse files");
  if (key === "path") records.path = checkedName(textOf(value));
  if (key === "size") records.size = checkedSize(/^\d{1,16}$/.test(value.toString("latin1")) ? Number(value.toString("latin1")) : NaN);
}

/** The name in a GNU long-name member. */
export function parseLongName(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return checkedName(textOf(end === -1 ? bytes : bytes.subarray(0, end)));
}

function nameOf(block: Buffer): string {
  const name = cString(block.subarray(0, 100));
  const isPosix = block.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isPosix ? cString(block.subarray(345, 500)) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

function cString(field: Buffer): string {
  const end = field.indexOf(0);
  return textOf(end === -1 ? field : field.subarray(0, end));
}

function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new TarError("archive-invalid", "a name in the archive is not UTF-8", error);
  }
}

/** Octal digits, or what GNU writes for more than 8 GiB: a first bit of 1, and a binary number behind it. */
function numberOf(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) === 0) return octal(field);
  const high = field.subarray(1, 4).every((byte) => byte === 0) && field[0] === 0x80;
  return checkedSize(high ? Number(field.readBigUInt64BE(4)) : NaN);
}

function octal(field: Buffer): number {
  const [, digits] = /^ *([0-7]{0,12})[ \0]*$/.exec(field.toString("latin1")) ?? [];
  if (digits === undefined) throw new TarError("archive-invalid", "this is not a tar archive, or it is damaged");
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

function checkedSize(size: number): number {
  if (!Number.isSafeInteger(size)) throw new TarError("archive-invalid", "a member of the archive has a size that nothing can have");
  return size;
}

function checkedName(name: string): string {
  if (name.length > MAX_NAME) throw new TarError("layout-too-large", `a name in the archive has more than ${MAX_NAME} characters`);
  if (name === "" || name.includes("\0")) throw new TarError("archive-invalid", "a member of the archive has no valid name");
  return name;
}

/** The sum of all bytes, those of the checksum itself counted as spaces. */
function checksumOf(block: Buffer): number {
  let sum = 0;
  for (const [at, byte] of block.entries()) sum += at >= 148 && at < 156 ? 0x20 : byte;
  return sum;
}

function invalidRecords(): TarError {
  return new TarError("archive-invalid", "the archive's extended headers are damaged");
}
