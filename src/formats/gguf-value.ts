import { createHash } from "node:crypto";
import type { ByteSource } from "./byte-source.ts";
import type { PlacedValue } from "./gguf-metadata.ts";

/** GGUF's types of metadata values by their number. */
const TYPES = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "float32",
  "bool",
  "string",
  "array",
  "uint64",
  "int64",
  "float64",
] as const;
type ScalarType = Exclude<(typeof TYPES)[number], "string" | "array">;

const READERS: Readonly<Record<ScalarType, { readonly bytes: number; readonly read: (view: DataView, at: number) => string }>> = {
  uint8: { bytes: 1, read: (view, at) => String(view.getUint8(at)) },
  int8: { bytes: 1, read: (view, at) => String(view.getInt8(at)) },
  uint16: { bytes: 2, read: (view, at) => String(view.getUint16(at, true)) },
  int16: { bytes: 2, read: (view, at) => String(view.getInt16(at, true)) },
  uint32: { bytes: 4, read: (view, at) => String(view.getUint32(at, true)) },
  int32: { bytes: 4, read: (view, at) => String(view.getInt32(at, true)) },
  float32: { bytes: 4, read: (view, at) => String(Number(view.getFloat32(at, true).toPrecision(7))) },
  bool: { bytes: 1, read: (view, at) => String(view.getUint8(at) === 1) },
  uint64: { bytes: 8, read: (view, at) => String(view.getBigUint64(at, true)) },
  int64: { bytes: 8, read: (view, at) => String(view.getBigInt64(at, true)) },
  float64: { bytes: 8, read: (view, at) => String(view.getFloat64(at, true)) },
};

/** At most so many UTF-16 code units of a text, and no half of a character. */
export function beginningOf(text: string, limit: number): string {
  return text.slice(0, limit).replace(/[\uD800-\uDBFF]$/, "");
}

function isScalar(type: string): type is ScalarType {
  return Object.hasOwn(READERS, type);
}

/** A string's length; an array's type and length. */
const STRING_HEAD = 8;
const ARRAY_HEAD = 12;
/** Shorter lists of numbers are shown whole. */
const MAX_ITEMS = 16;
const PIECE = 1_048_576;
/** In bytes of UTF-8, for a code unit. */
const LONGEST_UNIT = 3;

interface ShownValue {
  readonly type: string;
  readonly value: string;
  readonly hash: string;
}

/** Reads values whose place in a GGUF file was found, and which are known to be right, as text of at most so many UTF-16 code units. */
export class GgufValues {
  readonly #source: ByteSource;
  readonly #limit: number;

  constructor(source: ByteSource, limit: number) {
    this.#source = source;
    this.#limit = limit;
  }

  /** The value as people read it, with a hash of its bytes where that leaves something out. */
  shown(placed: PlacedValue): ShownValue {
    const type = TYPES[placed.type];
    if (type === "string") return this.#string(placed);
    if (type === "array") return this.#array(placed);
    if (type === undefined) return { type: "unknown", value: "", hash: this.#hash(placed) };
    const { bytes, read } = READERS[type];
    return { type, value: read(this.#view(placed.start, bytes), 0), hash: "" };
  }

  #string(placed: PlacedValue): ShownValue {
    const start = placed.start + STRING_HEAD;
    const length = Math.min(placed.end - start, this.#limit * LONGEST_UNIT);
    const isCut = start + length < placed.end;
    // As a stream: a character that the cut goes through is left out.
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.#view(start, length), { stream: isCut });
    if (!isCut && text.length <= this.#limit) return { type: "string", value: text, hash: "" };
    return { type: "string", value: beginningOf(text, this.#limit), hash: this.#hash(placed) };
  }

  #array(placed: PlacedValue): ShownValue {
    const head = this.#view(placed.start, ARRAY_HEAD);
    const type = TYPES[head.getUint32(0, true)] ?? "unknown";
    const count = Number(head.getBigUint64(4, true));
    const items = count <= MAX_ITEMS ? this.#items(type, placed.start + ARRAY_HEAD, count) : undefined;
    if (items !== undefined) return { type: `array of ${type}`, value: items, hash: "" };
    return { type: `array of ${type}`, value: `${count} items`, hash: this.#hash(placed) };
  }

  #items(type: string, start: number, count: number): string | undefined {
    if (!isScalar(type)) return undefined;
    const reader = READERS[type];
    const view = this.#view(start, count * reader.bytes);
    return Array.from({ length: count }, (_, at) => reader.read(view, at * reader.bytes)).join(", ");
  }

  #view(start: number, length: number): DataView {
    const bytes = new Uint8Array(length);
    if (length > 0) this.#source.read(start, bytes);
    return new DataView(bytes.buffer);
  }

  #hash({ start, end }: PlacedValue): string {
    const hash = createHash("sha256");
    const piece = new Uint8Array(Math.min(PIECE, end - start));
    for (let at = start; at < end; at += piece.length) {
      const part = piece.subarray(0, Math.min(piece.length, end - at));
      this.#source.read(at, part);
      hash.update(part);
    }
    return hash.digest("hex");
  }
}
