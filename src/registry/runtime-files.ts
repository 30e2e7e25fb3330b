import { FILE_TITLES, annotationOf } from "../oci/annotation.ts";
import { type Digest, algorithmOf, encodedOf } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { RuntimeFile } from "../storage/runtime-tree.ts";

const MAX_PATH = 1024;
const MAX_COMPONENT = 255;

/** The files of one manifest in `trusted/` (RULES 23), or the name that two different layers share. */
export function runtimeFiles(manifest: Manifest): { readonly files: readonly RuntimeFile[]; readonly clash: string | undefined } {
  const byPath = new Map<string, Digest>();
  const folders = new Set<string>();
  let clash: string | undefined;
  for (const { digest, annotations } of manifest.layers) {
    const title = FILE_TITLES.map((name) => annotationOf(annotations, name)).find((text) => text !== undefined && isRuntimePath(text));
    const path = title ?? `${algorithmOf(digest)}-${encodedOf(digest)}`;
    if ((byPath.get(path) ?? digest) !== digest) clash ??= path;
    byPath.set(path, digest);
    for (let slash = path.indexOf("/"); slash > 0; slash = path.indexOf("/", slash + 1)) folders.add(path.slice(0, slash));
  }
  clash ??= [...byPath.keys()].find((path) => folders.has(path));
  return { files: [...byPath].map(([path, blob]) => ({ path, blob })), clash };
}

/** Strict rules for a relative path that an artifact brings: plain visible characters, no way out, nothing hidden. */
function isRuntimePath(text: string): boolean {
  if (text.length > MAX_PATH) return false;
  return text
    .split("/")
    .every((component) => component.length <= MAX_COMPONENT && /^[A-Za-z0-9_][\w .+@=,()-]*$/.test(component) && !/[ .]$/.test(component));
}
