import { createHash } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { chmod, copyFile, link, lstat, mkdir, opendir, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Digest, algorithmOf, encodedOf } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type BlobRows, rowOf } from "./blob-rows.ts";
import { StorageFullError } from "./blob-store.ts";
import { THIS_PROCESS, hasCode, isAlive, noneWhenMissing } from "./claim.ts";
import { FilePart } from "./file-part.ts";
import { blobPath } from "./filesystem.ts";
import { syncPath } from "./sync.ts";
import { nameUnderWay, removeLeftovers } from "./under-way.ts";
import type { RuntimeFile, RuntimeFileState, RuntimeTree } from "./runtime-tree.ts";

/** Runtimes of other users walk the tree (RULES 23). */
const OPEN_FOLDER = 0o755;
const READ_ONLY = 0o444;
/** Somebody else may put anything in the place of a file: what leads elsewhere is not opened, and a pipe is not waited for. */
const OPEN_COPY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Some file systems give numbers to files that no other number holds exactly. */
const EXACTLY = { bigint: true } as const;
/**
 * Folders on their way into the tree or out of it, in `uploads`, where no runtime looks; no upload has such an id. Those that are to become
 * one folder of the tree stand in one place, of which an unlink takes them all away at once.
 */
const [MADE, REMOVED] = ["+tree.", "+gone."] as const;
/** Each try lost means that another removal has just taken an empty parent away, or another promotion was first. */
const MAX_TRIES = 16;
const MOVED_MEANWHILE = ["ENOENT", "ENOTEMPTY", "EEXIST"] as const;

/** The tree `trusted/` of a data directory. Any number of processes of one machine may open it; what those left under way that have ended goes. */
export async function openLinkedTree(root: string, rows: BlobRows): Promise<RuntimeTree> {
  const uploads = join(root, "uploads");
  await removeLeftovers(uploads, REMOVED);
  for await (const { name } of await opendir(uploads)) {
    if (!name.startsWith(MADE)) continue;
    await removeLeftovers(join(uploads, name), "");
    await removeIfEmpty(join(uploads, name));
  }
  return new LinkedTree(root, rows);
}

class LinkedTree implements RuntimeTree {
  readonly process = THIS_PROCESS;
  readonly #blobs: string;
  readonly #uploads: string;
  readonly #trusted: string;
  readonly #rows: BlobRows;

