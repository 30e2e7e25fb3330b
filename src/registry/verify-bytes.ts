import { createHash } from "node:crypto";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Digest, type DigestAlgorithm, algorithmOf, digestFrom } from "../oci/digest.ts";
import type { BlobStream } from "../storage/blob-store.ts";
import { type HashedFile, HashingThreadError } from "../storage/file-hashing.ts";
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

/**
 * Reads a published blob from its first byte to the last, in constant memory, by the algorithm of its digest; aside from what this process
 * serves, where the store can. Throws the reason of the signal.
 */
export async function readPublished(services: Pick<Services, "blobs" | "log">, digest: Digest, reading: Reading): Promise<FoundBytes> {
  const { signal } = reading;
  try {
    signal.throwIfAborted();
    const stream = await services.blobs.open(digest);
    const { digest: actual, size } = await (stream.hashAside === undefined
      ? hashHere(stream, digest, reading)
      : hashAside(services, stream.hashAside, digest, reading));
    signal.throwIfAborted();
    return { found: "bytes", actual, size };
  } catch (error) {
    signal.throwIfAborted();
    const code = codeOf(error);
    if (code === "ENOENT") return { found: "nothing" };
    services.log.error({ err: error, digest }, "the bytes of a blob could not be read");
    return { found: "unreadable", code };
  }
}

/** A check is worth more than that nobody notices it. */
async function hashAside(
  { blobs, log }: Pick<Services, "blobs" | "log">,
  aside: NonNullable<BlobStream["hashAside"]>,
  digest: Digest,
  reading: Reading,
): Promise<HashedFile> {
  const pacer = new Pacer(reading);
  try {
    return await aside(algorithmOf(digest), (read) => pacer.due(read));
  } catch (error) {
    if (!(error instanceof HashingThreadError)) throw error;
    log.warn({ err: error, digest }, "the bytes of a blob are checked beside the requests, for want of a thread");
    return hashHere(await blobs.open(digest), digest, reading);
  }
}

async function hashHere(stream: BlobStream, digest: Digest, reading: Reading): Promise<HashedFile> {
  const { signal } = reading;
  const sink = new HashingSink(algorithmOf(digest), new Pacer(reading));
  // Without an error, which nobody would hear: whoever writes finds it closed.
  const end = (): void => void sink.destroy();
  signal.addEventListener("abort", end);
  try {
    if (stream.copyTo === undefined) await pipeline(stream, sink);
    else await stream.copyTo(sink);
    return { digest: sink.digest(), size: sink.size };
  } finally {
    signal.removeEventListener("abort", end);
    sink.destroy();
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown";
}

/** A shorter wait (ms) is left for the next piece: no timer is that exact. */
const LEAST_WAIT = 1;
/** After so long (ms) the pace is asked again, which may have been lifted. */
const MOST_WAIT = 250;

/** Holds whoever reads to a pace. */
class Pacer {
  readonly #signal: AbortSignal;
  readonly #pace: Pace;
  readonly #began = performance.now();

  constructor({ signal, pace }: Reading) {
    this.#signal = signal;
    this.#pace = pace;
  }

  /** Resolves when so many bytes may have been read; rejects with the reason of the signal. */
  async due(read: number): Promise<void> {
    for (;;) {
      const rate = this.#pace(read);
      this.#signal.throwIfAborted();
      const wait = rate > 0 ? (read / rate) * 1000 - (performance.now() - this.#began) : 0;
      if (wait < LEAST_WAIT) return;
      await sleep(Math.min(wait, MOST_WAIT), undefined, { signal: this.#signal }).catch(() => this.#signal.throwIfAborted());
    }
  }
}

/** Hashes what is written to it, and takes more only when its pace allows. */
class HashingSink extends Writable {
  readonly #algorithm: DigestAlgorithm;
  readonly #hash: ReturnType<typeof createHash>;
  readonly #pacer: Pacer;
  size = 0;

  constructor(algorithm: DigestAlgorithm, pacer: Pacer) {
    super();
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
    this.#pacer = pacer;
  }

  override _write(piece: Buffer, _: BufferEncoding, done: () => void): void {
    this.#hash.update(piece);
    this.size += piece.length;
    void this.#callWhenDue(done);
  }

  async #callWhenDue(done: () => void): Promise<void> {
    try {
      await this.#pacer.due(this.size);
    } catch {
      this.destroy();
    }
    done();
  }

  digest(): Digest {
    return digestFrom(this.#algorithm, this.#hash.digest("hex"));
  }
}
