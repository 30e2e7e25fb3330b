import {
  MAX_RECORD_BYTES,
  TAR_BLOCK,
  TarError,
  type TarHeader,
  isZeroBlock,
  parseLongName,
  parseTarHeader,
  parseTarRecords,
} from "./tar-header.ts";

/** Archives are filled up to a whole tape record; nobody's is larger. */
const MAX_FILLING = 1_048_576;

/** Where a file's content is within the archive. */
export interface TarMember {
  readonly at: number;
  readonly size: number;
}

/** Bytes that are wanted of an archive, all of which are in it. */
export interface WantedBytes {
  readonly at: number;
  readonly length: number;
}

/** What of an archive is looked at. */
export interface TarExtent {
  /** Of the whole archive, in bytes; infinite where it is cut, and who asks has only its beginning. */
  readonly size: number;
  /** More than so many are refused. */
  readonly maxMembers: number;
}

/**
 * Finds the regular files of a tar archive by its headers alone: content is skipped, so that this costs the same whatever the files' size.
 * It asks for bytes and is given them, and adds each file to `files` once its header was found to be right. Throws `TarError` for whatever
 * could be understood in two ways, and for what leads out of a folder.
 */
export function* walkTar({ size, maxMembers }: TarExtent, files: Map<string, TarMember>): Generator<WantedBytes, void, Buffer> {
  const walk = new TarWalk(size, files);
  for (let members = 0; ; members += 1) {
    const block = yield walk.want(TAR_BLOCK);
    if (isZeroBlock(block)) break;
    if (members === maxMembers) throw new TarError("layout-too-large", `the archive has more than ${maxMembers} members`);
    yield* walk.member(parseTarHeader(block));
  }
  yield* walk.end();
}

class TarWalk {
  readonly #files: Map<string, TarMember>;
  readonly #size: number;
  readonly #folders = new Set<string>();
  #at = 0;
  /** What headers before this one said of it. */
  #path: string | undefined;
  #length: number | undefined;

  constructor(size: number, files: Map<string, TarMember>) {
    this.#size = size;
    this.#files = files;
  }

  /** The next bytes, all of them. */
  want(length: number): WantedBytes {
    const at = this.#at;
    if (at + length > this.#size) throw truncated();
    this.#at += length;
    return { at, length };
  }

  *member({ kind, name, size }: TarHeader): Generator<WantedBytes, void, Buffer> {
    if (kind === "records" || kind === "long-name") {
      yield* this.#about(kind, size);
      return;
    }
    const named = this.#path ?? name;
    const path = pathOf(named);
    const length = this.#length ?? size;
    this.#path = undefined;
    this.#length = undefined;
    const isConfused = kind === "directory" ? length !== 0 : path === "" || named.endsWith("/");
    if (isConfused) throw new TarError("archive-invalid", "a member of the archive is file and folder at once");
    this.#place(kind, path, length);
    this.#skip(length);
  }

  /**
   * Two empty blocks end an archive, and nothing but zeros may follow: other readers may go on where one stops. Of an archive that is cut
   * it is not known what follows.
   */
  *end(): Generator<WantedBytes, void, Buffer> {
    const rest = this.#size - this.#at;
    if (rest < TAR_BLOCK || this.#path !== undefined || this.#length !== undefined) throw truncated();
    if (rest === Infinity) return;
    if (rest > MAX_FILLING || !isZeroBlock(yield this.want(rest)))
      throw new TarError("archive-unsafe", "something stands behind the end of the archive");
  }

  *#about(kind: "records" | "long-name", size: number): Generator<WantedBytes, void, Buffer> {
    if (size > MAX_RECORD_BYTES) throw new TarError("layout-too-large", "an extended header of the archive is too large");
    const bytes = yield this.want(padded(size));
    const { path, size: length } =
      kind === "records" ? parseTarRecords(bytes.subarray(0, size)) : { path: parseLongName(bytes.subarray(0, size)), size: undefined };
    const twice = (path !== undefined && this.#path !== undefined) || (length !== undefined && this.#length !== undefined);
    if (twice) throw new TarError("archive-unsafe", "two headers of the archive say different things of one member");
    this.#path ??= path;
    this.#length ??= length;
  }

  #place(kind: "file" | "directory", path: string, size: number): void {
    const known = this.#files.has(path) || (kind === "file" && this.#folders.has(path));
    if (known) throw new TarError("archive-unsafe", `the archive has ${JSON.stringify(path)} more than once`);
    if (kind === "directory") this.#folders.add(path);
    else this.#files.set(path, { at: this.#at, size });
  }

  #skip(length: number): void {
    this.#at += padded(length);
    if (this.#at > this.#size) throw truncated();
  }
}

/** A path without `./` in front and `/` behind; throws for one that leads out of the folder, or that two systems understand differently. */
function pathOf(name: string): string {
  const path = name.replace(/^\.\//, "").replace(/\/$/, "");
  const isPlain = path === "" || path === "." || path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  if (name.startsWith("/") || name.includes("\\") || !isPlain) {
    throw new TarError("archive-unsafe", `the archive has a member that leads elsewhere: ${JSON.stringify(name)}`);
  }
  return path;
}

function padded(size: number): number {
  return Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
}

function truncated(): TarError {
  return new TarError("archive-invalid", "the archive ends early");
}
