import type { Readable, Writable } from "node:stream";
import type { Digest } from "../oci/digest.ts";

/** Bytes `start` to `end`, both included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The bytes of a blob. */
export interface BlobStream extends Readable {
  /**
   * Instead of reading the stream, where a driver knows a cheaper way: writes all of it to a sink, which stays open; how many bytes. The
   * memory of a piece is used again as soon as its write was called back.
   */
  readonly copyTo?: (sink: Writable) => Promise<number>;
}

/** Somebody else is writing to this upload just now. */
export class UploadBusyError extends Error {
  override readonly name = "UploadBusyError";
}

/** There is no room left (ENOSPC, EDQUOT). */
export class StorageFullError extends Error {
  override readonly name = "StorageFullError";
}

/**
 * Where blob bytes live. A driver holds no policy and never shows a blob before `publish`, or before the change that links it where its
 * bytes come with that (`blob-rows.ts`).
 *
 * An upload is a staged file that only ever grows: nothing rewrites or cuts its bytes, so a hash of a prefix stays right.
 * One writer at a time: `append` claims the upload and throws `UploadBusyError` when another holds it; the claim of a
 * process that died is void.
 */
export interface BlobStore {
  /** Size in bytes of a published blob. */
  stat(digest: Digest): Promise<{ readonly size: number } | undefined>;
  /** Since when a blob that `list` tells of has been there as it is (epoch, ms), and its size in bytes. */
  published(digest: Digest): Promise<{ readonly at: number; readonly size: number } | undefined>;
  /** The bytes of a published blob, or a part of them; rejects with code ENOENT when there is none. */
  open(digest: Digest, range?: ByteRange): Promise<BlobStream>;
  /** Begins an empty upload under an id that the caller chose (letters, digits, `-`, `_`, `.`, at most 128). */
  stage(upload: string): Promise<void>;
  /** Size in bytes of an upload, or nothing when there is no such upload (any more, however little a crash left of its end). */
  staged(upload: string): Promise<{ readonly size: number } | undefined>;
  /** When an upload that `listStaged` tells of last grew (epoch, ms); of what a crash left of one, since when it is like that. */
  touchedAt(upload: string): Promise<number | undefined>;
  /** The bytes that an upload has so far, from `start`. */
  openStaged(upload: string, start: number): Promise<Readable>;
  /**
   * Writes bytes at the end of an upload whose size is `offset`; the size afterwards.
   * When the source fails midway, what arrived stays and the error is thrown on. A wrong offset is a `RangeError`. With `takesOver` the
   * pieces are nobody else's, and their memory is given back as soon as they are written.
   */
  append(upload: string, bytes: AsyncIterable<Uint8Array>, offset: number, options?: { readonly takesOver?: boolean }): Promise<number>;
  /**
   * Makes an upload that is still empty a copy-on-write clone of an open file; false where that cannot be done, and then it stays empty.
   * Whoever has the file open and writes to it changes nothing about the clone.
   */
  clone(upload: string, fd: number): Promise<boolean>;
  /** Lends a file that has the bytes of a published blob, for a program that reads files; it may be gone as soon as `use` is done. */
  inFile<T>(digest: Digest, use: (path: string) => Promise<T>): Promise<T>;
  /** The same for the bytes of an upload, published or not; rejects with code ENOENT when there is none (any more). */
  inStagedFile<T>(upload: string, use: (path: string) => Promise<T>): Promise<T>;
  /**
   * Shows an upload's bytes under their digest: fsync, link, fsync of the folder. The upload itself stays until `discard`, so that
   * a crash before the metadata is committed loses nothing. With `replace` an existing (damaged) blob is atomically replaced,
   * otherwise an existing blob stays as it is. The caller has verified the digest of `size` bytes: when the upload has another size by
   * now, it is a `RangeError` and nothing is shown.
   */
  publish(upload: string, digest: Digest, options?: { readonly replace?: boolean; readonly size?: number }): Promise<void>;
  /** Makes what somebody else has put in the place of a published blob as durable as `publish` leaves it. */
  flush(digest: Digest): Promise<void>;
  /** Forgets an upload; one that does not exist is fine. Throws `UploadBusyError` while somebody writes to it. */
  discard(upload: string): Promise<void>;
  /**
   * Removes what `publish` has put under a digest if `still` holds; one that does not exist is fine. Between the question and the removal no other removal
   * comes, in any process, and a slow one cannot take what was published after `still` began to say no. What makes it say no from then on belongs to
   * `after`, whose result it answers: a removal that asked before would take what was published since.
   */
  remove<T>(digest: Digest, still: () => Promise<boolean>, after?: () => Promise<T>): Promise<T | undefined>;
  /** Bytes that may still be written before only the reserve is left, for what the registry itself has to write; not above zero: none. */
  room(): Promise<number>;
  /** All blobs that `publish` has put there, by digest. */
  list(after?: Digest): AsyncIterable<Digest>;
  /** All uploads, in no order. */
  listStaged(): AsyncIterable<string>;
}
