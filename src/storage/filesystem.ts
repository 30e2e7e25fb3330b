import { type Stats, chmodSync, constants, linkSync, mkdirSync, renameSync, rmdirSync, statSync, unlinkSync } from "node:fs";
import { copyFile as cloneFile, mkdir, opendir, readdir, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { type Digest, algorithmOf, encodedOf, isDigest } from "../oci/digest.ts";
import { AppendWriter } from "./append-writer.ts";
import { type BlobStore, type BlobStream, type ByteRange, StorageFullError } from "./blob-store.ts";
import { type Claim, claim, hasCode, noneWhenMissing, withCurrentName } from "./claim.ts";
import { FilePart } from "./file-part.ts";
import { release } from "./release.ts";
import { makeRemovalToken, takeRemovalToken } from "./removal-token.ts";
import { Room } from "./room.ts";
import { DATA, StagingFolders, UNUSED } from "./staging-folders.ts";
import { syncPath } from "./sync.ts";
import { type WritableFile, openWritable } from "./writable-file.ts";

export interface FilesystemOptions {
  /** How files are opened to be written; for a file system that is reached in another way than by paths of this machine. */
  readonly openFile?: typeof openWritable;
  /** How a file or a folder is made durable (its size); for the same. */
  readonly sync?: (path: string) => Promise<number>;
}

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
/** Published bytes never change, and a reader over a hard link must not be able to change them (RULES 23). */
const PUBLISHED = 0o444;
const WHOLE: ByteRange = { start: 0, end: Infinity };
/** To free so many bytes takes no longer than to change a name. */
const SMALL = 1024 ** 2;
/** A second link to them on its way into the place of a damaged blob. */
const REPLACEMENT = "replacement";
/** What says that there is no clone here: file systems without them, two file systems, or a machine without /proc. */
const NO_CLONE = ["ENOTSUP", "EOPNOTSUPP", "EXDEV", "EINVAL", "ENOSYS", "ENOTTY", "ENOENT", "EPERM", "EACCES"] as const;

/**
 * Blobs as files: `blobs/<algorithm>/<2 hex>/<hex>` and `uploads/<id>/data`, which its writer renames while it writes (`claim.ts`).
 * Any number of processes of one machine may open the same folder. What waits for a disk takes a thread (bytes, flushes, the removal of
 * large files); names are changed without one, since handing that over costs some twenty times its processor time.
 */
export async function openFilesystem(
  root: string,
  { openFile = openWritable, sync = syncPath }: FilesystemOptions = {},
): Promise<BlobStore> {
  const [blobs, uploads] = [join(root, "blobs"), join(root, "uploads")];
  await mkdir(blobs, { recursive: true, mode: PRIVATE_FOLDER });
  await mkdir(uploads, { recursive: true, mode: PRIVATE_FOLDER });
  await makeRemovalToken(blobs);
  return new Filesystem(blobs, uploads, { openFile, sync, folders: await StagingFolders.in(uploads, openFile) });
}

class Filesystem implements BlobStore {
  readonly #blobs: string;
  readonly #uploads: string;
  readonly #openFile: Required<FilesystemOptions>["openFile"];
  readonly #sync: Required<FilesystemOptions>["sync"];
  readonly #folders: StagingFolders;
  /** Folders whose entry in their parent this process has made durable. */
  readonly #durable = new Set<string>();
  readonly #room: Room;

  constructor(
    blobs: string,
    uploads: string,
    { openFile, sync, folders }: Required<FilesystemOptions> & { readonly folders: StagingFolders },
  ) {
    this.#blobs = blobs;
    this.#uploads = uploads;
    this.#openFile = openFile;
    this.#sync = sync;
    this.#folders = folders;
    this.#room = new Room(blobs);
  }

  async stat(digest: Digest): Promise<{ readonly size: number } | undefined> {
    const found = lookAt(this.#pathOf(digest));
    return found && { size: found.size };
  }

  async published(digest: Digest): Promise<{ readonly at: number; readonly size: number } | undefined> {
    const found = lookAt(this.#pathOf(digest));
    // Not mtime, which is older than the publishing of bytes that were staged a while ago.
    return found && { at: found.ctimeMs, size: found.size };
  }

  async open(digest: Digest, range: ByteRange = WHOLE): Promise<BlobStream> {
    return new FilePart(this.#pathOf(digest), range);
  }

  async stage(upload: string): Promise<void> {
    await full(() => this.#folders.begin(this.#folderOf(upload)));
  }

  async staged(upload: string): Promise<{ readonly size: number } | undefined> {
    const found = await withCurrentName(this.#folderOf(upload), DATA, async (path) => lookAt(path));
    return found && { size: found.size };
  }

  async touchedAt(upload: string): Promise<number | undefined> {
    const folder = this.#folderOf(upload);
    // A folder alone is an upload that is just beginning, or what a crash left of one.
    const found = (await withCurrentName(folder, DATA, async (path) => lookAt(path))) ?? lookAt(folder);
    return found?.mtimeMs;
  }

  async openStaged(upload: string, start: number): Promise<Readable> {
    const stream = await withCurrentName(this.#folderOf(upload), DATA, async (path) => new FilePart(path, { start, end: Infinity }));
    if (stream === undefined) throw noUpload();
    return stream;
  }

  async append(
    upload: string,
    bytes: AsyncIterable<Uint8Array>,
    offset: number,
    { takesOver = false }: { readonly takesOver?: boolean } = {},
  ): Promise<number> {
    return this.#claimed(upload, async ({ path }) => {
      const { size, nlink, mode } = statSync(path);
      if (size !== offset) throw new RangeError(`the upload has ${size} bytes`);
      const openEnd = (): WritableFile => {
        if (nlink > 1) throw new RangeError("the upload is published and does not grow any more");
        // It was published once, and the blob is gone again.
        if ((mode & 0o777) === PUBLISHED) chmodSync(path, PRIVATE_FILE);
        return this.#openFile(path, constants.O_WRONLY);
      };
      return full(() => copy(bytes, new AppendWriter(openEnd, offset, takesOver ? release : undefined)));
    });
  }

  async clone(upload: string, fd: number): Promise<boolean> {
    return this.#claimed(upload, async ({ path }) => {
      const clone = join(dirname(path), REPLACEMENT);
      try {
        // Elsewhere first: a clone that fails removes its target.
        await cloneFile(`/proc/self/fd/${fd}`, clone, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
        chmodSync(clone, PRIVATE_FILE);
        renameSync(clone, path);
        return true;
      } catch (error) {
        await rm(clone, { force: true });
        if (hasCode(error, ...NO_CLONE)) return false;
        throw error;
      }
    });
  }

  async inFile<T>(digest: Digest, use: (path: string) => Promise<T>): Promise<T> {
    return use(this.#pathOf(digest));
  }

  async inStagedFile<T>(upload: string, use: (path: string) => Promise<T>): Promise<T> {
    const used = await withCurrentName(this.#folderOf(upload), DATA, async (path) => ({ result: await use(path) }));
    if (used === undefined) throw noUpload();
    return used.result;
  }

  async publish(
    upload: string,
    digest: Digest,
    { replace = false, size: verified }: { readonly replace?: boolean; readonly size?: number } = {},
  ): Promise<void> {
    const target = this.#pathOf(digest);
    await this.#claimed(upload, ({ path }) =>
      full(async () => {
        const size = await this.#sync(path);
        if (verified !== undefined && size !== verified) throw new RangeError(`the upload has ${size} bytes`);
        await this.#makeFolder(dirname(target));
        chmodSync(path, PUBLISHED);
        if (replace) await replaceBy(path, target);
        else await linkUnlessThere(path, target, size);
        await this.#sync(dirname(target));
      }),
    );
  }

  async flush(digest: Digest): Promise<void> {
    const path = this.#pathOf(digest);
    await this.#sync(path);
    // All folders, whatever is known of them: these may be others by now.
    for (let folder = dirname(path); folder.length >= this.#blobs.length; folder = dirname(folder)) await this.#sync(folder);
  }

  async discard(upload: string): Promise<void> {
    const folder = this.#folderOf(upload);
    // Every push ends here, and hardly one of them has left anything else.
    if (this.#folders.end(folder)) return;
    // Nobody holds what still has its own name. What a process held that is gone has another one.
    if (!(await removed(join(folder, DATA)))) await claim(folder, DATA).then((held) => held.remove(), noneWhenMissing);
    if (removedIfEmpty(folder)) return;
    for (const left of [REPLACEMENT, UNUSED]) await removed(join(folder, left));
    removedIfEmpty(folder);
  }

  async remove<T>(digest: Digest, still: () => Promise<boolean>, after?: () => Promise<T>): Promise<T | undefined> {
    const token = await takeRemovalToken(this.#blobs);
    try {
      if (!(await still())) return undefined;
      await rm(this.#pathOf(digest), { force: true });
      return await after?.();
    } finally {
      token.release();
    }
  }

  async room(): Promise<number> {
    return this.#room.left();
  }

  async *list(after?: Digest): AsyncIterable<Digest> {
    for (const algorithm of ["sha256", "sha512"]) {
      for (const prefix of await namesIn(join(this.#blobs, algorithm))) {
        // "g" sorts after every hex digit.
        if (after !== undefined && `${algorithm}:${prefix}g` < after) continue;
        const digests = (await namesIn(join(this.#blobs, algorithm, prefix))).map((encoded) => `${algorithm}:${encoded}`);
        yield* digests.filter(isDigest).filter((digest) => after === undefined || digest > after);
      }
    }
  }

  async *listStaged(): AsyncIterable<string> {
    for await (const { name } of await opendir(this.#uploads)) if (isUploadId(name)) yield name;
  }

  #pathOf(digest: Digest): string {
    return blobPath(this.#blobs, digest);
  }

  #folderOf(upload: string): string {
    if (!isUploadId(upload)) throw new TypeError("not the id of an upload");
    return join(this.#uploads, upload);
  }

  async #claimed<T>(upload: string, use: (held: Claim) => Promise<T>): Promise<T> {
    const held = await claim(this.#folderOf(upload), DATA);
    try {
      return await use(held);
    } finally {
      held.release();
    }
  }

  /** Makes a folder, and durable with all its parents below `blobs`, also when another process made it a moment ago. */
  async #makeFolder(folder: string): Promise<void> {
    if (folder === this.#blobs || this.#durable.has(folder)) return;
    await this.#makeFolder(dirname(folder));
    makeUnlessThere(folder);
    await this.#sync(dirname(folder));
    this.#durable.add(folder);
  }
}

function noUpload(): Error {
  return Object.assign(new Error("no such upload"), { code: "ENOENT" });
}

/**
 * What is known of a file; nothing when it is not there. Without a thread, as the rows of the metadata are read: it takes some microseconds,
 * and to have another thread do it a quarter of a millisecond of processor time.
 */
function lookAt(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

/** Where a published blob stands below the folder `blobs`. */
export function blobPath(blobs: string, digest: Digest): string {
  const encoded = encodedOf(digest);
  return join(blobs, algorithmOf(digest), encoded.slice(0, 2), encoded);
}

async function copy(bytes: AsyncIterable<Uint8Array>, writer: AppendWriter): Promise<number> {
  try {
    for await (const piece of bytes) await writer.add(piece);
  } catch (error) {
    await writer.end();
    throw error;
  }
  return writer.end();
}

/** Two links to one file: the upload's own, and the one under its digest. */
async function linkUnlessThere(path: string, target: string, size: number): Promise<void> {
  try {
    linkSync(path, target);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
    const there = lookAt(target);
    // Another size cannot be these bytes, and nothing at all has just been removed.
    if (there?.size !== size) await replaceBy(path, target);
  }
}

async function replaceBy(path: string, target: string): Promise<void> {
  const replacement = join(dirname(path), REPLACEMENT);
  await rm(replacement, { force: true });
  linkSync(path, replacement);
  // By a thread, since it ends the file that was there.
  await rename(replacement, target);
  // rename(2) does nothing, and leaves it, when both are links to one file already.
  await rm(replacement, { force: true });
}

/** Runs something that may find no room left. */
async function full<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw hasCode(error, "ENOSPC", "EDQUOT") ? new StorageFullError("there is no room left for blobs", { cause: error }) : error;
  }
}

function makeUnlessThere(folder: string): void {
  try {
    mkdirSync(folder, { mode: PRIVATE_FOLDER });
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
}

/** False when there was nothing to remove. The last name of a large file takes its bytes along, which is left to a thread. */
async function removed(path: string): Promise<boolean> {
  const found = lookAt(path);
  if (found === undefined) return false;
  try {
    if (found.nlink > 1 || found.size <= SMALL) unlinkSync(path);
    else await unlink(path);
    return true;
  } catch (error) {
    noneWhenMissing(error);
    return false;
  }
}

/** False for one that is not empty; nothing is as good as an empty one. */
function removedIfEmpty(folder: string): boolean {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (hasCode(error, "ENOTEMPTY", "EEXIST")) return false;
    noneWhenMissing(error);
  }
  return true;
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(noneWhenMissing))?.toSorted() ?? [];
}

/** The port's rule for ids; no path leads out of the folder by one. */
function isUploadId(id: string): boolean {
  return /^[\w.-]{1,128}$/.test(id) && id !== "." && id !== "..";
}
