import { constants, copyFileSync, linkSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The mode of published bytes, which never change: what mends them is another file (RULES 23). */
const PUBLISHED = 0o444;
/** It tells of processes that are no more when they are killed; the next one to open it makes it anew. */
const LMDB_LOCK = join("metadata", "lock.mdb");
const UPLOADS = "uploads";

/** A copy of a published file, as long as that one is what it was. */
interface Kept {
  readonly path: string;
  readonly size: number;
  readonly changedAt: number;
}

/**
 * Copies a data directory that nobody changes meanwhile, again and again. Published files are copied once, and linked into each copy: not to
 * the directory's own, since a further link would be a change of them, which puts off their collection.
 */
export class DirectoryCopier {
  readonly #source: string;
  readonly #folder: string;
  #kept: ReadonlyMap<number, Kept> = new Map();
  #count = 0;

  /** `folder` is where it keeps them, on the file system of the copies. */
  constructor(source: string, folder: string) {
    this.#source = source;
    this.#folder = folder;
  }

  /** Makes a copy where there is nothing yet. */
  copyTo(target: string): void {
    mkdirSync(this.#folder, { recursive: true });
    const kept = new Map<number, Kept>();
    this.#copyFolder("", target, kept);
    for (const [inode, { path }] of this.#kept) if (kept.get(inode)?.path !== path) rmSync(path);
    this.#kept = kept;
  }

  #copyFolder(below: string, target: string, kept: Map<number, Kept>): void {
    const source = join(this.#source, below);
    mkdirSync(join(target, below), { mode: lstatSync(source).mode });
    for (const entry of readdirSync(source, { withFileTypes: true })) {
      const path = join(below, entry.name);
      if (entry.isDirectory()) this.#copyFolder(path, target, kept);
      // One that nobody listens on any more refuses who connects, as any file does.
      else if (entry.isSocket()) writeFileSync(join(target, path), "");
      else if (path !== LMDB_LOCK) this.#copyFile(path, target, kept);
    }
  }

  #copyFile(path: string, target: string, kept: Map<number, Kept>): void {
    const source = join(this.#source, path);
    const { ino, mode, nlink, size, ctimeMs } = lstatSync(source);
    // The bytes of an upload grow again when their blob is gone.
    const isPublished = (mode & 0o777) === PUBLISHED && (nlink > 1 || !path.startsWith(UPLOADS));
    if (!isPublished) return copyFileSync(source, join(target, path), constants.COPYFILE_FICLONE);
    const before = kept.get(ino) ?? this.#kept.get(ino);
    const same = before?.size === size && before.changedAt === ctimeMs ? before : this.#keep(source, { size, changedAt: ctimeMs });
    kept.set(ino, same);
    linkSync(same.path, join(target, path));
  }

  #keep(source: string, file: Omit<Kept, "path">): Kept {
    const path = join(this.#folder, String((this.#count += 1)));
    copyFileSync(source, path, constants.COPYFILE_FICLONE);
    return { ...file, path };
  }
}
