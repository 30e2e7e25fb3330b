import { type Digest, digestSchema } from "../oci/digest.ts";
import { keys, under } from "../storage/keys.ts";
import type { MetadataStore } from "../storage/metadata-store.ts";
import { blobRecord } from "../storage/records.ts";

const PAGE = 500;

/** A blob that is there, as its record tells it. */
export interface KeptBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly damaged: boolean;
}

/** Every blob that is not being removed. */
export async function* keptBlobs(metadata: MetadataStore): AsyncGenerator<KeptBlob> {
  let after: readonly string[] = [];
  for (;;) {
    const page = await metadata.list(under(keys.blobs(), PAGE, after));
    for (const { key, value } of page) {
      const digest = digestSchema.parse(key[1]);
      const { size, damaged, status } = blobRecord.parse(value);
      if (status === "present") yield { digest, size, damaged };
      after = [digest];
    }
    if (page.length < PAGE) return;
  }
}

/** Is there a blob of this digest that is not being removed? */
export async function isKept(metadata: MetadataStore, digest: Digest): Promise<boolean> {
  const entry = await metadata.get(keys.blob(digest));
  return entry !== undefined && blobRecord.parse(entry.value).status === "present";
}
