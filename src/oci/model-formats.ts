import { FILE_TITLES, annotationOf } from "./annotation.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Manifest } from "./manifest.ts";
import { MODEL_FORMATS, type ModelFormat, formatOf } from "./model-name.ts";

/** The formats of the model files that a manifest names, by the types and the names of its files; nothing is decided by them. */
export function formatsIn({ layers, blobs }: Pick<Manifest, "layers" | "blobs">): readonly ModelFormat[] {
  const found = new Set([...layers, ...blobs].flatMap(formatsOfFile));
  return MODEL_FORMATS.filter((format) => found.has(format));
}

function formatsOfFile({ mediaType, annotations }: Descriptor): readonly ModelFormat[] {
  const byType = MODEL_FORMATS.filter((format) => mediaType.includes(format));
  const names = FILE_TITLES.map((key) => annotationOf(annotations, key));
  return [...byType, ...names.flatMap((name) => (name === undefined ? undefined : formatOf(name)) ?? [])];
}
