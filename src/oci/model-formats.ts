import type { Descriptor } from "./descriptor.ts";
import type { Manifest } from "./manifest.ts";
import { MODEL_FORMATS, type ModelFormat, formatOf } from "./model-name.ts";

/** Where a file's name stands in a layer: as OCI clients write it, and as ModelPack does. */
const TITLES = ["org.opencontainers.image.title", "org.cncf.model.filepath"] as const;

/** The formats of the model files that a manifest names, by the types and the names of its files; nothing is decided by them. */
export function formatsIn({ layers, blobs }: Pick<Manifest, "layers" | "blobs">): readonly ModelFormat[] {
  const found = new Set([...layers, ...blobs].flatMap(formatsOfFile));
  return MODEL_FORMATS.filter((format) => found.has(format));
}

function formatsOfFile({ mediaType, annotations }: Descriptor): readonly ModelFormat[] {
  const byType = MODEL_FORMATS.filter((format) => mediaType.includes(format));
  const names = TITLES.map((key) => (annotations && Object.hasOwn(annotations, key) ? annotations[key] : undefined));
  return [...byType, ...names.flatMap((name) => (name === undefined ? undefined : formatOf(name)) ?? [])];
}
