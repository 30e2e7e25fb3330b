import { mkdir, realpath } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { annotationOf } from "../oci/annotation.ts";
import { type Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, encodedOf } from "../oci/digest.ts";
import { CliError, EXIT } from "./failure.ts";

/** The annotation that names a layer's file, as oras and podman write it (image-spec §Annotations). */
export const TITLE = "org.opencontainers.image.title";

const MAX_PATH = 1024;
const MAX_COMPONENT = 255;
/** Controls, what Windows cannot have in a name, and its separator, so that a name means the same everywhere. */
const FORBIDDEN = /[\p{Cc}\p{Cs}<>:"|?*\\]/u;
/** Device names of Windows, whatever their extension; and what it cuts off at the end of a name. */
const WINDOWS = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)|[. ]$/i;

/** Is this the name of a file inside of a folder, whatever the system? Titles come from whoever pushed the artifact. */
export function isSafeRelativePath(path: string): boolean {
  return (
    path.length <= MAX_PATH &&
    path.split("/").every((part) => part !== "" && part.length <= MAX_COMPONENT && !FORBIDDEN.test(part) && !WINDOWS.test(part))
  );
}

/** The file name of a layer: its title where it has one, else `<algorithm>-<hex>`. Throws for a title that could leave the folder. */
export function fileNameOf({ digest, annotations }: Descriptor): string {
  const title = annotationOf(annotations, TITLE);
  if (title === undefined) return `${algorithmOf(digest)}-${encodedOf(digest)}`;
  if (isSafeRelativePath(title)) return title;
  throw new CliError(EXIT.integrity, `a layer is titled ${JSON.stringify(title)}, which is not the name of a file in this folder: refused`);
}

/** The path of a file to be written in a folder, whose own folder is made. Throws when a link that is there already leads out of it. */
export async function placeIn(folder: string, name: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const root = await realpath(folder);
  let place = root;
  for (const part of name.split("/").slice(0, -1)) {
    place = join(place, part);
    await mkdir(place).catch((error: unknown) => {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    });
    place = await realpath(place);
    if (place !== root && !place.startsWith(root.endsWith(sep) ? root : root + sep)) {
      throw new CliError(EXIT.integrity, `${dirname(join(folder, name))} leads out of ${folder} by a link: refused`);
    }
  }
  return join(place, name.split("/").at(-1) ?? name);
}
