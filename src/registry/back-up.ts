import type { Digest } from "../oci/digest.ts";
import { type BackupContent, BackupError, type BackupFolder } from "../storage/backup-folder.ts";
import { hasCode } from "../storage/claim.ts";
import type { DataDirectory } from "../storage/data-directory.ts";
import type { MetadataStore } from "../storage/metadata-store.ts";
import { type SecretFiles, readSecretFiles } from "../storage/secret-files.ts";
import { type KeptBlob, isKept, isSoundRow, keptBlobs } from "./kept-blobs.ts";
import type { Services } from "./ports.ts";
import { auditHead } from "./read-audit.ts";
import { verifyAudit } from "./verify-audit.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock"> & { readonly paths: DataDirectory["paths"] };

/** What a backup holds, for who made it. */
export type BackupReport = Pick<BackupContent, "takenAt" | "audit" | "blobs" | "lost"> & {
  /** Blobs whose files were copied just now; the others were there from an earlier one, or are rows of the metadata. */
  readonly copied: number;
};

/** Each try lost means that blobs were collected between a copy of the metadata and that of the bytes, or a signing key was replaced. */
const MAX_TRIES = 8;

/**
 * Copies a registry that goes on serving and changing: its metadata as they are at one moment, every blob that they name, each held to its
 * digest, and its secrets, sealed with a passphrase. Bytes are published before they are named, so that what is named can be copied
 * afterwards; what was collected meanwhile shows that the copy of the metadata is too old, and another one is made.
 */
export async function backUp(needs: Needs, folder: BackupFolder, passphrase: string): Promise<BackupReport> {
  let copied = 0;
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const secrets = await readSecretFiles(needs.paths);
    const id = await folder.addMetadata(needs.paths.metadata);
    const tried = await copyContent(needs, folder, { id, secrets }).catch(async (error: unknown) => {
      // It would take the room that the next backup needs.
      await folder.dropMetadata(id).catch(() => undefined);
      throw error;
    });
    copied += tried.copied;
    if (tried.content === undefined) {
      await folder.dropMetadata(id);
      continue;
    }
    const { content, metadata } = tried;
    try {
      await folder.finish(passphrase, content, id, (digest) => isKept(metadata, digest));
    } finally {
      await metadata.close();
    }
    const { takenAt, audit, blobs, lost } = content;
    return { takenAt, audit, blobs, lost, copied };
  }
  throw new BackupError("content is being deleted faster than it can be copied; try again");
}

type Tried = { readonly copied: number } & (
  | { readonly content: Omit<BackupContent, "metadata">; readonly metadata: MetadataStore }
  /** The copy of the metadata is too old. */
  | { readonly content: undefined }
);

/** Copies what a copy of the metadata names; the copy is open then, for the caller to close. */
async function copyContent(
  needs: Needs,
  folder: BackupFolder,
  { id, secrets }: { readonly id: string; readonly secrets: SecretFiles },
): Promise<Tried> {
  if (!isSame(secrets, await readSecretFiles(needs.paths))) return { copied: 0, content: undefined };
  const metadata = await folder.openMetadata(id);
  try {
    const { copied, isOutdated, total: blobs, lost } = await copyBlobs(needs, folder, metadata);
    if (!isOutdated) {
      const content = { v: 1 as const, takenAt: needs.clock(), audit: await soundHead(metadata), blobs, lost, secrets };
      return { copied, content, metadata };
    }
    await metadata.close();
    return { copied, content: undefined };
  } catch (error) {
    await metadata.close();
    throw error;
  }
}

/** The end of an audit chain that was proven from its beginning; throws when it does not hold. */
export async function soundHead(metadata: MetadataStore): Promise<BackupContent["audit"]> {
  for (let after: number | undefined = 0; after !== undefined;) {
    const { broken, next } = await verifyAudit({ metadata }, after);
    if (broken !== undefined) throw new BackupError(`the audit chain does not hold at ${broken.sequence}: ${broken.reason}`);
    after = next;
  }
  const head = await auditHead({ metadata });
  return { sequence: head?.sequence ?? 0, hash: head?.hash ?? "" };
}

interface Copied {
  readonly total: BackupContent["blobs"];
  readonly lost: Digest[];
  readonly copied: number;
  /** Something that the metadata name was collected since they were copied. */
  readonly isOutdated: boolean;
}

async function copyBlobs(needs: Needs, folder: BackupFolder, metadata: MetadataStore): Promise<Copied> {
  const total = { count: 0, bytes: 0 };
  const lost: Digest[] = [];
  let [copied, isOutdated] = [0, false];
  for await (const blob of keptBlobs(metadata)) {
    const outcome = (await lookAtRow(needs, metadata, blob)) ?? (await copyBlob(needs, folder, blob));
    if (outcome === "outdated") isOutdated = true;
    else if (outcome === "lost") lost.push(blob.digest);
    else total.count += 1;
    if (outcome === "copied") copied += 1;
    if (outcome === "copied" || outcome === "there") total.bytes += blob.size;
  }
  return { total, lost, copied, isOutdated };
}

/** Of a blob, in a copy of the metadata; `outdated` when that is too old. */
type Outcome = "there" | "copied" | "lost" | "outdated";

/** One whose bytes are a row is copied with the metadata; undefined for one that is a file. */
async function lookAtRow({ metadata: now }: Needs, copy: MetadataStore, { digest }: KeptBlob): Promise<Outcome | undefined> {
  const isSound = await isSoundRow(copy, digest);
  if (isSound !== false) return isSound && "there";
  // Somebody may have pushed the right bytes since.
  return (await isSoundRow(now, digest)) === false ? "lost" : "outdated";
}

/** What was damaged when it was recorded so may be right by now, and the other way round: its bytes decide. */
async function copyBlob(needs: Needs, folder: BackupFolder, { digest, size }: KeptBlob): Promise<Outcome> {
  if (await folder.hasBlob(digest, size)) return "there";
  for (let tries = 0; tries < 2; tries += 1) {
    try {
      return (await needs.blobs.inFile(digest, (path) => folder.addBlob(digest, path))) ? "copied" : "lost";
    } catch (error) {
      if (hasCode(error, "EIO") && error.syscall === "read") throw unreadable(digest, error);
      if (!hasCode(error, "ENOENT")) throw error;
    }
    // It may have been collected, and pushed again, since.
    if (!(await isKept(needs.metadata, digest))) return "outdated";
  }
  return "lost";
}

/** It is named, since each next try would end at it too. */
function unreadable(digest: Digest, cause: Error): BackupError {
  return new BackupError(`the disk failed under the bytes of ${digest}: see to it, or move their file away, and run it again`, { cause });
}

function isSame(one: SecretFiles, other: SecretFiles): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
