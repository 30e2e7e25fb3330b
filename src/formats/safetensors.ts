import { ByteCursor } from "./byte-cursor.ts";
import { type ByteSource, checkSize } from "./byte-source.ts";
import { FormatError, shown } from "./format-error.ts";
import { JsonReader, type JsonValue, isObject } from "./json-reader.ts";
import { MAX_TENSORS, type ModelFile, type Tensor, checkName, elementsOf } from "./model-file.ts";
import { MetadataSuspicions, hiddenFiles } from "./polyglot.ts";
import { safetensorsBits } from "./safetensors-type.ts";

const LENGTH_BYTES = 8;
/** The limit of the reference implementation. */
const MAX_HEADER_BYTES = 100_000_000;
const MAX_NAME_BYTES = 4_096;
const MAX_DIMENSIONS = 32;
const MAX_METADATA_KEYS = 100_000;
const OPEN_BRACE = 0x7b;
const SPACE = 0x20;
/** dtype, shape and data_offsets. */
const FIELDS = 3;

/** Where an architecture may stand in a file's metadata: as ModelSpec has it, else plainly. */
const ARCHITECTURE_KEYS: readonly string[] = ["modelspec.architecture", "architecture"];
const MAX_ARCHITECTURE = 256;

/** Does a file begin as safetensors does: with the length of a header, and a brace? */
export function isSafetensors(head: Uint8Array): boolean {
  if (head.length <= LENGTH_BYTES) return false;
  return new DataView(head.buffer, head.byteOffset).getBigUint64(0, true) <= MAX_HEADER_BYTES && head[LENGTH_BYTES] === OPEN_BRACE;
}

/**
 * Reads the header of a safetensors file by the rules of the reference implementation, and stricter ones where readers could disagree.
 * Of the data, only first and last bytes are looked at, for another file hidden in it. `note` is told each entry of the metadata. Throws
 * `FormatError`.
 */
export function readSafetensors(source: ByteSource, note: (key: string, value: string) => void = () => undefined): ModelFile {
  checkSize(source);
  const dataStart = LENGTH_BYTES + headerLength(source);
  const cursor = new ByteCursor(source, { start: LENGTH_BYTES, end: dataStart, beyond: "the header ends inside its JSON text" });
  if (cursor.peek() !== OPEN_BRACE) throw new FormatError("the header does not begin with {");
  const header = readHeader(cursor, source.size, note);
  while (cursor.remaining > 0) {
    if (cursor.u8() !== SPACE) throw new FormatError("something other than spaces follows the header's JSON text");
  }
  const tensors = inOrder(header.tensors, source.size - dataStart);
  return {
    format: "safetensors",
    architecture: header.architecture,
    fileType: undefined,
    dataStart,
    tensors,
    suspicions: [...header.suspicions, ...hiddenFiles(source, { dataStart, tensors })],
  };
}

function headerLength(source: ByteSource): number {
  if (source.size < LENGTH_BYTES + 2) throw new FormatError("the file is shorter than a safetensors header");
  const cursor = new ByteCursor(source, { start: 0, end: LENGTH_BYTES, beyond: "the file ends inside its header" });
  const length = cursor.u64(MAX_HEADER_BYTES, "the length of the header");
  if (length > source.size - LENGTH_BYTES) throw new FormatError("the file ends inside its header");
  return length;
}

interface Header {
  readonly tensors: Tensor[];
  readonly architecture: string | undefined;
  readonly suspicions: readonly string[];
}

function readHeader(cursor: ByteCursor, fileSize: number, note: (key: string, value: string) => void): Header {
  const json = new JsonReader(cursor);
  const tensors: Tensor[] = [];
  let metadata: Omit<Header, "tensors"> = { architecture: undefined, suspicions: [] };
  for (const name of json.members(MAX_TENSORS + 1)) {
    if (name === "__metadata__") metadata = readMetadata(json, note);
    else tensors.push(tensorOf(name, json.value(), fileSize));
  }
  return { tensors, ...metadata };
}

/** Text by key, of which nothing is kept here but the architecture. */
function readMetadata(json: JsonReader, note: (key: string, value: string) => void): Omit<Header, "tensors"> {
  const found = new Map<string, string>();
  const suspicions = new MetadataSuspicions();
  for (const key of json.members(MAX_METADATA_KEYS)) {
    const value = json.text();
    suspicions.look(key, value);
    note(key, value);
    if (ARCHITECTURE_KEYS.includes(key)) found.set(key, value);
  }
  const architecture = ARCHITECTURE_KEYS.map((key) => found.get(key)).find((value) => value !== undefined && isName(value));
  return { architecture, suspicions: suspicions.found() };
}

function isName(value: string): boolean {
  return value !== "" && value.length <= MAX_ARCHITECTURE && !/\p{Cc}/u.test(value);
}

function tensorOf(name: string, value: JsonValue, fileSize: number): Tensor {
  checkName(name, MAX_NAME_BYTES);
  const { type, shape, begin, end } = fieldsOf(name, value);
  const bits = safetensorsBits(type);
  if (bits === undefined) throw new FormatError(`tensor ${shown(name)} has the type ${shown(type)}, which safetensors does not have`);
  const elements = elementsOf(shape, fileSize);
  const size = end - begin;
  // Not a whole number of bytes never equals one.
  if (elements === undefined || (elements * bits) / 8 !== size)
    throw new FormatError(`tensor ${shown(name)} has another size than its type and shape make`);
  return { name, type, shape, offset: begin, size, elements };
}

interface Fields {
  readonly type: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function fieldsOf(name: string, value: JsonValue): Fields {
  const fields = isObject(value) && value.size === FIELDS ? fieldsIn(value) : undefined;
  if (fields === undefined)
    throw new FormatError(`tensor ${shown(name)} is not described by dtype, shape and data_offsets, and nothing else`);
  return fields;
}

function fieldsIn(members: ReadonlyMap<string, JsonValue>): Fields | undefined {
  const type = members.get("dtype");
  const shape = countsOf(members.get("shape"));
  const offsets = countsOf(members.get("data_offsets"));
  if (typeof type !== "string" || shape === undefined || shape.length > MAX_DIMENSIONS) return undefined;
  const [begin, end] = offsets ?? [];
  if (begin === undefined || end === undefined || offsets?.length !== 2 || begin > end) return undefined;
  return { type, shape, begin, end };
}

function countsOf(value: JsonValue | undefined): readonly number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const counts = value.filter((item): item is number => typeof item === "number" && Number.isSafeInteger(item) && item >= 0);
  return counts.length === value.length ? counts : undefined;
}

/** The tensors in the order of their bytes, which cover the data whole, once and without a gap: what no tensor describes could be anything. */
function inOrder(tensors: readonly Tensor[], dataSize: number): readonly Tensor[] {
  const ordered = tensors.toSorted((a, b) => a.offset - b.offset || a.size - b.size || (a.name < b.name ? -1 : 1));
  let end = 0;
  for (const { name, offset, size } of ordered) {
    if (offset !== end)
      throw new FormatError(`tensor ${shown(name)} ${offset < end ? "overlaps" : "leaves a gap behind"} the one before it`);
    end = offset + size;
  }
  if (end > dataSize) throw new FormatError("the file ends before its tensors");
  if (end < dataSize) throw new FormatError(`${dataSize - end} bytes follow the last tensor`);
  return ordered;
}
