import type { ByteSource } from "./byte-source.ts";
import { FormatError } from "./format-error.ts";
import { readModelFile } from "./model-facts.ts";
import type { ModelFile } from "./model-file.ts";
import { hashContent } from "./tensor-hashes.ts";
import { type TensorEntry, type TensorManifest, manifestOf, mostFrequentTypes } from "./tensor-manifest.ts";
import { loadManifest } from "./tensor-manifest-text.ts";

/** What came of holding a file against a manifest. */
export interface ManifestCheck {
  /** `cannot-check` says nothing about the file: the manifest is not one, or the file is of a kind that is not read here. */
  readonly outcome: "match" | "mismatch" | "cannot-check";
  /** How many mismatches there are, also of those that are not told. */
  readonly count: number;
  /** The first mismatches, each a line as gguf-guard words it; or why there was no check. */
  readonly lines: readonly string[];
}

/** Holds a file, which is read whole and once, against a manifest. */
export function checkManifest(source: ByteSource, name: string, manifest: ByteSource): ManifestCheck {
  const expected = unlessBroken(() => loadManifest(manifest));
  if (expected instanceof FormatError) return cannotCheck(`load manifest: ${expected.message}`);
  const file = unlessBroken(() => readModelFile(source, name));
  const hashes = hashContent(source, file instanceof FormatError ? NOTHING : file);
  const actual = file instanceof FormatError ? file : unlessBroken(() => manifestOf(file, hashes, source.size));
  if (!(actual instanceof FormatError)) return compare(actual, expected);
  return hashes.file === expected.file_hash ? cannotCheck(actual.message) : anotherFile(source.size, expected, actual);
}

const NOTHING: Pick<ModelFile, "dataStart" | "tensors"> = { dataStart: 0, tensors: [] };

/** Whatever is wrong with it: its hash tells that it is not the file of which the manifest was made. */
function anotherFile(size: number, expected: TensorManifest, why: FormatError): ManifestCheck {
  const mismatches = new Mismatches();
  mismatches.add("file hash mismatch");
  if (size !== expected.file_size) mismatches.add("file size mismatch");
  mismatches.add(why.message);
  return mismatches.check();
}

function compare(actual: TensorManifest, expected: TensorManifest): ManifestCheck {
  const mismatches = new Mismatches();
  for (const [differs, line] of headDifferences(actual, expected)) if (differs) mismatches.add(line);
  const left = new Map(expected.tensors.map((tensor) => [tensor.name, tensor]));
  for (const tensor of actual.tensors) {
    const line = tensorMismatch(tensor, left.get(tensor.name));
    if (line !== undefined) mismatches.add(`${tensor.name}: ${line}`);
    left.delete(tensor.name);
  }
  for (const name of left.keys()) mismatches.add(`${name}: manifest tensor not present in file`);
  if (actual.merkle_root !== expected.merkle_root) mismatches.add("Merkle root mismatch");
  return mismatches.check();
}

function headDifferences(actual: TensorManifest, expected: TensorManifest): readonly (readonly [differs: boolean, line: string])[] {
  return [
    [actual.file_hash !== expected.file_hash, "file hash mismatch"],
    [actual.structure_hash !== expected.structure_hash, "structure hash mismatch"],
    [actual.architecture !== expected.architecture, "architecture mismatch"],
    // Which of several equally frequent types it named, early gguf-guard left to chance.
    [!mostFrequentTypes(actual.tensors).includes(expected.quant_type), "quantization type mismatch"],
    [actual.tensor_count !== expected.tensor_count, "tensor count mismatch"],
    [actual.parameters !== expected.parameters, "parameter count mismatch"],
    [actual.file_size !== expected.file_size, "file size mismatch"],
  ];
}

function tensorMismatch(actual: TensorEntry, expected: TensorEntry | undefined): string | undefined {
  if (expected === undefined) return "not in manifest";
  if (!isDescribedAlike(actual, expected)) return "tensor metadata mismatch";
  return actual.hash === expected.hash ? undefined : "hash mismatch";
}

function isDescribedAlike(a: TensorEntry, b: TensorEntry): boolean {
  return a.type === b.type && a.offset === b.offset && a.data_size === b.data_size && a.shape.join() === b.shape.join();
}

function cannotCheck(why: string): ManifestCheck {
  return { outcome: "cannot-check", count: 0, lines: [why] };
}

function unlessBroken<T>(work: () => T): T | FormatError {
  try {
    return work();
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}

/** In all lines together, and of lines: what a person can use, and an answer can hold. */
const MAX_CHARACTERS = 512 * 1024;
const MAX_LINES = 1_000;

/** Collects mismatches; all are counted, and the first ones kept. */
class Mismatches {
  readonly #lines: string[] = [];
  #count = 0;
  #characters = 0;

  add(line: string): void {
    this.#count += 1;
    this.#characters += line.length;
    if (this.#lines.length < MAX_LINES && this.#characters <= MAX_CHARACTERS) this.#lines.push(line);
  }

  check(): ManifestCheck {
    return { outcome: this.#count === 0 ? "match" : "mismatch", count: this.#count, lines: this.#lines };
  }
}

/** A check in words, as gguf-guard prints it. */
export function checkText({ outcome, count, lines }: ManifestCheck): string {
  if (outcome === "match") return "PASS: all tensors match manifest";
  if (outcome === "cannot-check") return `error: ${lines.join("; ")}`;
  const more = count > lines.length ? [`... and ${count - lines.length} more`] : [];
  return [`FAIL: ${count} mismatches`, ...[...lines, ...more].map((line) => `  ${line}`)].join("\n");
}
