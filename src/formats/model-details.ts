import { createHash } from "node:crypto";
import type { ByteSource } from "./byte-source.ts";
import { GgufValues, beginningOf } from "./gguf-value.ts";
import { type ModelFacts, factsOf, readModelFile } from "./model-facts.ts";
import type { Tensor } from "./model-file.ts";

/** An entry of a file's metadata, as people read it. */
interface MetadataEntry {
  readonly key: string;
  readonly type: string;
  /** Its beginning, where it is long. */
  readonly value: string;
  /** SHA-256 of its bytes in hex, where `value` does not tell it from others; else empty. */
  readonly hash: string;
}

/** A tensor as it is listed. */
type ListedTensor = Pick<Tensor, "name" | "type" | "shape">;

/** What the header of a model file says, as far as a page shows it; the counts are of all that there is. */
export interface ModelDetails {
  readonly facts: ModelFacts;
  readonly metadata: readonly MetadataEntry[];
  readonly metadataCount: number;
  /** In the order of their names. */
  readonly tensors: readonly ListedTensor[];
  /** SHA-256 in hex over names, types and shapes of all tensors, listed or not. */
  readonly tensorsHash: string;
}

export const MAX_LISTED_ENTRIES = 500;
export const MAX_LISTED_TENSORS = 10_000;
/** UTF-16 code units of all names together. */
const MAX_NAMES = 1_000_000;
const MAX_KEY = 200;
/** Of a value as it is shown. */
export const MAX_SHOWN_VALUE = 300;

/** Reads the header of a model file in detail: values of its metadata too, which are hashed where they are long. Throws `FormatError`. */
export function readDetails(source: ByteSource, name: string): ModelDetails {
  const values = new GgufValues(source, MAX_SHOWN_VALUE);
  const metadata: (() => MetadataEntry)[] = [];
  let metadataCount = 0;
  const note = (entry: () => MetadataEntry): void => {
    metadataCount += 1;
    if (metadata.length < MAX_LISTED_ENTRIES) metadata.push(entry);
  };
  const file = readModelFile(source, name, {
    // A value is read only once the whole header was found to be one.
    placed: (value) => note(() => ({ key: beginningOf(value.key, MAX_KEY), ...values.shown(value) })),
    text: (key, value) => note(() => ({ key: beginningOf(key, MAX_KEY), type: "string", ...shortened(value) })),
  });
  const tensors = file.tensors.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return {
    facts: factsOf(file),
    metadata: metadata.map((entry) => entry()).toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    metadataCount,
    tensors: listed(tensors),
    tensorsHash: hashOf(tensors),
  };
}

function shortened(value: string): Pick<MetadataEntry, "value" | "hash"> {
  if (value.length <= MAX_SHOWN_VALUE) return { value, hash: "" };
  return { value: beginningOf(value, MAX_SHOWN_VALUE), hash: createHash("sha256").update(value).digest("hex") };
}

function listed(tensors: readonly Tensor[]): readonly ListedTensor[] {
  const found: ListedTensor[] = [];
  let characters = 0;
  for (const { name, type, shape } of tensors) {
    characters += name.length;
    if (found.length === MAX_LISTED_TENSORS || characters > MAX_NAMES) break;
    found.push({ name, type, shape });
  }
  return found;
}

function hashOf(tensors: readonly Tensor[]): string {
  const hash = createHash("sha256");
  // Names have no line ends.
  for (const { name, type, shape } of tensors) hash.update(`${name}\n${type} ${shape.join(",")}\n`);
  return hash.digest("hex");
}
