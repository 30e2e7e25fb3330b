import { type IncomingChunk, takeChunk } from "./append-upload.ts";
import type { Services } from "./ports.ts";
import type { UploadStatus } from "./read-upload.ts";
import { type ContentNames, hashAll } from "./upload-hashes.ts";
import type { UploadOwner } from "./upload-id.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "secretFor" | "limits" | "settings">;

/** So many bytes at most are kept in memory until they are committed: configurations, signatures and tokenizers have fewer. */
const MAX_GATHERED = 16 * 1024;

/** All bytes of a blob, in memory. */
interface GatheredContent extends ContentNames {
  /** In bytes. */
  readonly size: number;
  readonly bytes: Uint8Array;
}

/**
 * Takes the whole body of an upload that is still empty, when it says that it is small, without writing it: should its connection break,
 * the upload is as empty as before. Undefined, with nothing read, for any other.
 */
export async function gatherUpload(
  needs: Needs,
  owner: UploadOwner,
  status: UploadStatus,
  chunk: IncomingChunk,
): Promise<GatheredContent | undefined> {
  const { contentLength } = chunk;
  if (status.size > 0 || contentLength === undefined || contentLength > MAX_GATHERED) return undefined;
  const bytes = new Uint8Array(contentLength);
  await takeChunk(needs, owner, { status, chunk }, (body) => fill(bytes, body));
  return { ...(await hashAll(status.upload.algorithm, [bytes])), bytes };
}

/**
 * Fills an array with a body, which has as many bytes or ends with an error. They are copied as they come: pieces that a client makes tiny
 * would take many times the memory.
 */
async function fill(array: Uint8Array, body: AsyncIterable<Uint8Array>): Promise<void> {
  let position = 0;
  for await (const piece of body) {
    array.set(piece, position);
    position += piece.byteLength;
  }
}
