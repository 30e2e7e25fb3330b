import { createHash } from "node:crypto";
import { z } from "zod";
import { FormatError } from "./format-error.ts";
import { GGML_TYPE_NAMES } from "./ggml-type.ts";
import { MAX_TENSORS, type ModelFile, type Tensor } from "./model-file.ts";
import { parametersOf } from "./model-facts.ts";
import { SAFETENSORS_TYPE_NAMES } from "./safetensors-type.ts";
import { HASH_BYTES, type Hashes } from "./tensor-hashes.ts";

const hash = z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256 digest: 64 lower-case hexadecimal digits");
const count = z.int("must be a whole number of at most 9007199254740991").nonnegative("must not be negative");

/** One tensor in a manifest. */
export const tensorEntrySchema = z.strictObject({
  name: z.string().min(1).max(4_096),
  type: z.string().min(1).max(64).describe("the name of the type of its elements, as GGUF or safetensors has it"),
  shape: z.array(count).max(32),
  offset: count.describe("where its bytes begin, from the start of the file's data section"),
  data_size: count.describe("in bytes"),
  hash: hash.describe("SHA-256 of its bytes"),
  element_count: count.describe("the product of its shape"),
});
export type TensorEntry = Readonly<z.infer<typeof tensorEntrySchema>>;

/** What a manifest says beside its tensors. */
export const manifestHeadSchema = z.strictObject({
  manifest_version: z.literal("1.0"),
  file_hash: hash.describe("SHA-256 of the whole file"),
  structure_hash: hash.describe("SHA-256 of the sorted lines `name:[shape]:type` of all tensors"),
  architecture: z.string().min(1).max(256).describe("as the file names it, or `unknown`"),
  quant_type: z.string().min(1).max(64).describe("the type of most tensors"),
  tensor_count: count,
  parameters: count.describe("the elements of all tensors"),
  file_size: z.int().positive().describe("in bytes"),
  merkle_root: hash.describe("root of the tree of the tensors' hashes in their order; an odd one is paired with itself"),
});

/** The manifest of a model file's tensors: gguf-guard's format 1.0, and the same for safetensors. */
export const tensorManifestSchema = z.strictObject({
  ...manifestHeadSchema.shape,
  tensors: z.array(tensorEntrySchema).min(1).max(MAX_TENSORS).describe("in the order of their bytes"),
});
export type TensorManifest = Readonly<z.infer<typeof tensorManifestSchema>>;

/** What a manifest calls the architecture of a file that names none. */
const UNKNOWN = "unknown";

/** The manifest of a file that was read and hashed. Throws `FormatError` for a file without tensors. */
export function manifestOf(file: ModelFile, hashes: Hashes, fileSize: number): TensorManifest {
  if (file.tensors.length === 0) throw new FormatError(`${file.format === "gguf" ? "GGUF" : "safetensors"} file contains no tensors`);
  return {
    manifest_version: "1.0",
    file_hash: hashes.file,
    structure_hash: structureHash(file.tensors),
    architecture: file.architecture ?? UNKNOWN,
    quant_type: mostFrequentTypes(file.tensors)[0] ?? UNKNOWN,
    tensor_count: file.tensors.length,
    parameters: parametersOf(file.tensors),
    file_size: fileSize,
    merkle_root: merkleRoot(hashes.tensors),
    tensors: file.tensors.map((tensor, at) => entryOf(tensor, hashes.tensors.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES))),
  };
}

function entryOf({ name, type, shape, offset, size, elements }: Tensor, digest: Uint8Array): TensorEntry {
  return { name, type, shape: [...shape], offset, data_size: size, hash: Buffer.from(digest).toString("hex"), element_count: elements };
}

/** The types that the most tensors have, the lowest in the order of their format first; several when they come equally often. */
export function mostFrequentTypes(tensors: readonly Pick<Tensor, "type">[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { type } of tensors) counts.set(type, (counts.get(type) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return [...counts.keys()].filter((type) => counts.get(type) === most).toSorted((a, b) => rank(a) - rank(b));
}

function rank(type: string): number {
  const names = GGML_TYPE_NAMES.includes(type) ? GGML_TYPE_NAMES : SAFETENSORS_TYPE_NAMES;
  return names.indexOf(type);
}

/** SHA-256 over names, shapes and types of all tensors, whatever their order. */
export function structureHash(tensors: readonly Pick<Tensor, "name" | "shape" | "type">[]): string {
  // Sorted by bytes of UTF-8, as Go does it; as Latin-1, each byte is one code unit, which is what sort compares.
  const lines = tensors.map(({ name, shape, type }) => Buffer.from(`${name}:[${shape.join(",")}]:${type}`).toString("latin1"));
  const whole = createHash("sha256");
  for (const line of lines.toSorted()) whole.update(line, "latin1").update("\n");
  return whole.digest("hex");
}

/** The root over digests of 32 bytes each, in hex: pairs are hashed, an odd last one with itself; one alone is the root. Empty for none. */
export function merkleRoot(digests: Uint8Array): string {
  let level = digests;
  while (level.length > HASH_BYTES) level = nextLevel(level);
  return Buffer.from(level).toString("hex");
}

function nextLevel(level: Uint8Array): Uint8Array {
  const pairs = Math.ceil(level.length / (2 * HASH_BYTES));
  const next = new Uint8Array(pairs * HASH_BYTES);
  for (let pair = 0; pair < pairs; pair += 1) {
    const left = level.subarray(2 * pair * HASH_BYTES, (2 * pair + 1) * HASH_BYTES);
    const right = level.subarray((2 * pair + 1) * HASH_BYTES, (2 * pair + 2) * HASH_BYTES);
    const parent = createHash("sha256")
      .update(left)
      .update(right.length === 0 ? left : right);
    next.set(parent.digest(), pair * HASH_BYTES);
  }
  return next;
}
