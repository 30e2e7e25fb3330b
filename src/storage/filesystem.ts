import { type Stats, constants, statSync } from "node:fs";
import {
  type FileHandle,
  chmod,
  copyFile as cloneFile,
  link,
  mkdir,
  open,
  opendir,
  readdir,
  rename,
  rm,
  rmdir,
  statfs,
  unlink,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { type Digest, algorithmOf, encodedOf, isDigest } from "../oci/digest.ts";
import { AppendWriter } from "./append-writer.ts";
import { type BlobStore, type BlobStream, type ByteRange, StorageFullError } from "./blob-store.ts";
import { type Claim, claim, hasCode, noneWhenMissing, withCurrentName } from "./claim.ts";
import { PublishedFile } from "./published-file.ts";
import { release } from "./release.ts";
import { makeRemovalToken, takeRemovalToken } from "./removal-token.ts";
import { syncPath } from "./sync.ts";
import { nameUnderWay, removeLeftovers } from "./under-way.ts";

export interface FilesystemOptions {
  /** How files are opened; for a file system that is reached in another way than by paths of this machine. */
  readonly openFile?: (path: string, flags: number, mode?: number) => Promise<FileHandle>;
  /** How a file or a folder is made durable (its size); for the same. */
  readonly sync?: (path: string) => Promise<number>;
}

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
/** Published bytes never change, and a reader over a hard link must not be able to change them (RULES 23). */
const PUBLISHED = 0o444;
/** Larger reads are no faster, and each stream holds one of them (bytes). */
const READ_SIZE = 512 * 1024;
const WHOLE: ByteRange = { start: 0, end: Infinity };
/** The staged bytes of an upload, in a folder of its own. */
const DATA = "data";
/** A second link to them on its way into the place of a damaged blob. */
const REPLACEMENT = "replacement";
/** What says that there is no clone here: file systems without them, two file systems, or a machine without /proc. */
const NO_CLONE = ["ENOTSUP", "EOPNOTSUPP", "EXDEV", "EINVAL", "ENOSYS", "ENOTTY", "ENOENT", "EPERM", "EACCES"] as const;
/** Bytes on their way to their digest without an upload, in `uploads`; no upload has such an id. */
const WRITTEN = "+blob.";

/**
 * Blobs as files: `blobs/<algorithm>/<2 hex>/<hex>` and `uploads/<id>/data`, which its writer renames while it writes (`claim.ts`).
 * Any number of processes of one machine may open the same folder.
 */
export async function openFilesystem(root: string, { openFile = open, sync = syncPath }: FilesystemOptions = {}): Promise<BlobStore> {
  const [blobs, uploads] = [join(root, "blobs"), join(root, "uploads")];
  await mkdir(blobs, { recursive: true, mode: PRIVATE_FOLDER });
  await mkdir(uploads, { recursive: true, mode: PRIVATE_FOLDER });
  await removeLeftovers(uploads, WRITTEN);
  await makeRemovalToken(blobs);
  return new Filesystem(blobs, uploads, { openFile, sync });
}

/** What is kept free: a gibibyte, or a twentieth of a smaller file system. */
const RESERVE = 1024 ** 3;
const RESERVE_SHARE = 20;
/** For so long (ms) what a look found is taken for true: no disk is filled by a notable part of the reserve in that time. */
const ROOM_AGE = 50;

class Filesystem implements BlobStore {
  readonly #blobs: string;
  readonly #uploads: string;
  readonly #openFile: Required<FilesystemOptions>["openFile"];
  readonly #sync: Required<FilesystemOptions>["sync"];
  /** Folders whose entry in their parent this process has made durable. */
  readonly #durable = new Set<string>();
  /** The last look at the room that is left, and when it was (performance.now()). */
  #room: { readonly at: number; readonly left: Promise<number> } | undefined;

  constructor(blobs: string, uploads: string, { openFile, sync }: Required<FilesystemOptions>) {
    this.#blobs = blobs;
    this.#uploads = uploads;
    this.#openFile = openFile;
    this.#sync = sync;
  }

  async stat(digest: Digest): Promise<{ readonly size: number; readonly modifiedAt: number } | undefined> {
    const found = lookAt(this.#pathOf(digest));
    // Not mtime, which is older than the publishing of bytes that were staged a while ago.
    return found && { size: found.size, modifiedAt: found.ctimeMs };
  }

  async open(digest: Digest, range: ByteRange = WHOLE): Promise<BlobStream> {
    return new PublishedFile(this.#pathOf(digest), range);
  }

  async stage(upload: string): Promise<void> {
    const folder = this.#folderOf(upload);
    await full(async () => {
      await mkdir(folder, { mode: PRIVATE_FOLDER });
      await (await this.#openFile(join(folder, DATA), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, PRIVATE_FILE)).close();
    });
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
    const handle = await withCurrentName(this.#folderOf(upload), DATA, (path) => this.#openFile(path, constants.O_RDONLY));
    if (handle === undefined) throw Object.assign(new Error("no such upload"), { code: "ENOENT" });
    const { size } = await handle.stat();
    if (start < size) return handle.createReadStream({ start, end: size - 1, highWaterMark: READ_SIZE });
    await handle.close();
    return Readable.from([]);
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
      const openEnd = async (): Promise<FileHandle> => {
        if (nlink > 1) throw new RangeError("the upload is published and does not grow any more");
        // It was published once, and the blob is gone again.
        if ((mode & 0o777) === PUBLISHED) await chmod(path, PRIVATE_FILE);
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
        await chmod(clone, PRIVATE_FILE);
        await rename(clone, path);
        return true;
      } catch (error) {
        await rm(clone, { force: true });
        if (hasCode(error, ...NO_CLONE)) return false;
        throw error;
      }
    });
  }

  fileOf(digest: Digest): string {
    return this.#pathOf(digest);
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
        await chmod(path, PUBLISHED);
        if (replace) await replaceBy(path, target);
        else await linkUnlessThere(path, target, size);
        await this.#sync(dirname(target));
      }),
    );
  }

  async put(digest: Digest, bytes: Uint8Array): Promise<void> {
    const target = this.#pathOf(digest);
    const written = join(this.#uploads, nameUnderWay(WRITTEN));
    await full(async () => {
      try {
        await this.#writeDurably(written, bytes);
        await this.#makeFolder(dirname(target));
        await rename(written, target);
      } catch (error) {
        await rm(written, { force: true });
        throw error;
      }
      await this.#sync(dirname(target));
    });
  }

  async discard(upload: string): Promise<void> {
    const folder = this.#folderOf(upload);
    // Nobody holds what still has its own name. What a process held that is gone has another one.
    await unlink(join(folder, DATA)).catch(async (error: unknown) => {
      noneWhenMissing(error);
      await claim(folder, DATA).then((held) => held.remove(), noneWhenMissing);
    });
    // Every push ends here, and hardly one of them has left anything else.
    if (await removeIfEmpty(folder)) return;
    await unlink(join(folder, REPLACEMENT)).catch(noneWhenMissing);
    await removeIfEmpty(folder);
  }

  async remove(digest: Digest, still: () => Promise<boolean>): Promise<void> {
    const token = await takeRemovalToken(this.#blobs);
    try {
      if (await still()) await rm(this.#pathOf(digest), { force: true });
    } finally {
      await token.release();
    }
  }

  async room(): Promise<number> {
    const now = performance.now();
    if (this.#room === undefined || now - this.#room.at > ROOM_AGE) this.#room = { at: now, left: this.#lookForRoom() };
    return this.#room.left;
  }

  async #lookForRoom(): Promise<number> {
    const { bavail, blocks, bsize } = await statfs(this.#blobs);
    return bavail * bsize - Math.min(RESERVE, (blocks * bsize) / RESERVE_SHARE);
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
      await held.release();
    }
  }

  /** Makes a folder, and durable with all its parents below `blobs`, also when another process made it a moment ago. */
  async #makeFolder(folder: string): Promise<void> {
    if (folder === this.#blobs || this.#durable.has(folder)) return;
    await this.#makeFolder(dirname(folder));
    await mkdir(folder, { mode: PRIVATE_FOLDER }).catch((error: unknown) => {
      if (!hasCode(error, "EEXIST")) throw error;
    });
    await this.#sync(dirname(folder));
    this.#durable.add(folder);
  }

  async #writeDurably(path: string, bytes: Uint8Array): Promise<void> {
    const handle = await this.#openFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, PUBLISHED);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
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
    await link(path, target);
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
  await link(path, replacement);
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

/** False for one that is not empty; nothing is as good as an empty one. */
async function removeIfEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
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
