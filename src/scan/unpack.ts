import { Readable, pipeline } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { type ByteSource, memorySource } from "../formats/byte-source.ts";
import { FormatError } from "../formats/format-error.ts";
import type { Archive } from "../formats/tar-members.ts";
import type { Packing } from "../oci/layer-file.ts";

/** Of a packed archive so many bytes are unpacked, whatever it is that they make: in memory, and none of them is read again. */
const MAX_UNPACKED = 32 * 1024 * 1024;
const PIECE = 64 * 1024;

/** An archive as it is when it is unpacked, or the beginning of it. Throws `FormatError` for one that is not packed as is said. */
export async function unpack(file: ByteSource, packing: Packing): Promise<Archive> {
  if (packing === "none") return { source: file, isCut: false };
  const pieces: Buffer[] = [];
  let size = 0;
  const unpacked = pipeline(Readable.from(piecesOf(file)), packing === "gzip" ? createGunzip() : createZstdDecompress(), () => undefined);
  try {
    for await (const piece of unpacked as AsyncIterable<Buffer>) {
      pieces.push(piece);
      size += piece.length;
      if (size > MAX_UNPACKED) break;
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && /^(?:Z_|ZSTD_|ERR_ZSTD)/.test(String(error.code)))
      throw new FormatError(`the archive is not packed as ${packing}, or it is damaged`);
    throw error;
  }
  return { source: memorySource(Buffer.concat(pieces, Math.min(size, MAX_UNPACKED))), isCut: size > MAX_UNPACKED };
}

/** A file in an archive. Of one that is cut, only what is before the end can be read; throws `FormatError` for all else. */
export function fileIn({ source, isCut }: Archive, { at, size }: { readonly at: number; readonly size: number }): ByteSource {
  if (!isCut && at + size > source.size) throw new FormatError("the file goes on beyond the end of its archive");
  return {
    size,
    read: (offset, into) => {
      if (at + offset + into.length > source.size)
        throw new FormatError("the file is packed, and too far from the beginning of its archive to be unpacked here");
      source.read(at + offset, into);
    },
  };
}

function* piecesOf(file: ByteSource): Generator<Buffer> {
  for (let at = 0; at < file.size; at += PIECE) {
    const piece = Buffer.alloc(Math.min(PIECE, file.size - at));
    file.read(at, piece);
    yield piece;
  }
}
