import { whenFree } from "./append-upload.ts";
import type { Services } from "./ports.ts";
import { readUpload } from "./read-upload.ts";
import type { UploadHashes } from "./upload-hashes.ts";
import type { UploadOwner } from "./upload-id.ts";

/** Cancels an upload (distribution-spec end-14): its bytes are gone when this resolves. */
export async function cancelUpload(
  needs: Pick<Services, "blobs" | "secretFor" | "limits"> & { readonly hashes: UploadHashes },
  owner: UploadOwner,
  id: string,
): Promise<void> {
  const { upload } = await readUpload(needs, owner, id);
  await whenFree(() => needs.blobs.discard(upload.id));
  // Afterwards: the request that was waited for has left a hash.
  needs.hashes.forget(upload);
  needs.limits.end(upload.id);
}
