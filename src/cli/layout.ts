import { createHash } from "node:crypto";
import { z } from "zod";
import { type Descriptor, annotationsSchema, descriptorSchema } from "../oci/descriptor.ts";
import { type Digest, algorithmOf, encodedOf, isDigest } from "../oci/digest.ts";
import { JsonError, parseJson } from "../oci/json.ts";
import { OCI_INDEX } from "../oci/media-types.ts";
import { LayoutError } from "./layout-error.ts";
import { type LayoutFiles, openLayoutFiles } from "./layout-files.ts";
import type { BlobSource } from "./upload.ts";

const MARKER = "oci-layout";
const INDEX = "index.json";
const MAX_MARKER_BYTES = 4096;
const MAX_INDEX_BYTES = 32 * 1_048_576;
/** Entries of an index that are read. */
export const MAX_ENTRIES = 50_000;
const MAX_INDEX_VALUES = 2_000_000;
const MAX_DEPTH = 64;

const markerSchema = z.looseObject({ imageLayoutVersion: z.literal("1.0.0") });
const indexSchema = z.looseObject({
  schemaVersion: z.literal(2),
  mediaType: z.literal(OCI_INDEX).optional(),
  manifests: z.array(descriptorSchema).max(MAX_ENTRIES, `at most ${MAX_ENTRIES} entries are read`),
  annotations: annotationsSchema.optional(),
});

/** Opens an OCI image layout (image-spec §Image Layout): a folder, or a tar archive that is not compressed. Close it after use. */
export async function openLayout(place: string): Promise<Layout> {
  const files = await openLayoutFiles(place);
  try {
    await readDocument(files, MARKER, MAX_MARKER_BYTES, markerSchema);
    const { manifests } = await readDocument(files, INDEX, MAX_INDEX_BYTES, indexSchema);
    return new Layout(files, manifests);
  } catch (error) {
    await files.close();
    throw error;
  }
}

async function readDocument<T>(files: LayoutFiles, path: string, maxBytes: number, schema: z.ZodType<T>): Promise<T> {
  const size = files.sizes.get(path);
  if (size === undefined)
    throw new LayoutError("layout-invalid", `there is no ${path}: this is no OCI image layout, or only a part of one`);
  if (size > maxBytes) throw new LayoutError("layout-too-large", `${path} has more than ${maxBytes} bytes`);
  const bytes = await collected(files.read(path, 0));
  try {
    return schema.parse(parseJson(bytes, { maxDepth: MAX_DEPTH, maxValues: MAX_INDEX_VALUES }));
  } catch (error) {
    const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
    const rule =
      issue === undefined
        ? error instanceof JsonError
          ? error.message
          : "it cannot be read"
        : `${z.core.toDotPath(issue.path)}: ${issue.message}`;
    throw new LayoutError("layout-invalid", `${path} is not of its form: ${rule}`, error);
  }
}

/** An open layout. Nothing that it says is believed: bytes are handed out as they are, or whole and held to their digest. */
export class Layout {
  /** What its index names, in its order. */
  readonly entries: readonly Descriptor[];
  readonly #files: LayoutFiles;

  constructor(files: LayoutFiles, entries: readonly Descriptor[]) {
    this.#files = files;
    this.entries = entries;
  }

  /** How many bytes there are under this digest, whatever they are; undefined when there are none. */
  sizeOf(digest: Digest): number | undefined {
    return this.#files.sizes.get(pathOf(digest));
  }

  /** All blobs that are there, manifests among them, named or not. */
  *digests(): Generator<Digest> {
    for (const path of this.#files.sizes.keys()) {
      const digest = digestOfPath(path);
      if (digest !== undefined) yield digest;
    }
  }

  /** A small blob whole, held to digest, size and bound. Throws `LayoutError`. */
  async read({ digest, size }: Pick<Descriptor, "digest" | "size">, maxBytes: number): Promise<Buffer> {
    const present = this.#presentSize(digest, size);
    if (present > maxBytes)
      throw new LayoutError("layout-too-large", `${digest} has more than the ${maxBytes} bytes that are read of its kind`);
    const hash = createHash(algorithmOf(digest));
    const bytes = await collected(this.#files.read(pathOf(digest), 0));
    if (bytes.length !== size || hash.update(bytes).digest("hex") !== encodedOf(digest)) throw corrupt(digest);
    return bytes;
  }

  /** Reads a blob of any size once, in constant memory, and holds it to digest and size. Throws `LayoutError`. */
  async check({ digest, size }: Pick<Descriptor, "digest" | "size">, progress: (bytes: number) => void = () => undefined): Promise<void> {
    this.#presentSize(digest, size);
    const hash = createHash(algorithmOf(digest));
    let length = 0;
    for await (const chunk of this.#files.read(pathOf(digest), 0)) {
      hash.update(chunk);
      length += chunk.length;
      progress(length);
    }
    if (length !== size || hash.digest("hex") !== encodedOf(digest)) throw corrupt(digest);
  }

  /** A blob to be pushed. Its bytes are not checked here: the registry that takes them holds them to the digest. */
  source({ digest, size }: Pick<Descriptor, "digest" | "size">): BlobSource {
    this.#presentSize(digest, size);
    return { digest, size, open: (start) => this.#files.read(pathOf(digest), start) };
  }

  close(): Promise<void> {
    return this.#files.close();
  }

  #presentSize(digest: Digest, size: number): number {
    const present = this.sizeOf(digest);
    if (present === undefined) throw new LayoutError("blob-missing", `${digest} is named and not there`);
    if (present !== size) throw corrupt(digest);
    return present;
  }
}

function pathOf(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${encodedOf(digest)}`;
}

function digestOfPath(path: string): Digest | undefined {
  const [folder, algorithm, hex, ...rest] = path.split("/");
  const digest = `${algorithm ?? ""}:${hex ?? ""}`;
  return folder === "blobs" && rest.length === 0 && isDigest(digest) ? digest : undefined;
}

async function collected(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

function corrupt(digest: Digest): LayoutError {
  return new LayoutError("blob-corrupt", `what is there as ${digest} has other bytes or another size`);
}
