import { type Hash, createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { type Digest, type DigestAlgorithm, digestFrom } from "../oci/digest.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import { release } from "../storage/release.ts";
import type { Upload } from "./upload-id.ts";

/** The hashes of the first `offset` bytes of an upload. They stay right whoever writes on, since uploads only grow. */
interface Prefix {
  readonly hashes: ReadonlyMap<DigestAlgorithm, Hash>;
  offset: number;
}

/** What some bytes are called. */
export interface ContentNames {
  /** By the algorithm of their upload. */
  readonly digest: Digest;
  /** The name by which the registry knows them whatever they were pushed by. */
  readonly sha256: Digest;
}

/** How many uploads a worker keeps a hash of; the ones used last. Forgetting one costs a second reading of its bytes. */
const MAX_UPLOADS = 1024;
/** A gap up to this many bytes is read before the body goes on, a wider one while the body arrives. */
const NARROW_GAP = 16 * 1024 * 1024;
/** How long a reader that has caught up with a writer waits for more, in milliseconds. */
const IDLE = 50;

type Blobs = Pick<BlobStore, "append" | "openStaged">;

/**
 * Hashes uploads while their bytes arrive (DESIGN §5). What this worker did not see itself (after a restart, or because another worker
 * took it, or because the algorithm is named only by the closing digest) is read back from the staged bytes. An upload by sha512 is hashed
 * by sha256 as well, so that the same bytes are known again under either name (RULES 13).
 */
export class UploadHashes {
  readonly #blobs: Blobs;
  readonly #prefixes = new Map<string, Prefix>();

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
  }

  /** Writes bytes, which it takes over, at the end of an upload as `BlobStore.append` does, and hashes them; the size afterwards. */
  async append(upload: Upload, bytes: AsyncIterable<Uint8Array>, offset: number): Promise<number> {
    const passage = new Passage(bytes);
    try {
      const size = await this.#blobs.append(upload.id, this.#pass(upload, passage, offset), offset, { takesOver: true });
      this.#keep(upload, passage, size);
      return size;
    } catch (error) {
      // Every byte that a failed source gave before was written; after a failed write nobody knows, and the hash is dropped.
      if (passage.failure !== undefined && error === passage.failure.error) this.#keep(upload, passage, offset + passage.count);
      throw error;
    }
  }

  /** What an upload's first `size` bytes are called. */
  async names(upload: Upload, size: number): Promise<ContentNames> {
    const prefix = this.#take(upload, size);
    await this.#readUpTo(upload, prefix, size);
    this.#put(upload, prefix);
    return { digest: digestBy(prefix, upload.algorithm), sha256: digestBy(prefix, "sha256") };
  }

  /** Forgets an upload that was closed or cancelled. */
  forget(upload: Upload): void {
    this.#prefixes.delete(upload.id);
  }

  /** Runs under the upload's claim: a driver asks for the first byte only when it may write. */
  async *#pass(upload: Upload, passage: Passage, offset: number): AsyncGenerator<Uint8Array> {
    const prefix = this.#take(upload, offset);
    passage.prefix = prefix;
    if (offset - prefix.offset <= NARROW_GAP) {
      await this.#readUpTo(upload, prefix, offset);
      for await (const chunk of passage.bytes()) {
        advance(prefix, chunk);
        yield chunk;
      }
      return;
    }
    const following = this.#follow(upload, prefix, passage);
    try {
      yield* passage.bytes();
    } finally {
      await following;
    }
  }

  /** Reads an upload behind its writer until that has ended. */
  async #follow(upload: Upload, prefix: Prefix, passage: Passage): Promise<void> {
    try {
      while (!passage.ended) {
        const before = prefix.offset;
        await this.#read(upload, prefix, () => (passage.ended ? 0 : Infinity));
        if (prefix.offset === before) await sleep(IDLE);
      }
    } catch {
      // Reading ahead is only a saving: whoever needs the digest reads again, and reports what fails then.
    }
  }

  async #readUpTo(upload: Upload, prefix: Prefix, size: number): Promise<void> {
    if (prefix.offset < size) await this.#read(upload, prefix, () => size);
    if (prefix.offset !== size) throw new Error("the staged bytes of an upload are fewer than they were");
  }

  /** Hashes what is staged, from where the hash stands until `end` or the last byte. */
  async #read(upload: Upload, prefix: Prefix, end: () => number): Promise<void> {
    for await (const chunk of chunksOf(await this.#blobs.openStaged(upload.id, prefix.offset))) {
      const left = end() - prefix.offset;
      if (left <= 0) return;
      advance(prefix, chunk.subarray(0, left));
      release(chunk);
    }
  }

  /** Takes what is known of an upload out of the map, so that nobody else goes on with the same hash; or begins anew. */
  #take(upload: Upload, size: number): Prefix {
    const known = this.#prefixes.get(upload.id);
    this.#prefixes.delete(upload.id);
    return known?.hashes.has(upload.algorithm) === true && known.offset <= size ? known : newPrefix(upload.algorithm);
  }

  #keep(upload: Upload, { prefix }: Passage, size: number): void {
    if (prefix !== undefined && prefix.offset <= size) this.#put(upload, prefix);
  }

  #put(upload: Upload, prefix: Prefix): void {
    this.#prefixes.delete(upload.id);
    this.#prefixes.set(upload.id, prefix);
    const [oldest] = this.#prefixes.keys();
    if (this.#prefixes.size > MAX_UPLOADS && oldest !== undefined) this.#prefixes.delete(oldest);
  }
}

/** What bytes that nobody keeps are called, by an algorithm and by sha256, and how many they are. */
export async function hashAll(
  algorithm: DigestAlgorithm,
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<ContentNames & { readonly size: number }> {
  const prefix = newPrefix(algorithm);
  for await (const chunk of bytes) advance(prefix, chunk);
  return { digest: digestBy(prefix, algorithm), sha256: digestBy(prefix, "sha256"), size: prefix.offset };
}

/** One body on its way into an upload: how much of it went by, and whether it was the body that failed. */
class Passage {
  readonly #source: AsyncIterable<Uint8Array>;
  count = 0;
  ended = false;
  failure: { readonly error: unknown } | undefined;
  prefix: Prefix | undefined;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source;
  }

  async *bytes(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of this.#source) {
        this.count += chunk.byteLength;
        yield chunk;
      }
    } catch (error) {
      this.failure = { error };
      throw error;
    } finally {
      this.ended = true;
    }
  }
}

async function* chunksOf(stream: Readable): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError("a blob store's streams give bytes");
    yield chunk;
  }
}

function newPrefix(algorithm: DigestAlgorithm): Prefix {
  const algorithms = new Set<DigestAlgorithm>(["sha256", algorithm]);
  return { hashes: new Map([...algorithms].map((each) => [each, createHash(each)])), offset: 0 };
}

function advance(prefix: Prefix, chunk: Uint8Array): void {
  for (const hash of prefix.hashes.values()) hash.update(chunk);
  prefix.offset += chunk.byteLength;
}

function digestBy({ hashes }: Prefix, algorithm: DigestAlgorithm): Digest {
  const hash = hashes.get(algorithm);
  if (hash === undefined) throw new TypeError(`not hashed by ${algorithm}`);
  return digestFrom(algorithm, hash.copy().digest("hex"));
}
