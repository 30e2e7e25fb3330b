import { randomBytes } from "node:crypto";
import { type FileHandle, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Digest, type DigestAlgorithm, digestOf } from "../oci/digest.ts";
import { writeAt } from "./write-at.ts";

/** Small content by its digest, in a file of its own: there can be more of it than fits in memory. */
export class Spool implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #places = new Map<Digest, { readonly at: number; readonly size: number }>();
  #end = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async open(): Promise<Spool> {
    const path = join(tmpdir(), `securectl-${randomBytes(8).toString("hex")}.spool`);
    const file = await open(path, "wx+", 0o600);
    // Nobody needs its name, and without one nothing is left of it.
    await rm(path);
    return new Spool(file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  /** Keeps some bytes; their digest. */
  async add(bytes: Uint8Array, algorithm: DigestAlgorithm = "sha256"): Promise<Digest> {
    const digest = digestOf(bytes, algorithm);
    if (this.#places.has(digest)) return digest;
    await writeAt(this.#file, bytes, this.#end);
    this.#places.set(digest, { at: this.#end, size: bytes.length });
    this.#end += bytes.length;
    return digest;
  }

  /** How many bytes are kept under a digest; undefined when none are. */
  sizeOf(digest: Digest): number | undefined {
    return this.#places.get(digest)?.size;
  }

  digests(): Iterable<Digest> {
    return this.#places.keys();
  }

  /** What was kept under a digest; throws a `TypeError` for what was not. */
  async read(digest: Digest): Promise<Buffer> {
    const place = this.#places.get(digest);
    if (place === undefined) throw new TypeError("that was not kept");
    const bytes = Buffer.alloc(place.size);
    await this.#file.read(bytes, 0, place.size, place.at);
    return bytes;
  }
}
