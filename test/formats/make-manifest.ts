import { memorySource } from "../../src/formats/byte-source.ts";
import { readModelFile } from "../../src/formats/model-facts.ts";
import { hashContent } from "../../src/formats/tensor-hashes.ts";
import { manifestText } from "../../src/formats/tensor-manifest-text.ts";
import { type TensorManifest, manifestOf } from "../../src/formats/tensor-manifest.ts";

/** The manifest of a file in memory. */
export function manifestFor(bytes: Uint8Array): TensorManifest {
  const source = memorySource(bytes);
  const file = readModelFile(source, "");
  return manifestOf(file, hashContent(source, file), source.size);
}

/** Its text. */
export function textFor(bytes: Uint8Array): string {
  return textOf(manifestFor(bytes));
}

/** The text of a manifest. */
export function textOf(manifest: TensorManifest): string {
  return [...manifestText(manifest)].join("");
}
