import { createHash } from "node:crypto";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Digest, type DigestAlgorithm, algorithmOf, digestFrom } from "../oci/digest.ts";
import type { BlobStream } from "../storage/blob-store.ts";
import type { Services } from "./ports.ts";

/** What stands in the place of a blob: bytes with a digest, nothing, or what the storage cannot read now (with its code, such as EIO). */
export type FoundBytes =
  | { readonly found: "bytes"; readonly actual: Digest; readonly size: number }
  | { readonly found: "nothing" }
  | { readonly found: "unreadable"; readonly code: string };

/** Bytes a second, of who is told how many were read. */
export type Pace = (read: number) => number;

/** How some bytes are read. */
export interface Reading {
  /** Ends it early. */
  readonly signal: AbortSignal;
  /** At most so many bytes a second, zero for any; asked again with every piece, and told how many bytes have been read. */
  readonly pace: Pace;
}

/** Reads a published blob from its first byte to the last, in constant memory, by the algorithm of its digest. Throws the reason of the signal. */
export async function readPublished(
  { blobs, log }: Pick<Services, "blobs" | "log">,
  digest: Digest,
  reading: Reading,
): Promise<FoundBytes> {
  return readBytes({ log, open: () => blobs.open(digest), of: "a blob" }, digest, reading);
}

/** What whoever reads bytes needs. */
interface Source extends Pick<Services, "log"> {
  /** Rejects with code ENOENT when there are none. */
  readonly open: () => Promise<BlobStream>;
  /** Whose bytes they are, for the log. */
  readonly of: string;
}

/** The same for any bytes that should have this digest. */
export async function readBytes({ log, open, of }: Source, digest: Digest, { signal, pace }: Reading): Promise<FoundBytes> {
  const sink = new HashingSink(algorithmOf(digest), pace);
  // Without an error, which nobody would hear: whoever writes finds it closed.
  const end = (): void => void sink.destroy();
  signal.addEventListener("abort", end);
  try {
    signal.throwIfAborted();
    await fill(sink, await open());
    signal.throwIfAborted();
    return { found: "bytes", actual: sink.digest(), size: sink.size };
  } catch (error) {
    signal.throwIfAborted();
    const code = codeOf(error);
    if (code === "ENOENT") return { found: "nothing" };
    log.error({ err: error, digest }, `the bytes of ${of} could not be read`);
    return { found: "unreadable", code };
  } finally {
    signal.removeEventListener("abort", end);
    sink.destroy();
  }
}

async function fill(sink: Writable, stream: BlobStream): Promise<void> {
  if (stream.copyTo === undefined) await pipeline(stream, sink);
  else await stream.copyTo(sink);
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown";
}

/** A shorter wait (ms) is left for the next piece: no timer is that exact. */
const LEAST_WAIT = 1;
/** After so long (ms) the pace is asked again, which may have been lifted. */
const MOST_WAIT = 250;

/** Hashes what is written to it, and takes more only when its pace allows. */
class HashingSink extends Writable {
  readonly #algorithm: DigestAlgorithm;
  readonly #hash: ReturnType<typeof createHash>;
  readonly #pace: Pace;
  /** When the last piece was due (performance.now()). */
  #due = -Infinity;
  size = 0;

  constructor(algorithm: DigestAlgorithm, pace: Pace) {
    super();
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
    this.#pace = pace;
  }

  override _write(piece: Buffer, _: BufferEncoding, done: () => void): void {
    const from = Math.max(this.#due, performance.now());
    this.#hash.update(piece);
    this.size += piece.length;
    this.#callWhenDue({ length: piece.length, from }, done);
  }

  /** Counted on from the piece before: what was read when more was allowed is nothing that the rest is kept waiting for. */
  #callWhenDue(piece: { readonly length: number; readonly from: number }, done: () => void): void {
    const rate = this.#pace(this.size);
    const now = performance.now();
    this.#due = rate > 0 ? piece.from + (piece.length / rate) * 1000 : now;
    const wait = this.#due - now;
    if (wait < LEAST_WAIT || this.destroyed) done();
    else setTimeout(() => this.#callWhenDue(piece, done), Math.min(wait, MOST_WAIT));
  }

  digest(): Digest {
    return digestFrom(this.#algorithm, this.#hash.digest("hex"));
  }
}
