import { type FileHandle, lstat, mkdir, open, readdir } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { canonicalJson } from "../oci/canonical-json.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, algorithmOf, encodedOf } from "../oci/digest.ts";
import { OCI_INDEX } from "../oci/media-types.ts";
import type { FilePlace } from "./download.ts";
import { CliError, EXIT } from "./failure.ts";
import { TarWriter } from "./tar-writer.ts";
import { inPlaceOf } from "./temporaries.ts";
import { writeAt } from "./write-at.ts";

/** A blob of a layout; `writeTo` writes all of its bytes, and has seen to it that they are the right ones. */
export interface LayoutBlob {
  readonly digest: Digest;
  readonly size: number;
  writeTo(place: FilePlace): Promise<void>;
}

/** What a layout consists of. */
export interface LayoutContent {
  /** What its index names, in this order. */
  readonly entries: readonly Descriptor[];
  readonly blobs: readonly LayoutBlob[];
}

const MARKER = canonicalJson({ imageLayoutVersion: "1.0.0" });

/** Throws a usage error for a place where something is: nothing is ever written over. */
export async function checkFree(place: string): Promise<void> {
  const found = await lstat(place).catch(() => undefined);
  if (found === undefined || (found.isDirectory() && !isArchive(place) && (await readdir(place)).length === 0)) return;
  throw new CliError(EXIT.usage, `${place} is there already: name another place, or remove it`);
}

/**
 * Writes an OCI image layout (image-spec §Image Layout): a tar archive where the name ends in `.tar`, else a folder. It takes its name when it
 * is whole. The same content gives the same bytes: blobs by digest, and nothing of this machine or of now.
 */
export async function writeLayout(place: string, { entries, blobs }: LayoutContent): Promise<void> {
  const index = canonicalJson({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries });
  const inOrder = blobs.toSorted((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1));
  const documents = [
    ["oci-layout", MARKER],
    ["index.json", index],
  ] as const;
  await inPlaceOf(place, async (temporary) => {
    if (isArchive(place)) await writeArchive(temporary, documents, inOrder);
    else await writeFolder(temporary, documents, inOrder);
  });
}

type Documents = readonly (readonly [path: string, text: string])[];

async function writeArchive(temporary: string, documents: Documents, blobs: readonly LayoutBlob[]): Promise<void> {
  const file = await open(temporary, "wx");
  try {
    const archive = new TarWriter(file);
    for (const [path, text] of documents) {
      const bytes = Buffer.from(text);
      await archive.add(path, bytes.length, (to, at) => writeAt(to, bytes, at));
    }
    for (const folder of foldersOf(blobs)) await archive.folder(folder);
    for (const blob of blobs) await archive.add(pathOf(blob), blob.size, (to, at) => blob.writeTo({ file: to, at }));
    await archive.end();
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function writeFolder(temporary: string, documents: Documents, blobs: readonly LayoutBlob[]): Promise<void> {
  for (const folder of ["", ...foldersOf(blobs)]) await mkdir(join(temporary, folder));
  for (const blob of blobs) await writeFile(join(temporary, pathOf(blob)), (file) => blob.writeTo({ file, at: 0 }));
  for (const [path, text] of documents) await writeFile(join(temporary, path), (file) => writeAt(file, Buffer.from(text), 0));
}

async function writeFile(path: string, fill: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, "wx");
  try {
    await fill(file);
    await file.datasync();
  } finally {
    await file.close();
  }
}

function isArchive(place: string): boolean {
  return extname(place).toLowerCase() === ".tar";
}

function pathOf({ digest }: LayoutBlob): string {
  return `blobs/${algorithmOf(digest)}/${encodedOf(digest)}`;
}

function foldersOf(blobs: readonly LayoutBlob[]): readonly string[] {
  return [...new Set(["blobs", ...blobs.map((blob) => dirname(pathOf(blob)))])];
}
