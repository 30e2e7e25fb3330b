import { setTimeout as sleep } from "node:timers/promises";
import { RegistryError } from "../oci/errors.ts";
import { type Chunk, decideChunk } from "../oci/upload.ts";
import { UploadBusyError } from "../storage/blob-store.ts";
import { whileArriving } from "./admit-upload.ts";
import type { Services } from "./ports.ts";
import { type UploadStatus, explainUpload } from "./read-upload.ts";
import { whileRoom } from "./reserve.ts";
import type { UploadHashes } from "./upload-hashes.ts";
import { type UploadOwner, uploadHeaders } from "./upload-id.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "secretFor" | "limits" | "settings">;

/** A request's body on its way to an upload, with what its headers and its location say of it. */
export interface IncomingChunk extends Omit<Chunk, "offset"> {
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** The request before this one may have broken off a moment ago: how often and how long (ms) to wait until its hold on the upload ends. */
const BUSY_TRIES = 20;
const BUSY_WAIT = 50;

/** Writes a body to the end of an upload; the size afterwards. Whatever goes wrong, the upload stays open with what has arrived. */
export async function appendUpload(
  needs: Needs & { readonly hashes: UploadHashes },
  owner: UploadOwner,
  status: UploadStatus,
  chunk: IncomingChunk,
): Promise<number> {
  const { upload, size } = status;
  const write = (body: AsyncIterable<Uint8Array>): Promise<number> => whenFree(() => needs.hashes.append(upload, body, size));
  return (await takeChunk(needs, owner, { status, chunk }, write)) ?? size;
}

/** Takes a body for an upload, while there is room for it; undefined when it has none. */
export async function takeChunk<T>(
  needs: Needs,
  owner: UploadOwner,
  { status, chunk }: { readonly status: UploadStatus; readonly chunk: IncomingChunk },
  take: (body: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T | undefined> {
  const bytes = acceptChunk(owner, status, chunk);
  if (bytes === undefined) return undefined;
  const { upload, size } = status;
  try {
    const kept = whileRoom(needs, bytes);
    const incoming = { owner, upload: upload.id, bytes: size + (chunk.contentLength ?? 0), length: chunk.contentLength, body: kept };
    return await whileArriving(needs, incoming, take);
  } catch (error) {
    throw await explainUpload(needs, owner, status, error);
  }
}

/** The bytes of a chunk that may come next, as many as its headers say; undefined when it has none. Throws for one that may not. */
export function acceptChunk(
  owner: UploadOwner,
  { upload, size }: UploadStatus,
  chunk: IncomingChunk,
): AsyncIterable<Uint8Array> | undefined {
  const decision = decideChunk({ ...chunk, offset: size });
  if (decision.action === "refuse") {
    throw new RegistryError(decision.code, decision.message, { headers: uploadHeaders(owner.repository, upload, size) });
  }
  if (decision.length === 0) return undefined;
  return decision.length === undefined ? chunk.bytes : exactly(chunk.bytes, decision.length);
}

/** Does something to an upload that another request may hold for a moment longer. */
export async function whenFree<T>(act: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof UploadBusyError) || tries >= BUSY_TRIES) throw error;
      await sleep(BUSY_WAIT);
    }
  }
}

/** As many bytes as the headers promised, or an error; what is beyond them is never written. */
async function* exactly(bytes: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let left = length;
  for await (const chunk of bytes) {
    if (left > 0) yield chunk.subarray(0, left);
    left -= chunk.byteLength;
    if (left < 0) throw new RegistryError("SIZE_INVALID", "the body is longer than its headers say");
  }
  if (left > 0) throw new RegistryError("SIZE_INVALID", "the body is shorter than its headers say");
}
