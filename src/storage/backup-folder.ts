import { randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { lstat, readFile, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type Digest, algorithmOf, digestSchema, isDigest } from "../oci/digest.ts";
import { hasCode, noneWhenMissing } from "./claim.ts";
import { copyVerified, fileDigest } from "./copy-verified.ts";
import { blobPath } from "./filesystem.ts";
import { copyLmdb } from "./lmdb-copy.ts";
import { openLmdb } from "./lmdb.ts";
import type { MetadataStore } from "./metadata-store.ts";
import { faultOfOwner } from "./owned-file.ts";
import { InUseError, type ProcessLock, lockDirectory } from "./process-lock.ts";
import { seal, unseal } from "./sealed.ts";
import { removeUnwrittenSecrets, writeOwnFile } from "./secret-file.ts";
import { makeDurableFolder, syncFolders, syncPath } from "./sync.ts";
import { namesInVolume } from "./volume-names.ts";

/** Why a backup cannot be written or used, for who is on the machine. */
export class BackupError extends Error {
  override readonly name = "BackupError";
}

/** What a backup is, sealed with its passphrase: secrets, and what its other files must be. */
const contentSchema = z.strictObject({
  v: z.literal(1),
  /** Epoch, ms. */
  takenAt: z.number().int().nonnegative(),
  /** The last link of the audit chain at that moment. */
  audit: z.strictObject({ sequence: z.number().int().nonnegative(), hash: z.string() }),
  metadata: z.strictObject({ folder: z.string().regex(/^[0-9a-f-]{36}$/), digest: digestSchema }),
  blobs: z.strictObject({ count: z.number().int().nonnegative(), bytes: z.number().int().nonnegative() }),
  /** Blobs that the metadata name and that were damaged, or not there, when the backup was made. */
  lost: z.array(digestSchema),
  /** Files of `metadata` and `credentials` in base64, by their paths in the data directory. */
  secrets: z.record(z.string().regex(/^(?:metadata\/secret|credentials\/[\w][\w.-]*)$/), z.base64()),
});
export type BackupContent = z.infer<typeof contentSchema>;

const DIGEST_ALGORITHMS = ["sha256", "sha512"] as const;
const SEALED = "backup.sealed";
const [METADATA, BLOBS] = ["metadata-copies", "blobs"] as const;
const DATA = "data.mdb";
const MAX_SEALED = 64 * 1024 * 1024;

/**
 * A folder with a backup: `backup.sealed`, whose renaming into place makes it one, `metadata-copies/<id>/data.mdb`, and blobs as a data directory
 * has them. A later backup into the same folder copies what is new alone; until it is complete the earlier one stays what it was.
 */
export class BackupFolder {
  readonly #path: string;
  readonly #lock: ProcessLock;

  private constructor(path: string, lock: ProcessLock) {
    this.#path = path;
    this.#lock = lock;
  }

  /** Holds the folder for this process. With `make` it may be missing; one that is there must be empty or hold a backup. */
  static async open(path: string, { make }: { readonly make: boolean }): Promise<BackupFolder> {
    if (make) await makeDurableFolder(path, 0o700).catch(refuseUnusable(path));
    const names = await namesInVolume(path).catch(refuseUnusable(path));
    const isOurs = names.includes(METADATA);
    if (make ? names.length > 0 && !isOurs : !isOurs) {
      throw new BackupError(
        make ? `${path} holds something else: name an empty folder, or that of an earlier backup` : `${path} holds no backup`,
      );
    }
    if (make) await makeOwn(path);
    const lock = await lockDirectory(join(path, METADATA)).catch((error: unknown) => {
      throw error instanceof InUseError ? new BackupError(`${path} is in use by another backup`) : error;
    });
    return new BackupFolder(path, lock);
  }

  /** Copies the metadata as they are now; the folder of the copy, which `finish` takes. */
  async addMetadata(directory: string): Promise<string> {
    const folder = randomUUID();
    try {
      await copyLmdb(directory, this.metadataPath(folder));
    } catch (error) {
      await this.dropMetadata(folder).catch(() => undefined);
      throw error;
    }
    return folder;
  }

  /** Removes a copy of the metadata that no backup is made of. */
  async dropMetadata(folder: string): Promise<void> {
    await rm(this.metadataPath(folder), { recursive: true, force: true });
  }

  /** Opens a copy of the metadata, to be closed by the caller. */
  async openMetadata(folder: string): Promise<MetadataStore> {
    return openLmdb(this.metadataPath(folder));
  }

  /** The folder of a copy of the metadata. */
  metadataPath(folder: string): string {
    return join(this.#path, METADATA, folder);
  }

  /** Where a blob stands here, or would. */
  blobPath(digest: Digest): string {
    return blobPath(join(this.#path, BLOBS), digest);
  }

  async hasBlob(digest: Digest, size: number): Promise<boolean> {
    return (await stat(this.blobPath(digest)).catch(noneWhenMissing))?.size === size;
  }

  /** Are the bytes here those of the digest? Reads all of them. */
  async holds(digest: Digest): Promise<boolean> {
    return (await fileDigest(this.blobPath(digest), algorithmOf(digest)).catch(noneWhenMissing)) === digest;
  }

  /** Takes a blob in, if its bytes are those of its digest. */
  async addBlob(digest: Digest, from: string): Promise<boolean> {
    return copyVerified(from, this.blobPath(digest), digest);
  }

  /** Makes what was added the backup, in one step, and removes what belonged to an earlier one alone. */
  async finish(
    passphrase: string,
    content: Omit<BackupContent, "metadata">,
    metadata: string,
    isKept: (digest: Digest) => Promise<boolean>,
  ): Promise<void> {
    await this.#seal(passphrase, content, metadata);
    await this.#removeOthers(metadata, isKept).catch((error: unknown) => {
      const words = "the backup was made, but what only earlier ones needed could not be removed; the next backup removes it";
      throw new BackupError(words, { cause: error });
    });
  }

  async #removeOthers(metadata: string, isKept: (digest: Digest) => Promise<boolean>): Promise<void> {
    for (const name of await readdir(join(this.#path, METADATA))) {
      if (/^[0-9a-f-]{36}$/.test(name) && name !== metadata) await this.dropMetadata(name);
    }
    for await (const { path, digest } of this.#files()) {
      // One without a digest was being copied when a backup was killed.
      if (!isDigest(digest) || !(await isKept(digest))) await rm(path, { force: true });
    }
    await removeUnwrittenSecrets(this.#path);
  }

  /** Makes a copy of the metadata and the blobs durable, and the backup of them; where that fails the copy is removed. */
  async #seal(passphrase: string, content: Omit<BackupContent, "metadata">, metadata: string): Promise<void> {
    const data = join(this.metadataPath(metadata), DATA);
    let bytes: Buffer | undefined;
    try {
      const sealed: BackupContent = { ...content, metadata: { folder: metadata, digest: await fileDigest(data) } };
      bytes = await seal(passphrase, Buffer.from(JSON.stringify(sealed)));
      await syncPath(data);
      for (const folder of [METADATA, BLOBS]) await syncFolders(join(this.#path, folder));
      await writeOwnFile(join(this.#path, SEALED), bytes);
    } catch (error) {
      // It would take the room that the next backup needs; but what may have become the backup by now stays.
      if (bytes === undefined || !(await this.#isSealed(bytes).catch(() => true))) await this.dropMetadata(metadata).catch(() => undefined);
      throw error;
    }
  }

  /** Are these the sealed bytes of the folder's backup? */
  async #isSealed(bytes: Buffer): Promise<boolean> {
    return (await readFile(join(this.#path, SEALED)).catch(noneWhenMissing))?.equals(bytes) ?? false;
  }

  /** The files below `blobs`, each by what would be its digest. */
  async *#files(): AsyncIterable<{ readonly path: string; readonly digest: string }> {
    for (const algorithm of DIGEST_ALGORITHMS) {
      const folder = join(this.#path, BLOBS, algorithm);
      for (const prefix of (await readdir(folder).catch(noneWhenMissing)) ?? []) {
        for (const name of await readdir(join(folder, prefix))) yield { path: join(folder, prefix, name), digest: `${algorithm}:${name}` };
      }
    }
  }

  /** What the backup is; throws a `SealError` when the passphrase is another one, and a `BackupError` when the metadata are not what they were. */
  async read(passphrase: string): Promise<BackupContent> {
    const path = join(this.#path, SEALED);
    const found = await stat(path).catch(noneWhenMissing);
    if (found === undefined || found.size > MAX_SEALED) throw new BackupError(`${this.#path} holds no backup that was completed`);
    const content = contentSchema.parse(JSON.parse((await unseal(passphrase, await readFile(path))).toString("utf8")));
    const { folder, digest } = content.metadata;
    const actual = await fileDigest(join(this.metadataPath(folder), DATA)).catch(noneWhenMissing);
    if (actual !== digest)
      throw new BackupError("the metadata of the backup are not those that it was made with: make a new one, or take another");
    return content;
  }

  async close(): Promise<void> {
    await this.#lock.release();
  }
}

/**
 * Makes the folders that are missing, and holds all of them to being folders that nobody else has put there, or can: a later backup removes
 * what it has no use for, which behind a link would be files of somebody else.
 */
async function makeOwn(path: string): Promise<void> {
  refuseForeign(path, await stat(path));
  for (const name of [METADATA, BLOBS]) {
    const folder = join(path, name);
    await makeDurableFolder(folder, 0o700);
    await demandOwn(folder);
  }
  for (const algorithm of DIGEST_ALGORITHMS) {
    const folder = join(path, BLOBS, algorithm);
    if (!(await isThere(folder))) continue;
    await demandOwn(folder);
    for (const prefix of await readdir(folder)) await demandOwn(join(folder, prefix));
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(noneWhenMissing)) !== undefined;
}

async function demandOwn(folder: string): Promise<void> {
  const found = await lstat(folder);
  if (!found.isDirectory()) throw new BackupError(`${folder} is no folder of a backup, but a link or a file: name another folder`);
  refuseForeign(folder, found);
}

function refuseForeign(folder: string, found: Stats): void {
  const fault = faultOfOwner(found);
  if (fault !== undefined) throw new BackupError(`${folder} ${fault}`);
}

function refuseUnusable(path: string): (error: unknown) => never {
  return (error) => {
    if (!hasCode(error, "ENOENT", "ENOTDIR", "EACCES", "EPERM", "EROFS", "EEXIST")) throw error;
    throw new BackupError(`${path} cannot be used as the folder of a backup: it must be a folder that this user may write to`);
  };
}
