import type { ByteSource } from "./byte-source.ts";
import { type TarMember, walkTar } from "./tar-walk.ts";

/** A file in an archive: its path, and where in the archive its bytes are. */
export interface PackedFile extends TarMember {
  readonly path: string;
}

/** The files in an archive, in their order in it. */
export interface PackedFiles {
  readonly files: readonly PackedFile[];
  /** False when there may be more in it than is listed. */
  readonly isWhole: boolean;
}

/** An archive, or the beginning of one. */
export interface Archive {
  readonly source: ByteSource;
  /** Does it go on behind the end of the source? */
  readonly isCut: boolean;
}

/** More members than a layer with parts of a model has. */
const MAX_MEMBERS = 10_000;
export const MAX_LISTED_FILES = 500;

/** The files in a tar archive, found by its headers alone; of one that is cut, those that begin before that. Throws `FormatError`. */
export function readTarMembers({ source, isCut }: Archive): PackedFiles {
  const found = new Map<string, TarMember>();
  const walk = walkTar({ size: isCut ? Infinity : source.size, maxMembers: MAX_MEMBERS }, found);
  let isWhole = !isCut;
  for (let wanted = walk.next(); wanted.done !== true;) {
    const { at, length } = wanted.value;
    if (at + length > source.size) {
      isWhole = false;
      break;
    }
    const bytes = Buffer.alloc(length);
    source.read(at, bytes);
    wanted = walk.next(bytes);
  }
  const files = [...found].map(([path, member]) => ({ path, ...member }));
  return { files: files.slice(0, MAX_LISTED_FILES), isWhole: isWhole && files.length <= MAX_LISTED_FILES };
}
