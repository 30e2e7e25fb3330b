import { FormatError, shown } from "./format-error.ts";

/** A tensor as a file's header describes it. Elements and offsets are exact: a file has at most 512 TiB. */
export interface Tensor {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  /** Where its bytes begin, from the start of the data section. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
  readonly elements: number;
}

/** The formats whose headers are read here. */
export type ModelFormat = "gguf" | "safetensors";

/** What the header of a model file says, once all of it was checked against the rules of its format. */
export interface ModelFile {
  readonly format: ModelFormat;
  /** As the file names it; undefined when it does not. */
  readonly architecture: string | undefined;
  /** GGUF's `general.file_type`: a number that claims what most tensors are. */
  readonly fileType: number | undefined;
  /** Where the data section begins, in bytes from the start of the file. */
  readonly dataStart: number;
  /** In the order of their bytes. */
  readonly tensors: readonly Tensor[];
  /** What breaks no rule of the format, but a person should look at: each a short sentence. */
  readonly suspicions: readonly string[];
}

/** More tensors than any file has that was ever published: the largest models have some thousands. */
export const MAX_TENSORS = 500_000;

/** The product of a shape's dimensions; undefined when it is more than eight elements for each of `bytes`, the most that any type packs. */
export function elementsOf(shape: readonly number[], bytes: number): number | undefined {
  const limit = bytes * 8;
  // A zero anywhere makes the product zero, whatever the others are.
  if (shape.includes(0)) return 0;
  let product = 1;
  for (const dimension of shape) {
    if (dimension > limit / product) return undefined;
    product *= dimension;
  }
  return product;
}

/** Throws `FormatError` for what cannot be a tensor's name; `limit` is in bytes of UTF-8. */
export function checkName(name: string, limit: number): void {
  if (name === "") throw new FormatError("a tensor has no name");
  // A code unit makes at most three bytes.
  if (name.length * 3 > limit && new TextEncoder().encode(name).length > limit)
    throw new FormatError(`a tensor's name is longer than ${limit} bytes`);
  // Lines of names and types are hashed, and a line feed in a name would make two different files look alike.
  if (/\p{Cc}/u.test(name)) throw new FormatError(`the name of tensor ${shown(name)} has control characters`);
}
