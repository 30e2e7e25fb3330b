import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable, type Writable } from "node:stream";
import type { Digest } from "../oci/digest.ts";
import type { BlobStore, BlobStream, ByteRange } from "./blob-store.ts";
import { writePiece } from "./copy-file.ts";
import { openFilesystem } from "./filesystem.ts";
import { keys } from "./keys.ts";
import type { MetadataStore } from "./metadata-store.ts";
import { nameUnderWay, removeLeftovers } from "./under-way.ts";

/** Where rows are looked up: the store itself, since every look at a blob asks for one. */
export type BlobRows = Pick<MetadataStore, "get">;

/** Bytes of a row at most: more than any statement has, which lists some thousand digests. */
export const MAX_BLOB_ROW = 1024 * 1024;

/** Rows that are lent as files, in `uploads`; no upload has such an id. */
const LENT = "+blob.";
const PRIVATE_FILE = 0o400;
const WHOLE: ByteRange = { start: 0, end: Infinity };

/** The bytes of a blob that is a row of the metadata, whatever they are by now; undefined for one that is a file, and for none. */
export async function rowOf(rows: BlobRows, digest: Digest): Promise<Uint8Array | undefined> {
  const entry = await rows.get(keys.blobContent(digest));
  if (entry === undefined) return undefined;
  // Anything else in its place is damage, and as little the blob as no bytes at all.
  return entry.value instanceof Uint8Array ? entry.value : new Uint8Array();
}

/**
 * Blobs in a data directory: small ones that come with the change that links them are rows of the metadata (`keys.blobContent`), put and
 * removed by the changes of the blob's record, and all others are files. Where there is a row it is the blob, whatever file there is: one
 * that healed a damaged file counts as soon as it is committed, and a file that heals a damaged row as soon as the row is removed.
 */
export async function openBlobs(root: string, rows: BlobRows): Promise<BlobStore> {
  const files = await openFilesystem(root);
  const uploads = join(root, "uploads");
  await removeLeftovers(uploads, LENT);
  return {
    stat: async (digest) => {
      const row = await rowOf(rows, digest);
      return row === undefined ? files.stat(digest) : { size: row.byteLength };
    },
    open: async (digest, range) => {
      const row = await rowOf(rows, digest);
      return row === undefined ? files.open(digest, range) : new RowPart(row, range);
    },
    inFile: async (digest, use) => {
      const row = await rowOf(rows, digest);
      return row === undefined ? files.inFile(digest, use) : lend(join(uploads, nameUnderWay(LENT)), row, use);
    },
    inStagedFile: (upload, use) => files.inStagedFile(upload, use),
    published: (digest) => files.published(digest),
    stage: (upload) => files.stage(upload),
    staged: (upload) => files.staged(upload),
    touchedAt: (upload) => files.touchedAt(upload),
    openStaged: (upload, start) => files.openStaged(upload, start),
    append: (upload, bytes, offset, options) => files.append(upload, bytes, offset, options),
    clone: (upload, fd) => files.clone(upload, fd),
    publish: (upload, digest, options) => files.publish(upload, digest, options),
    // A row is durable since the commit that put it there.
    flush: async (digest) => {
      if ((await rowOf(rows, digest)) === undefined) await files.flush(digest);
    },
    discard: (upload) => files.discard(upload),
    remove: (digest, still, after) => files.remove(digest, still, after),
    room: () => files.room(),
    list: (after) => files.list(after),
    listStaged: () => files.listStaged(),
  };
}

/** A part of a row, to be read once. */
class RowPart extends Readable implements BlobStream {
  readonly #bytes: Uint8Array;

  constructor({ buffer, byteOffset, byteLength }: Uint8Array, { start, end }: ByteRange = WHOLE) {
    super();
    this.#bytes = Buffer.from(buffer, byteOffset, byteLength).subarray(start, end + 1);
  }

  async copyTo(sink: Writable): Promise<number> {
    try {
      await writePiece(sink, this.#bytes);
      return this.#bytes.byteLength;
    } finally {
      this.destroy();
    }
  }

  override _read(): void {
    this.push(this.#bytes);
    this.push(null);
  }
}

async function lend<T>(path: string, bytes: Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  try {
    await writeFile(path, bytes, { flag: "wx", mode: PRIVATE_FILE });
    return await use(path);
  } finally {
    await rm(path, { force: true });
  }
}
