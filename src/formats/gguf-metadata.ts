import type { ByteCursor } from "./byte-cursor.ts";
import { FormatError, shown } from "./format-error.ts";

/** What is kept of a GGUF file's metadata; all of the rest is checked and passed over. */
export interface GgufMetadata {
  readonly architecture: string | undefined;
  readonly fileType: number | undefined;
  /** In bytes; a power of two. */
  readonly alignment: number;
}

const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 65_536;
const MAX_KEYS = 100_000;
const MAX_KEY_BYTES = 4_096;
/** All keys together; they are kept, so that none comes twice. */
const MAX_ALL_KEYS_BYTES = 16 * 1024 * 1024;
const MAX_STRING_BYTES = 64 * 1024 * 1024;
const MAX_ARCHITECTURE_BYTES = 256;
/** Above the largest vocabularies (some 300 000 tokens, and their merges) by far; items are passed over, not kept. */
const MAX_ITEMS = 2 ** 24;
const MAX_NESTING = 8;
/** Length of a key, one byte of it, its type, one byte of a value. */
const LEAST_ENTRY_BYTES = 8 + 1 + 4 + 1;

const U32 = 4;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;
/** Bytes of a value by its type's number; strings and arrays have none that is fixed. */
const FIXED_BYTES: readonly (number | undefined)[] = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
/** The fewest bytes that one item takes, by its type: a string's length, or an array's type and length. */
const LEAST_BYTES: readonly (number | undefined)[] = FIXED_BYTES.map((bytes, type) => bytes ?? (type === STRING ? 8 : 12));

/** Where a value of the metadata stands in the file, once it was found to be one: from `start`, up to `end`. */
export interface PlacedValue {
  readonly key: string;
  /** Its number. */
  readonly type: number;
  readonly start: number;
  readonly end: number;
}

/** Reads the key-value pairs of a GGUF header, from their count on, and tells of each where it is. Throws `FormatError`. */
export function readMetadata(cursor: ByteCursor, note: (value: PlacedValue) => void = () => undefined): GgufMetadata {
  const count = cursor.u64(MAX_KEYS, "the number of metadata keys");
  cursor.expect(count * LEAST_ENTRY_BYTES);
  const keys = new Set<string>();
  const found: Found = {};
  let bytes = 0;
  for (let at = 0; at < count; at += 1) {
    const key = readKey(cursor);
    bytes += key.length;
    if (bytes > MAX_ALL_KEYS_BYTES) throw new FormatError("the metadata keys take more than 16 MiB together");
    if (keys.has(key)) throw new FormatError(`the metadata key ${shown(key)} comes twice`);
    keys.add(key);
    const type = cursor.u32();
    const start = cursor.position;
    readValue(cursor, { key, type }, found);
    note({ key, type, start, end: cursor.position });
  }
  const { architecture, fileType, alignment = DEFAULT_ALIGNMENT } = found;
  return { architecture, fileType, alignment };
}

interface Found {
  architecture?: string;
  fileType?: number;
  alignment?: number;
}

/** Keeps what is asked for, and passes over all else. */
function readValue(cursor: ByteCursor, { key, type }: Pick<PlacedValue, "key" | "type">, found: Found): void {
  if (key === "general.architecture" && type === STRING) found.architecture = readArchitecture(cursor);
  else if (key === "general.alignment") found.alignment = readAlignment(cursor, type);
  else if (key === "general.file_type" && type === U32) found.fileType = cursor.u32();
  else skipValue(cursor, type, { key, depth: 0 });
}

function readKey(cursor: ByteCursor): string {
  const key = cursor.text(cursor.u64(MAX_KEY_BYTES, "the length of a metadata key"));
  if (key === undefined) throw new FormatError("a metadata key is not UTF-8");
  if (key === "") throw new FormatError("a metadata key is empty");
  if (key.includes("\0")) throw new FormatError(`the metadata key ${shown(key)} has a NUL`);
  return key;
}

function readArchitecture(cursor: ByteCursor): string {
  const architecture = cursor.text(cursor.u64(MAX_ARCHITECTURE_BYTES, "the length of general.architecture"));
  if (architecture === undefined) throw new FormatError("general.architecture is not UTF-8");
  if (architecture === "" || /\p{Cc}/u.test(architecture)) throw new FormatError("general.architecture is no name");
  return architecture;
}

function readAlignment(cursor: ByteCursor, type: number): number {
  // As llama.cpp has it: of any other type it would be another number to some readers.
  if (type !== U32) throw new FormatError("general.alignment is not of the type uint32");
  const alignment = cursor.u32();
  if (alignment === 0 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)) !== 0)
    throw new FormatError(`general.alignment is ${alignment}, and must be a power of two of at most ${MAX_ALIGNMENT}`);
  return alignment;
}

interface Place {
  readonly key: string;
  readonly depth: number;
}

function skipValue(cursor: ByteCursor, type: number, place: Place): void {
  if (type === STRING) skipString(cursor, place.key);
  else if (type === ARRAY) skipArray(cursor, place);
  else if (type === BOOL) skipBool(cursor, place.key);
  else cursor.skip(fixedBytes(type, place.key));
}

function skipString(cursor: ByteCursor, key: string): void {
  if (!cursor.skipText(stringLength(cursor))) throw new FormatError(`the text of ${shown(key)} is not UTF-8`);
}

function stringLength(cursor: ByteCursor): number {
  return cursor.u64(MAX_STRING_BYTES, "the length of a metadata text");
}

function skipBool(cursor: ByteCursor, key: string): void {
  if (cursor.u8() > 1) throw new FormatError(`a truth value of ${shown(key)} is neither 0 nor 1`);
}

function skipArray(cursor: ByteCursor, { key, depth }: Place): void {
  if (depth === MAX_NESTING) throw new FormatError(`the arrays of ${shown(key)} are nested more than ${MAX_NESTING} deep`);
  const type = cursor.u32();
  const least = LEAST_BYTES[type];
  if (least === undefined) throw unknownType(type, key);
  const count = cursor.u64(MAX_ITEMS, `the length of ${shown(key)}`);
  // Before anything is done for each item: a length may be a lie.
  cursor.expect(count * least);
  if (type !== STRING && type !== ARRAY && type !== BOOL) {
    cursor.skip(count * least);
    return;
  }
  for (let at = 0; at < count; at += 1) {
    // Vocabularies of 2023 hold tokens as raw bytes, which are not UTF-8 each for itself.
    if (type === STRING) cursor.skip(stringLength(cursor));
    else skipValue(cursor, type, { key, depth: depth + 1 });
  }
}

function fixedBytes(type: number, key: string): number {
  const bytes = FIXED_BYTES[type];
  if (bytes === undefined) throw unknownType(type, key);
  return bytes;
}

function unknownType(type: number, key: string): FormatError {
  return new FormatError(`the value of ${shown(key)} has the type ${type}, which GGUF does not have`);
}
