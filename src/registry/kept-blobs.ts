import { type Digest, algorithmOf, digestOf, digestSchema } from "../oci/digest.ts";
import { rowOf } from "../storage/blob-rows.ts";
import { keys, under } from "../storage/keys.ts";
import type { MetadataStore } from "../storage/metadata-store.ts";
import { blobRecord } from "../storage/records.ts";
import { rowsOf } from "./ordered-rows.ts";

const PAGE = 256;

/** A blob that is there, as its record tells it. */
export interface KeptBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly damaged: boolean;
}

/** Every blob that is not being removed. */
export async function* keptBlobs(metadata: MetadataStore): AsyncGenerator<KeptBlob> {
  for await (const { key, value } of rowsOf({ metadata }, [under(keys.blobs(), PAGE)])) {
    const { size, damaged, status } = blobRecord.parse(value);
    if (status === "present") yield { digest: digestSchema.parse(key[1]), size, damaged };
  }
}

/** Is there a blob of this digest that is not being removed? */
export async function isKept(metadata: MetadataStore, digest: Digest): Promise<boolean> {
  const entry = await metadata.get(keys.blob(digest));
  return entry !== undefined && blobRecord.parse(entry.value).status === "present";
}

/** Of a blob whose bytes are a row: are they those of its digest? Undefined for one that is a file. */
export async function isSoundRow(metadata: MetadataStore, digest: Digest): Promise<boolean | undefined> {
  const row = await rowOf(metadata, digest);
  return row && digestOf(row, algorithmOf(digest)) === digest;
}
