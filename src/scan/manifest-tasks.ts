import { type ByteSource, memorySource } from "../formats/byte-source.ts";
import { FormatError } from "../formats/format-error.ts";
import { readModelFile } from "../formats/model-facts.ts";
import { hashContent } from "../formats/tensor-hashes.ts";
import { checkManifest } from "../formats/tensor-manifest-check.ts";
import { diffManifests } from "../formats/tensor-manifest-diff.ts";
import { MAX_MANIFEST_BYTES, loadManifest, manifestText } from "../formats/tensor-manifest-text.ts";
import { type TensorManifest, manifestOf } from "../formats/tensor-manifest.ts";
import type { Answer } from "./answer.ts";
import { FileSource } from "./file-source.ts";
import { FIRST, SECOND, readAll, writeText } from "./handed.ts";

/** Writes the manifest of the first file to the second descriptor. Throws `FormatError` and `ReadError`. */
export function generate(name: string): Answer {
  const source = new FileSource(FIRST);
  const file = readModelFile(source, name);
  const manifest = manifestOf(file, hashContent(source, file), source.size);
  source.checkUnchanged();
  writeText(SECOND, manifestText(manifest));
  return { answer: "generated" };
}

/** Holds the first file against the manifest that is the second. Throws `ReadError`. */
export function verify(name: string): Answer {
  const source = new FileSource(FIRST);
  const check = checkManifest(source, name, manifestIn(SECOND));
  source.checkUnchanged();
  return { answer: "checked", check };
}

/** Compares two manifests. Throws `FormatError` when one is none. */
export function compare(): Answer {
  return { answer: "compared", diff: diffManifests(load(FIRST, "first"), load(SECOND, "second")) };
}

function load(descriptor: number, which: string): TensorManifest {
  try {
    return loadManifest(manifestIn(descriptor));
  } catch (error) {
    throw error instanceof FormatError ? new FormatError(`the ${which} manifest: ${error.message}`) : error;
  }
}

function manifestIn(descriptor: number): ByteSource {
  return memorySource(readAll(descriptor, MAX_MANIFEST_BYTES));
}