  constructor(root: string, rows: BlobRows) {
    this.#rows = rows;
    [this.#blobs, this.#uploads, this.#trusted] = [join(root, "blobs"), join(root, "uploads"), join(root, "trusted")];
  }

  async link(repository: RepositoryName, manifest: Digest, files: readonly RuntimeFile[], still: () => Promise<boolean>): Promise<boolean> {
    const paths = files.map(({ path }) => path);
    if (!paths.every(isSafePath)) throw new TypeError("a file of a trusted artifact has no safe relative path");
    const [place, folder] = [this.#placeOf(repository, manifest), this.#folderOf(repository, manifest)];
    const made = join(place, nameUnderWay(""));
    try {
      await makeFolder(place);
      await this.#build(made, files);
      if (!(await still())) return false;
      await this.#moveIn(made, folder);
      return true;
    } catch (error) {
      // Another change of the folder has taken it away, before it was moved or between a try to move it and the next.
      if (hasCode(error, ...MOVED_MEANWHILE) && !(await exists(made))) return false;
      throw hasCode(error, "ENOSPC", "EDQUOT") ? new StorageFullError("there is no room left for links", { cause: error }) : error;
    } finally {
      await rm(made, { recursive: true, force: true });
      await removeIfEmpty(place);
      await this.#removeEmptyParents(folder);
    }
  }

  async unlink(repository: RepositoryName, manifest: Digest): Promise<void> {
    const folder = this.#folderOf(repository, manifest);
    // In this order: what is not moved in by now never will be.
    await this.#moveOut(this.#placeOf(repository, manifest));
    await this.#moveOut(folder);
    // Gone for good: a power cut does not bring it back.
    await syncPath(dirname(folder)).catch(noneWhenMissing);
    await this.#removeEmptyParents(folder);
  }

  async pathOf(repository: RepositoryName, manifest: Digest): Promise<string | undefined> {
    const folder = this.#folderOf(repository, manifest);
    return (await exists(folder)) ? folder : undefined;
  }

  async look(repository: RepositoryName, manifest: Digest, { path, blob }: RuntimeFile, size: number): Promise<RuntimeFileState> {
    const folder = this.#folderOf(repository, manifest);
    const file = join(folder, path);
    for (const parent of parentsOf(dirname(folder), file)) {
      if ((await lstat(parent).catch(noneWhenMissing))?.isDirectory() !== true) return "wrong";
    }
    const found = await lstat(file, EXACTLY).catch(noneWhenMissing);
    if (found?.isFile() !== true) return "wrong";
    if (await this.#isOfBlob(found, blob)) return "linked";
    // One byte more would tell that it has grown meanwhile.
    return found.size === BigInt(size) ? { open: async () => new FilePart(file, { start: 0, end: size }, OPEN_COPY) } : "wrong";
  }

  async #isOfBlob({ ino, dev }: BigIntStats, blob: Digest): Promise<boolean> {
    // Where there is a row, a file of the same digest is not the blob.
    if ((await rowOf(this.#rows, blob)) !== undefined) return false;
    const published = await stat(blobPath(this.#blobs, blob), EXACTLY).catch(noneWhenMissing);
    return published?.ino === ino && published.dev === dev;
  }

  async hasEnded(process: string): Promise<boolean> {
    return process !== THIS_PROCESS && !(await isAlive(process));
  }

  #folderOf(repository: RepositoryName, manifest: Digest): string {
    return join(this.#trusted, repository, `${algorithmOf(manifest)}-${encodedOf(manifest)}`);
  }

  /** Where the folders stand that are to become the manifest's. */
  #placeOf(repository: RepositoryName, manifest: Digest): string {
    return join(this.#uploads, MADE + createHash("sha256").update(`${repository}@${manifest}`).digest("hex"));
  }

  async #build(folder: string, files: readonly RuntimeFile[]): Promise<void> {
    const folders = new Set([folder]);
    await makeFolder(folder);
    for (const { path, blob } of files) {
      const target = join(folder, path);
      for (const parent of parentsOf(folder, target)) {
        if (!folders.has(parent)) await makeFolder(parent);
        folders.add(parent);
      }
      const row = await rowOf(this.#rows, blob);
      if (row === undefined) await linkOrCopy(blobPath(this.#blobs, blob), target);
      else await writeCopy(row, target);
    }
    for (const made of folders) await syncPath(made);
  }

  async #moveIn(made: string, folder: string): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#makeParents(folder);
        await rename(made, folder);
        break;
      } catch (error) {
        if (!hasCode(error, ...MOVED_MEANWHILE) || tries >= MAX_TRIES || !(await exists(made))) throw error;
        if (!hasCode(error, "ENOENT")) await this.#moveOut(folder);
      }
    }
    await syncPath(dirname(folder));
  }

  async #removeEmptyParents(folder: string): Promise<void> {
    for (let parent = dirname(folder); parent !== this.#trusted; parent = dirname(parent)) {
      if (!(await removeIfEmpty(parent))) return;
    }
  }

  /** Makes a folder disappear at once, however much is in it. */
  async #moveOut(folder: string): Promise<void> {
    const removed = join(this.#uploads, nameUnderWay(REMOVED));
    await rename(folder, removed).catch(noneWhenMissing);
    // Again when somebody was just about to write in it.
    await rm(removed, { recursive: true, force: true, maxRetries: 3 });
  }

  async #makeParents(folder: string): Promise<void> {
    for (const parent of parentsOf(this.#trusted, folder)) {
      await makeFolder(parent);
      await syncPath(dirname(parent));
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(noneWhenMissing)) !== undefined;
}

/** The folders between a root and a path, the outermost first. */
function parentsOf(root: string, path: string): string[] {
  const parents: string[] = [];
  for (let parent = dirname(path); parent.length > root.length; parent = dirname(parent)) parents.unshift(parent);
  return parents;
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { mode: OPEN_FOLDER }).catch((error: unknown) => {
    if (!hasCode(error, "EEXIST")) throw error;
  });
  // Whatever the umask has taken away.
  await chmod(path, OPEN_FOLDER);
}

async function linkOrCopy(blob: string, target: string): Promise<void> {
  try {
    await link(blob, target);
  } catch (error) {
    // A file system bounds the links of one file (65 000 on ext4), and a tokenizer may well be in more artifacts.
    if (!hasCode(error, "EMLINK")) throw error;
    await copyFile(blob, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await makeReadable(target);
  }
}

async function writeCopy(bytes: Uint8Array, target: string): Promise<void> {
  await writeFile(target, bytes, { flag: "wx" });
  await makeReadable(target);
}

/** Makes a file durable that all may read, whatever the umask has taken away, and nobody may change. */
async function makeReadable(file: string): Promise<void> {
  await chmod(file, READ_ONLY);
  await syncPath(file);
}

async function removeIfEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTEMPTY", "EEXIST")) throw error;
    return false;
  }
}

/** Stays below its folder, whatever the caller has checked already: relative, no empty, `.` or `..` part, nothing that a shell or terminal would misread. */
function isSafePath(path: string): boolean {
  const parts = path.split("/");
  return Buffer.byteLength(path) <= 1024 && parts.every(isSafeName);
}

function isSafeName(name: string): boolean {
  if (name === "" || name === "." || name === ".." || Buffer.byteLength(name) > 255) return false;
  return !name.includes("\\") && !/\p{C}/u.test(name);
}
