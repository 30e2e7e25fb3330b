import { join } from "node:path";
import { algorithmOf, digestOf, isDigest } from "../src/oci/digest.ts";
import { keys, under } from "../src/storage/keys.ts";
import { openLmdb } from "../src/storage/lmdb.ts";
import type { MetadataStore } from "../src/storage/metadata-store.ts";

const ALL = 1_000_000;

/** The blobs that are rows of the metadata, by their digests, and whether they are the bytes of those. */
export async function blobRows(metadata: MetadataStore): Promise<ReadonlyMap<string, boolean>> {
  const rows = await metadata.list(under(keys.blobContents(), ALL));
  return new Map(rows.map(({ key, value }) => [String(key[1]), isOf(String(key[1]), value)]));
}

/** The same of a data directory, whoever serves it. */
export async function blobRowsIn(root: string): Promise<ReadonlyMap<string, boolean>> {
  const metadata = await openLmdb(join(root, "metadata"));
  try {
    return await blobRows(metadata);
  } finally {
    await metadata.close();
  }
}

function isOf(digest: string, bytes: unknown): boolean {
  return bytes instanceof Uint8Array && isDigest(digest) && digestOf(bytes, algorithmOf(digest)) === digest;
}
