import { copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, algorithmOf } from "../oci/digest.ts";
import { type BackupContent, BackupError, type BackupFolder } from "../storage/backup-folder.ts";
import { noneWhenMissing } from "../storage/claim.ts";
import { copyVerified, fileDigest } from "../storage/copy-verified.ts";
import { openDataDirectory } from "../storage/data-directory.ts";
import { blobPath, openFilesystem } from "../storage/filesystem.ts";
import { openLinkedTree } from "../storage/linked-tree.ts";
import { openLmdb } from "../storage/lmdb.ts";
import type { MetadataStore } from "../storage/metadata-store.ts";
import { writeOwnFile } from "../storage/secret-file.ts";
import { syncPath } from "../storage/sync.ts";
import { auditEvent } from "./audit-event.ts";
import { soundHead } from "./back-up.ts";
import { keptBlobs } from "./kept-blobs.ts";
import type { Services } from "./ports.ts";
import { endSessions, orderFolders } from "./restored-rows.ts";
import { SYSTEM } from "./system-actor.ts";
import { verifyBlob } from "./verify-blob.ts";

type Needs = Pick<Services, "clock" | "newId" | "log">;

/** What is restored, and to where. */
export interface Restoration {
  readonly folder: BackupFolder;
  readonly passphrase: string;
  /** A data directory that is empty, or not there yet. */
  readonly into: string;
  /** The sequence of an audit event that must be in it. */
  readonly atLeast: number;
}

/** What a backup is, for who asked. */
export type RestoreReport = Pick<BackupContent, "takenAt" | "audit" | "blobs" | "lost">;

const DATA = "data.mdb";

/**
 * Makes a data directory of a backup. All of it is held to its digests, and the audit chain proven, before the metadata get their name in one
 * step; what is there when that fails is no registry. Every login since ends by it, and the audit log says that this was a restore.
 */
export async function restore(needs: Needs, { folder, passphrase, into, atLeast }: Restoration): Promise<RestoreReport> {
  const content = await folder.read(passphrase);
  refuseOlder(content, atLeast);
  const inside = await readdir(into).catch(noneWhenMissing);
  if (inside !== undefined && inside.length > 0)
    throw new BackupError(`${into} is not empty: a backup is restored into an empty data directory only`);
  for (const [path, text] of Object.entries(content.secrets)) await writeOwnFile(join(into, path), Buffer.from(text, "base64"));
  // Nobody starts over it meanwhile.
  const directory = await openDataDirectory(into);
  try {
    const staging = join(directory.paths.metadata, "restoring");
    await takeMetadata(folder, content, staging);
    await takeContent(needs, { folder, content, staging, root: directory.paths.root });
    await rename(join(staging, DATA), join(directory.paths.metadata, DATA));
    await rm(staging, { recursive: true });
    await syncPath(directory.paths.metadata);
    return content;
  } finally {
    await directory.release();
  }
}

/** Holds every byte of a backup to its digest, and proves its audit chain. */
export async function checkBackup(folder: BackupFolder, passphrase: string): Promise<RestoreReport> {
  const content = await folder.read(passphrase);
  const metadata = await openLmdb(folder.metadataPath(content.metadata.folder));
  try {
    await soundContent(metadata, content);
    const lost = new Set<string>(content.lost);
    for await (const { digest } of keptBlobs(metadata)) {
      const actual = lost.has(digest) ? digest : await fileDigest(folder.blobPath(digest), algorithmOf(digest)).catch(noneWhenMissing);
      if (actual !== digest) throw wrongBytes(digest);
    }
    return content;
  } finally {
    await metadata.close();
  }
}

async function soundContent(metadata: MetadataStore, { audit }: BackupContent): Promise<void> {
  const head = await soundHead(metadata);
  if (head.hash !== audit.hash) throw new BackupError("the audit chain of the backup ends elsewhere than it did");
}

function wrongBytes(digest: Digest): BackupError {
  return new BackupError(`the backup has not the right bytes of ${digest}`);
}

function refuseOlder({ audit }: BackupContent, atLeast: number): void {
  if (audit.sequence >= atLeast) return;
  throw new BackupError(
    `the backup ends at audit event ${audit.sequence}, before ${atLeast}: revocations between the two would be forgotten; take a later one`,
  );
}

async function takeMetadata(folder: BackupFolder, { metadata }: BackupContent, staging: string): Promise<void> {
  await mkdir(staging, { mode: 0o700 });
  await copyFile(join(folder.metadataPath(metadata.folder), DATA), join(staging, DATA));
  if ((await fileDigest(join(staging, DATA))) !== metadata.digest)
    throw new BackupError("the metadata of the backup changed while they were read");
}

interface Taking {
  readonly folder: BackupFolder;
  readonly content: BackupContent;
  readonly staging: string;
  readonly root: string;
}

async function takeContent(needs: Needs, { folder, content, staging, root }: Taking): Promise<void> {
  const services = { ...needs, metadata: await openLmdb(staging), blobs: await openFilesystem(root), tree: await openLinkedTree(root) };
  try {
    await soundContent(services.metadata, content);
    const lost = new Set<string>(content.lost);
    for await (const { digest } of keptBlobs(services.metadata)) {
      const target = blobPath(join(root, "blobs"), digest);
      if (!lost.has(digest) && !(await copyVerified(folder.blobPath(digest), target, digest).catch(noneWhenMissing))) {
        throw wrongBytes(digest);
      }
    }
    await recordRestore(services, content);
    // Out of service, as every damaged blob is, until somebody pushes the right bytes.
    for (const digest of content.lost) await verifyBlob(services, digest);
  } finally {
    await services.metadata.close();
  }
}

type Restored = Needs & Pick<Services, "metadata" | "tree">;

async function recordRestore(services: Restored, { takenAt, audit, lost }: BackupContent): Promise<void> {
  const event = auditEvent(services, SYSTEM, {
    type: "registry.restore",
    target: { kind: "registry", name: "backup" },
    before: { takenAt, sequence: audit.sequence, hash: audit.hash, lost: lost.length },
  });
  await services.metadata.commit({ expect: [], put: [], remove: [], audit: [event] });
  await endSessions(services);
  await orderFolders(services);
}
