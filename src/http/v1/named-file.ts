import { RegistryError } from "../../oci/errors.ts";
import { extensionOf, formatOf, modelFilename } from "../../oci/model-name.ts";
import type { Acquisition } from "../../registry/acquire.ts";

/** A file of the data directory as the predecessor's bodies name it. */
export interface NamedFile {
  readonly name: string;
  readonly filename: string;
  readonly sha256?: string | undefined;
  readonly size_bytes: number;
  readonly source: string;
}

/** What such a body asks to be registered; refuses filenames and formats in the predecessor's words and order (secai-behaviour 1.5). */
export function acquisitionOf({ name, filename, sha256, size_bytes: size, source }: NamedFile): Acquisition {
  const checked = modelFilename(filename);
  if ("refused" in checked) throw new RegistryError("INVALID", `invalid filename: ${checked.refused}`);
  const format = formatOf(filename);
  if (format === undefined) {
    throw new RegistryError("DENIED", `format "${extensionOf(filename)}" not allowed; permitted: gguf, safetensors`);
  }
  return { name, filename, path: checked.path, format, sha256, size, source };
}
