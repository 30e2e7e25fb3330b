import { FILE_TITLES, annotationOf } from "./annotation.ts";
import type { Descriptor } from "./descriptor.ts";
import { formatOf } from "./model-name.ts";

/** Types of layers that are archives, and so hold their files packed. */
const ARCHIVE = /(?:[.+](?:tar|zip|gzip|zstd))+$/;
const MODEL_TYPE = /gguf|safetensors/;

/** The name of a layer's file as it was written, which may be any text; undefined when it has none. */
export function titleOf({ annotations }: Descriptor): string | undefined {
  return FILE_TITLES.map((key) => annotationOf(annotations, key)).find((title) => title !== undefined);
}

/** Is a layer an archive, by its type? */
export function isArchive({ mediaType }: Descriptor): boolean {
  return ARCHIVE.test(mediaType);
}

/** Is a layer a model file whose header can be read, as far as its name and type say? */
export function isModelFile(descriptor: Descriptor): boolean {
  if (isArchive(descriptor)) return false;
  const title = titleOf(descriptor);
  return MODEL_TYPE.test(descriptor.mediaType) || (title !== undefined && formatOf(title) !== undefined);
}
