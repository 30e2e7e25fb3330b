import { RegistryError } from "../oci/errors.ts";
import type { Services } from "./ports.ts";
import { type Upload, type UploadOwner, parseUploadId, uploadHeaders } from "./upload-id.ts";

/** An upload under way and how many bytes of it there are. */
export interface UploadStatus {
  readonly upload: Upload;
  readonly size: number;
}

/** The state of an upload; a forged id and other people's uploads are answered as unknown ones are (protocol.md §9, row 16). */
export async function readUpload(needs: Pick<Services, "blobs" | "secretFor">, owner: UploadOwner, id: string): Promise<UploadStatus> {
  const upload = parseUploadId(needs, owner, id);
  const staged = upload && (await needs.blobs.staged(upload.id));
  if (upload === undefined || staged === undefined) throw new RegistryError("BLOB_UPLOAD_UNKNOWN");
  return { upload, size: staged.size };
}

/**
 * What a failure while an upload was written or closed means, given what was known of it before: how many bytes it had, or that it had none
 * of those that were to be published, which have to be sent again. Another request of the same owner may have come between: it has written
 * (the same answer as to a chunk out of order), closed the upload, or cancelled it.
 */
export async function explainUpload(
  needs: Pick<Services, "blobs" | "secretFor">,
  owner: UploadOwner,
  { upload, size }: Pick<UploadStatus, "upload"> & { readonly size: number | "none" },
  error: unknown,
): Promise<unknown> {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const grew = error instanceof RangeError && code === undefined;
  if (!grew && code !== "ENOENT") return error;
  const now = await readUpload(needs, owner, upload.id);
  if (!grew) return error;
  if (now.size !== size)
    return new RegistryError("BLOB_UPLOAD_RANGE", undefined, { cause: error, headers: uploadHeaders(owner.repository, upload, now.size) });
  return new RegistryError("BLOB_UPLOAD_INVALID", "this upload was closed already: its blob is there", { cause: error });
}
