import { FormatError } from "./format-error.ts";

/** Bytes of known length that can be read at any place. Reading blocks: whoever reads a large file does so in a process of its own. */
export interface ByteSource {
  readonly size: number;
  /** Fills all of `into` with the bytes from `offset` on; the caller keeps within `size`. Throws when it cannot. */
  read(offset: number, into: Uint8Array): void;
}

/** 512 TiB: within it every offset, and eight elements a byte of it, are exact JavaScript numbers. */
const MAX_SIZE = 2 ** 49;

/** Throws `FormatError` for a source of more than 512 TiB. */
export function checkSize(source: ByteSource): void {
  if (source.size > MAX_SIZE) throw new FormatError("the file is larger than 512 TiB");
}

/** A source over bytes in memory. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: (offset, into) => {
      if (offset + into.length > bytes.length) throw new RangeError("a read beyond the end of the bytes");
      into.set(bytes.subarray(offset, offset + into.length));
    },
  };
}
