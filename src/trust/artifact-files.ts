import { annotationOf } from "../oci/annotation.ts";
import { algorithmOf, digestOf, encodedOf } from "../oci/digest.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import type { Manifest } from "../oci/manifest.ts";
import { essenceOf } from "../oci/media-types.ts";
import { Refusal } from "./reason.ts";

/** Where ModelPack's layers have the names of their files; the second is from before its move to another namespace. */
const MODEL_PACK_PATHS = ["org.cncf.model.filepath", "org.cnai.model.filepath"];
const MODEL_PACK_TYPE = /^application\/vnd\.(?:cncf|cnai)\.model\./;
const TITLE = "org.opencontainers.image.title";
/** oras marks archives of folders so; the media type of a plain file is often that of an archive, and says nothing. */
const UNPACK = "io.deis.oras.content.unpack";
/** Of `{}`: the media type of an empty config could be given to any. */
const EMPTY_CONFIG = digestOf("{}");

/**
 * The files that a client makes of an artifact, SHA-256 in hex by name (trust.md §10). Throws a `Refusal` when one of its layers is no
 * single file with one name, or the config is more than empty, has no name and may not go without.
 */
export function filesOf({ layers, blobs, config }: Manifest, unsignedConfig: boolean): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const layer of [...layers, ...blobs]) addFile(files, layer, fileNameOf(layer));
  if (config === undefined) return files;
  const configName = annotationOf(config.annotations, TITLE);
  if (configName !== undefined) addFile(files, config, configName);
  else if (!unsignedConfig && config.digest !== EMPTY_CONFIG) throw new Refusal("file-unnamed");
  return files;
}

/** The name of the one file that a layer holds as it is; undefined when it has none. Throws a `Refusal` for archives and double names. */
export function fileNameOf({ mediaType, annotations }: Descriptor): string | undefined {
  const type = essenceOf(mediaType);
  const isModelPack = MODEL_PACK_TYPE.test(type);
  if (annotationOf(annotations, UNPACK) === "true" || (isModelPack && !type.endsWith(".raw"))) throw new Refusal("files-unsupported");
  // Which of two names a file gets would depend on the client that fetches it.
  const names = new Set([...(isModelPack ? MODEL_PACK_PATHS : []), TITLE].flatMap((key) => annotationOf(annotations, key) ?? []));
  if (names.size > 1) throw new Refusal("file-unnamed");
  return [...names][0];
}

function addFile(files: Map<string, string>, { digest }: Descriptor, name: string | undefined): void {
  if (name === undefined || !isRelativePath(name) || (files.has(name) && files.get(name) !== encodedOf(digest)))
    throw new Refusal("file-unnamed");
  if (algorithmOf(digest) !== "sha256") throw new Refusal("files-unsupported");
  files.set(name, encodedOf(digest));
}

/** Is this a path that means one file only: relative, without empty segments, `.` and `..`? */
export function isRelativePath(name: string): boolean {
  return name.split("/").every((segment) => segment !== "" && segment !== "." && segment !== "..");
}
