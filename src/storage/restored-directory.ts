import { copyFile, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Digest } from "../oci/digest.ts";
import { type BackupContent, BackupError, type BackupFolder } from "./backup-folder.ts";
import { openBlobs } from "./blob-rows.ts";
import type { BlobStore } from "./blob-store.ts";
import { noneWhenMissing } from "./claim.ts";
import { copyVerified, fileDigest } from "./copy-verified.ts";
import { type DataDirectory, RESTORING, isHalfRestored, openDataDirectory } from "./data-directory.ts";
import { blobPath } from "./filesystem.ts";
import { openLinkedTree } from "./linked-tree.ts";
import { openLmdb } from "./lmdb.ts";
import type { MetadataStore } from "./metadata-store.ts";
import type { RuntimeTree } from "./runtime-tree.ts";
import { writeSecretFiles } from "./secret-files.ts";
import { makeDurableFolder, syncFolders, syncPath } from "./sync.ts";
import { namesInVolume } from "./volume-names.ts";

const DATA = "data.mdb";

interface Stores {
  readonly metadata: MetadataStore;
  readonly blobs: BlobStore;
  readonly tree: RuntimeTree;
}

/** A data directory that is being made of a backup: it is no registry until `complete` gives its metadata their name, in one step. */
export class RestoredDirectory {
  readonly stores: Stores;
  readonly #directory: DataDirectory;
  readonly #folder: BackupFolder;

  private constructor(stores: Stores, directory: DataDirectory, folder: BackupFolder) {
    this.stores = stores;
    this.#directory = directory;
    this.#folder = folder;
  }

  /** Takes secrets and metadata over into a directory that is empty or not there, and holds it, so that nobody starts over it meanwhile. */
  static async begin(folder: BackupFolder, content: BackupContent, into: string): Promise<RestoredDirectory> {
    const inside = await namesInVolume(into).catch(noneWhenMissing);
    if (inside !== undefined && inside.length > 0) {
      throw new BackupError(
        (await isHalfRestored(into))
          ? `${into} holds a restore that did not come to its end: empty it, and run it again`
          : `${into} is not empty: a backup is restored into an empty data directory only`,
      );
    }
    // First of all: killed at any later moment, this leaves what no registry begins anew in, with the secrets of another one.
    await makeDurableFolder(stagingIn(join(resolve(into), "metadata")), 0o700);
    await writeSecretFiles(into, content.secrets);
    const directory = await openDataDirectory(into, { restoring: true });
    try {
      const { root, metadata } = directory.paths;
      await takeMetadata(folder, content, stagingIn(metadata));
      return new RestoredDirectory(await openStores(root, stagingIn(metadata)), directory, folder);
    } catch (error) {
      await directory.release();
      throw error;
    }
  }

  /** Takes the bytes of a blob over; false when the backup does not have those of its digest. */
  async takeBlob(digest: Digest): Promise<boolean> {
    const target = blobPath(this.#directory.paths.blobs, digest);
    return (await copyVerified(this.#folder.blobPath(digest), target, digest).catch(noneWhenMissing)) ?? false;
  }

  /** Makes it a registry. */
  async complete(): Promise<void> {
    const { metadata, blobs } = this.#directory.paths;
    await this.stores.metadata.close();
    try {
      await syncFolders(blobs);
      await syncPath(join(stagingIn(metadata), DATA));
      await rename(join(stagingIn(metadata), DATA), join(metadata, DATA));
      // The folder stays: should the disk lose that name all the same, no registry begins anew here.
      await syncPath(metadata);
    } finally {
      await this.#directory.release();
    }
  }

  /** Leaves it as it is: no registry. */
  async abandon(): Promise<void> {
    await this.stores.metadata.close();
    await this.#directory.release();
  }
}

async function openStores(root: string, staging: string): Promise<Stores> {
  const metadata = await openLmdb(staging);
  try {
    return { metadata, blobs: await openBlobs(root, metadata), tree: await openLinkedTree(root, metadata) };
  } catch (error) {
    await metadata.close();
    throw error;
  }
}

function stagingIn(metadata: string): string {
  return join(metadata, RESTORING);
}

async function takeMetadata(folder: BackupFolder, { metadata }: BackupContent, staging: string): Promise<void> {
  await copyFile(join(folder.metadataPath(metadata.folder), DATA), join(staging, DATA));
  if ((await fileDigest(join(staging, DATA))) !== metadata.digest)
    throw new BackupError("the metadata of the backup changed while they were read");
}
