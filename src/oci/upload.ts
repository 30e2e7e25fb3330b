import type { ErrorCode } from "./errors.ts";

/** A request that brings bytes to an upload. */
export interface Chunk {
  /** Bytes that the upload has. */
  readonly offset: number;
  /** The Content-Range header, if there is one. */
  readonly contentRange: string | undefined;
  /** The Content-Length header; undefined when the length is not known beforehand. */
  readonly contentLength: number | undefined;
  /** Bytes that the upload had when the location that the client uses was given out, where the location tells. */
  readonly stateOffset: number | undefined;
  /** Is this the PUT that ends the upload? */
  readonly closing: boolean;
}

/** Write the body at the end, `length` bytes of it where that is known, or refuse it; the upload stays open then. */
export type ChunkDecision =
  | { readonly action: "write"; readonly length: number | undefined }
  | {
      readonly action: "refuse";
      readonly code: Extract<ErrorCode, "BLOB_UPLOAD_RANGE" | "BLOB_UPLOAD_INVALID" | "SIZE_INVALID">;
      readonly message: string;
    };

/**
 * May this body be written to the end of the upload (distribution-spec §Pushing a blob in chunks)? Chunks come in order and without a
 * gap, in PATCH and in the closing PUT. Where there is a Content-Range it decides, so that older locations go on working; without one
 * an older location is refused once the upload has grown, because the body may be a repetition of what has arrived.
 */
export function decideChunk({ offset, contentRange, contentLength, stateOffset, closing }: Chunk): ChunkDecision {
  // Nothing to write, nothing to order. Clients close with an empty PUT, with whatever range in it.
  if (contentLength === 0 && (closing || contentRange === undefined)) return { action: "write", length: 0 };
  if (contentRange !== undefined) return decideRanged(contentRange, contentLength, offset);
  return stateOffset === undefined || stateOffset === offset ? { action: "write", length: contentLength } : outOfOrder(offset);
}

function decideRanged(contentRange: string, contentLength: number | undefined, offset: number): ChunkDecision {
  const range = parseContentRange(contentRange);
  if (range === undefined) {
    return { action: "refuse", code: "BLOB_UPLOAD_INVALID", message: "Content-Range must be <start>-<end>, in bytes, both included" };
  }
  if (range.start !== offset) return outOfOrder(offset);
  const length = range.end - range.start + 1;
  return contentLength === undefined || contentLength === length
    ? { action: "write", length }
    : { action: "refuse", code: "SIZE_INVALID", message: "Content-Length is not the length that Content-Range says" };
}

/** The Range header that tells how much an upload has. An empty upload says `0-0`, as most registries do: the specification is silent. */
export function uploadRange(offset: number): string {
  return `0-${Math.max(0, offset - 1)}`;
}

/** The registry form `<start>-<end>`, and that of RFC 9110, `bytes <start>-<end>/<total or *>`, which says the same and some HTTP libraries write. */
function parseContentRange(header: string): { readonly start: number; readonly end: number } | undefined {
  const [, plainStart, plainEnd, start = plainStart, end = plainEnd, total] =
    /^(?:(\d{1,16})-(\d{1,16})|bytes (\d{1,16})-(\d{1,16})\/(?:(\d{1,16})|\*))$/.exec(header.trim()) ?? [];
  const range = { start: Number(start), end: Number(end) };
  const isSound = Number.isSafeInteger(range.end) && range.start <= range.end && (total === undefined || range.end < Number(total));
  return isSound ? range : undefined;
}

function outOfOrder(offset: number): ChunkDecision {
  const message = `chunks must follow each other without a gap: this upload has ${offset} bytes; GET its location to learn where to go on`;
  return { action: "refuse", code: "BLOB_UPLOAD_RANGE", message };
}
