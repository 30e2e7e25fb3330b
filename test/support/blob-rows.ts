import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { type Digest, digestOf, digestSchema } from "../../src/oci/digest.ts";
import type { BlobRows } from "../../src/storage/blob-rows.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { Key, MetadataStore } from "../../src/storage/metadata-store.ts";
import { fileOf } from "./damaged-bytes.ts";
import { putRows } from "./rows.ts";

/** Rows of some blobs, and of no other. */
export function blobRowsOf(...contents: readonly string[]): BlobRows {
  const rows = new Map(contents.map((content) => [JSON.stringify(keys.blobContent(digestOf(content))), Buffer.from(content)]));
  return {
    get: async (key: Key) => {
      const value = rows.get(JSON.stringify(key));
      return value && { key, value, version: 1 };
    },
  };
}

export const NO_ROWS = blobRowsOf();

/** Puts other bytes into the row of a blob, as a bad disk does: behind the registry's back. */
export async function overwriteRow(metadata: MetadataStore, digest: Digest, bytes: string): Promise<void> {
  if ((await metadata.get(keys.blobContent(digest))) === undefined) throw new Error(`${digest} is no row`);
  await putRows(metadata, [{ key: keys.blobContent(digest), value: Buffer.from(bytes) }]);
}

/** Makes files of all rows, as earlier versions had them. */
export async function makeFiles(directory: string, metadata: MetadataStore): Promise<void> {
  const rows = await metadata.list(under(keys.blobContents(), 10_000));
  for (const { key, value } of rows) {
    const path = fileOf(directory, digestSchema.parse(key[1]));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, z.instanceof(Uint8Array).parse(value), { mode: 0o444 });
  }
  await putRows(
    metadata,
    [],
    rows.map(({ key }) => key),
  );
}
