import type { FileHandle } from "node:fs/promises";
import { LayoutError } from "./layout-error.ts";
import { MAX_RECORD_BYTES, TAR_BLOCK, type TarHeader, isZeroBlock, parseLongName, parseTarHeader, parseTarRecords } from "./tar-header.ts";

/** More members than any layout that is read has blobs. */
const MAX_MEMBERS = 500_000;
/** Archives are filled up to a whole tape record; nobody's is larger. */
const MAX_FILLING = 1_048_576;

/** Where a file's content is within the archive. */
export interface TarMember {
  readonly at: number;
  readonly size: number;
}

/**
 * The regular files of a tar archive by their path, found by its headers alone: content is skipped, so that this costs the same whatever
 * the files' size. Throws `LayoutError` for whatever could be understood in two ways, and for what leads out of a folder.
 */
export async function readTar(archive: FileHandle): Promise<ReadonlyMap<string, TarMember>> {
  const { size } = await archive.stat();
  const walk = new TarWalk(archive, size);
  for (;;) {
    const block = await walk.take(TAR_BLOCK);
    if (isZeroBlock(block)) break;
    await walk.member(parseTarHeader(block));
  }
  await walk.end();
  return walk.files;
}

class TarWalk {
  readonly files = new Map<string, TarMember>();
  readonly #archive: FileHandle;
  readonly #size: number;
  readonly #folders = new Set<string>();
  #at = 0;
  #members = 0;
  /** What headers before this one said of it. */
  #path: string | undefined;
  #length: number | undefined;

  constructor(archive: FileHandle, size: number) {
    this.#archive = archive;
    this.#size = size;
  }

  /** The next bytes, all of them. */
  async take(length: number): Promise<Buffer> {
    if (this.#at + length > this.#size) throw truncated();
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length;) {
      const { bytesRead } = await this.#archive.read(bytes, done, length - done, this.#at + done);
      if (bytesRead === 0) throw truncated();
      done += bytesRead;
    }
    this.#at += length;
    return bytes;
  }

  async member({ kind, name, size }: TarHeader): Promise<void> {
    this.#members += 1;
    if (this.#members > MAX_MEMBERS) throw new LayoutError("layout-too-large", `the archive has more than ${MAX_MEMBERS} members`);
    if (kind === "records" || kind === "long-name") {
      await this.#about(kind, size);
      return;
    }
    const named = this.#path ?? name;
    const path = pathOf(named);
    const length = this.#length ?? size;
    this.#path = undefined;
    this.#length = undefined;
    const isConfused = kind === "directory" ? length !== 0 : path === "" || named.endsWith("/");
    if (isConfused) throw new LayoutError("archive-invalid", "a member of the archive is file and folder at once");
    this.#place(kind, path, length);
    this.#skip(length);
  }

  /** Two empty blocks end an archive, and nothing but zeros may follow: other readers may go on where one stops. */
  async end(): Promise<void> {
    const rest = this.#size - this.#at;
    if (rest < TAR_BLOCK || this.#path !== undefined || this.#length !== undefined) throw truncated();
    const filling = rest > MAX_FILLING ? undefined : await this.take(rest);
    if (filling === undefined || !isZeroBlock(filling))
      throw new LayoutError("archive-unsafe", "something stands behind the end of the archive");
  }

  async #about(kind: "records" | "long-name", size: number): Promise<void> {
    if (size > MAX_RECORD_BYTES) throw new LayoutError("layout-too-large", "an extended header of the archive is too large");
    const bytes = await this.take(padded(size));
    const { path, size: length } =
      kind === "records" ? parseTarRecords(bytes.subarray(0, size)) : { path: parseLongName(bytes.subarray(0, size)), size: undefined };
    const twice = (path !== undefined && this.#path !== undefined) || (length !== undefined && this.#length !== undefined);
    if (twice) throw new LayoutError("archive-unsafe", "two headers of the archive say different things of one member");
    this.#path ??= path;
    this.#length ??= length;
  }

  #place(kind: "file" | "directory", path: string, size: number): void {
    const known = this.files.has(path) || (kind === "file" && this.#folders.has(path));
    if (known) throw new LayoutError("archive-unsafe", `the archive has ${JSON.stringify(path)} more than once`);
    if (kind === "directory") this.#folders.add(path);
    else this.files.set(path, { at: this.#at, size });
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
    throw new LayoutError("archive-unsafe", `the archive has a member that leads elsewhere: ${JSON.stringify(name)}`);
  }
  return path;
}

function padded(size: number): number {
  return Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
}

function truncated(): LayoutError {
  return new LayoutError("archive-invalid", "the archive ends early");
}
