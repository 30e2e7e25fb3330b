import type { Digest } from "../oci/digest.ts";
import { type BackupContent, BackupError, type BackupFolder } from "../storage/backup-folder.ts";
import type { MetadataStore } from "../storage/metadata-store.ts";
import { RestoredDirectory } from "../storage/restored-directory.ts";
import { auditEvent } from "./audit-event.ts";
import { soundHead } from "./back-up.ts";
import { isSoundRow, keptBlobs } from "./kept-blobs.ts";
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

/**
 * Makes a data directory of a backup. All of it is held to its digests, and the audit chain proven, before the metadata get their name in one
 * step; what is there when that fails is no registry. Every login since ends by it, and the audit log says that this was a restore.
 */
export async function restore(needs: Needs, { folder, passphrase, into, atLeast }: Restoration): Promise<RestoreReport> {
  const content = await folder.read(passphrase);
  refuseOlder(content, atLeast);
  const directory = await RestoredDirectory.begin(folder, content, into);
  try {
    await takeContent(needs, directory, content);
  } catch (error) {
    await directory.abandon();
    throw error;
  }
  await directory.complete();
  return content;
}

/** Holds every byte of a backup to its digest, and proves its audit chain. */
export async function checkBackup(folder: BackupFolder, passphrase: string): Promise<RestoreReport> {
  const content = await folder.read(passphrase);
  const metadata = await folder.openMetadata(content.metadata.folder);
  try {
    await soundContent(metadata, content, (digest) => folder.holds(digest));
    return content;
  } finally {
    await metadata.close();
  }
}

/** Proves the audit chain, and that every blob that was not lost has its bytes: as a row of the metadata, or as a file, of which `isSoundFile` is asked. */
async function soundContent(
  metadata: MetadataStore,
  { audit, lost }: BackupContent,
  isSoundFile: (digest: Digest) => Promise<boolean>,
): Promise<void> {
  const head = await soundHead(metadata);
  if (head.hash !== audit.hash) throw new BackupError("the audit chain of the backup ends elsewhere than it did");
  const isLost = new Set<Digest>(lost);
  for await (const { digest } of keptBlobs(metadata)) {
    if (!isLost.has(digest) && !((await isSoundRow(metadata, digest)) ?? (await isSoundFile(digest)))) throw wrongBytes(digest);
  }
}

function wrongBytes(digest: Digest): BackupError {
  return new BackupError(
    `the backup has not the right bytes of ${digest}: remove their file from it and back up again, or take another one`,
  );
}

function refuseOlder({ audit }: BackupContent, atLeast: number): void {
  if (audit.sequence >= atLeast) return;
  throw new BackupError(
    `the backup ends at audit event ${audit.sequence}, before ${atLeast}: revocations between the two would be forgotten; take a later one`,
  );
}

async function takeContent(needs: Needs, directory: RestoredDirectory, content: BackupContent): Promise<void> {
  const services = { ...needs, ...directory.stores };
  await soundContent(services.metadata, content, (digest) => directory.takeBlob(digest));
  await recordRestore(services, content);
  // Out of service, as every damaged blob is, until somebody pushes the right bytes.
  for (const digest of content.lost) await verifyBlob(services, digest);
}

type Restored = Needs & Pick<Services, "metadata">;

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
