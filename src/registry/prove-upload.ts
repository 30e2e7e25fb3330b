import { type Digest, algorithmOf } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import { blobRecord } from "../storage/records.ts";
import { type IncomingChunk, acceptChunk } from "./append-upload.ts";
import type { Caller, Services } from "./ports.ts";
import { readableRepository } from "./readable-repository.ts";
import type { UploadStatus } from "./read-upload.ts";
import { type ContentNames, hashAll } from "./upload-hashes.ts";

type Needs = Pick<Services, "metadata" | "blobs">;

/** A longer body is written in any case, so that no more than this (bytes) has to be sent again when its connection breaks. */
const MAX_UNWRITTEN = 256 * 1024 * 1024;

/** The body that closes an upload, and what it is to be. */
interface ClosingBody {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly chunk: IncomingChunk;
}

/** Bytes that arrived and were not written. */
export interface ProvenContent extends ContentNames {
  /** In bytes. */
  readonly size: number;
}

/**
 * Hashes the whole body of an upload whose blob is there already, instead of writing it once more: all that is left to do is to see that
 * the client has it. Undefined, with nothing read, when the body has to be written; so it is when the caller may read the blob nowhere, since
 * the offset after a broken connection, or the time, would tell that it exists. Should the blob be gone or damaged when it is linked, the
 * upload has none of these bytes, whatever another request wrote to it meanwhile, and the answer tells where it goes on.
 */
export async function proveUpload(
  services: Needs,
  caller: Caller,
  status: UploadStatus,
  { repository, digest, chunk }: ClosingBody,
): Promise<ProvenContent | undefined> {
  const { contentLength = 0 } = chunk;
  if (status.size > 0 || contentLength === 0 || contentLength > MAX_UNWRITTEN) return undefined;
  if (!(await isThere(services, digest, contentLength))) return undefined;
  if ((await readableRepository(services, caller, digest, ({ effect }) => effect === "allow")) === undefined) return undefined;
  const bytes = acceptChunk({ repository, identity: caller.principal.name }, status, chunk);
  return bytes && hashAll(algorithmOf(digest), bytes);
}

/** Is there an intact blob of this digest and size, as far as is known? */
async function isThere({ metadata, blobs }: Needs, digest: Digest, size: number): Promise<boolean> {
  const entry = await metadata.get(keys.blob(digest));
  if (entry === undefined) return false;
  const record = blobRecord.parse(entry.value);
  if (record.status !== "present" || record.damaged || record.size !== size) return false;
  return (await blobs.stat(digest))?.size === size;
}
