import { type Hash, createHash } from "node:crypto";
import type { ByteSource } from "./byte-source.ts";
import type { ModelFile, Tensor } from "./model-file.ts";

/** Bytes of a SHA-256 digest. */
export const HASH_BYTES = 32;
/** Larger reads are no faster. */
const READ_BYTES = 1024 * 1024;

/** The digests of a file's content, all SHA-256. */
export interface Hashes {
  /** Of the whole file, in lower-case hex. */
  readonly file: string;
  /** Of each tensor's bytes, one after the other, 32 bytes each, in the order of the tensors. */
  readonly tensors: Uint8Array;
}

/** Reads a whole source once, in pieces of 1 MiB, for the digest of all of it and of each tensor. */
export function hashContent(source: ByteSource, file: Pick<ModelFile, "dataStart" | "tensors">): Hashes {
  const whole = createHash("sha256");
  const tensors = new TensorHasher(file);
  const buffer = new Uint8Array(READ_BYTES);
  for (let offset = 0; offset < source.size; offset += READ_BYTES) {
    const bytes = buffer.subarray(0, Math.min(READ_BYTES, source.size - offset));
    source.read(offset, bytes);
    whole.update(bytes);
    tensors.update(offset, bytes);
  }
  return { file: whole.digest("hex"), tensors: tensors.digests(source.size) };
}

/** Hashes tensors while the bytes of their file pass by; they lie one behind the other. */
class TensorHasher {
  readonly #dataStart: number;
  readonly #tensors: readonly Tensor[];
  readonly #digests: Uint8Array;
  /** The tensor that is being hashed, or the next one. */
  #at = 0;
  #hash: Hash | undefined;

  constructor({ dataStart, tensors }: Pick<ModelFile, "dataStart" | "tensors">) {
    this.#dataStart = dataStart;
    this.#tensors = tensors;
    this.#digests = new Uint8Array(tensors.length * HASH_BYTES);
  }

  update(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    for (let tensor = this.#tensors[this.#at]; tensor !== undefined; tensor = this.#tensors[this.#at]) {
      const start = this.#dataStart + tensor.offset;
      if (start >= end) return;
      this.#hash ??= createHash("sha256");
      this.#hash.update(bytes.subarray(Math.max(0, start - offset), Math.min(bytes.length, start + tensor.size - offset)));
      if (start + tensor.size > end) return;
      this.#finish(this.#hash);
    }
  }

  /** All digests, once everything has passed. Empty tensors at the very end have seen no byte. */
  digests(size: number): Uint8Array {
    for (let tensor = this.#tensors[this.#at]; tensor !== undefined; tensor = this.#tensors[this.#at]) {
      if (this.#dataStart + tensor.offset + tensor.size > size) throw new RangeError("a tensor ends beyond the end of the file");
      this.#finish(this.#hash ?? createHash("sha256"));
    }
    return this.#digests;
  }

  #finish(hash: Hash): void {
    this.#digests.set(hash.digest(), this.#at * HASH_BYTES);
    this.#at += 1;
    this.#hash = undefined;
  }
}
