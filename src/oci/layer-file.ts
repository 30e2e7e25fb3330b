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

/** How a tar archive is packed. */
export const PACKINGS = ["none", "gzip", "zstd"] as const;
export type Packing = (typeof PACKINGS)[number];

/** Layers of models as ModelPack, what came before it, and KitOps type them. */
const MODEL_ARCHIVE = /^application\/vnd\.(?:cncf\.model|cnai\.model|kitops\.modelkit)\..+\.tar(?:\+(gzip|zstd))?$/;

/** How a layer with files of a model is packed, by its type; undefined for any other layer. */
export function packingOf({ mediaType }: Pick<Descriptor, "mediaType">): Packing | undefined {
  const [found, packing = "none"] = MODEL_ARCHIVE.exec(mediaType) ?? [];
  return found === undefined ? undefined : PACKINGS.find((each) => each === packing);
}

/** Does a file tell people about the others, by its name? */
export function isReadme(path: string): boolean {
  return /(?:^|\/)readme(?:\.md|\.markdown|\.txt)?$/i.test(path);
}

/** Is a layer a model file whose header can be read, as far as its name and type say? */
export function isModelFile(descriptor: Descriptor): boolean {
  if (isArchive(descriptor)) return false;
  const title = titleOf(descriptor);
  return MODEL_TYPE.test(descriptor.mediaType) || (title !== undefined && formatOf(title) !== undefined);
}
