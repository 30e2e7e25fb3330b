import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { MAX_BLOB_ROW } from "../storage/blob-rows.ts";
import { keys } from "../storage/keys.ts";
import type { Put } from "../storage/metadata-store.ts";
import type { Services } from "./ports.ts";
import type { BlobGrounds } from "./remove-blob.ts";

/** Is there a blob that is neither damaged, as far as is known, nor cut or lost? */
export async function isIntact(
  { blobs }: Pick<Services, "blobs">,
  { record }: BlobGrounds,
  { digest, size }: { readonly digest: Digest; readonly size: number },
): Promise<boolean> {
  return record?.damaged === false && (await blobs.stat(digest))?.size === size;
}

/**
 * The row of few bytes, which comes with the change that links them: they need no file, no flush beside that of the commit, and a crash
 * leaves none of them without a record. It stands in the place of whatever is damaged or lost.
 */
export function bytesRow(digest: Digest, bytes: Uint8Array): Put {
  if (bytes.byteLength > MAX_BLOB_ROW) throw new RegistryError("INTERNAL");
  return { key: keys.blobContent(digest), value: bytes };
}
