import { type Digest, algorithmOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Key, Put } from "../storage/metadata-store.ts";
import { type IncomingChunk, appendUpload, whenFree } from "./append-upload.ts";
import { auditEvent } from "./audit-event.ts";
import { bytesRow, isIntact } from "./blob-bytes.ts";
import { type BlobFolders, foldersOf, syncFolders } from "./blob-folders.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import { gatherUpload } from "./gather-upload.ts";
import { linkChange } from "./link-blob.ts";
import { renewLink } from "./link-use.ts";
import type { Caller, Services } from "./ports.ts";
import { proveUpload } from "./prove-upload.ts";
import { type BlobGrounds, blobGrounds } from "./remove-blob.ts";
import { type UploadStatus, explainUpload } from "./read-upload.ts";
import { startUpload } from "./start-upload.ts";
import type { ContentNames, UploadHashes } from "./upload-hashes.ts";
import type { Upload } from "./upload-id.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "tree" | "clock" | "newId" | "secretFor" | "log" | "limits" | "settings"> & {
  readonly hashes: UploadHashes;
};
type Starting = Needs & Pick<Services, "random">;

/** What closes an upload: the digest that the client claims, and the last bytes. */
export interface Closing {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  readonly chunk: IncomingChunk;
}

/** The first `size` bytes of an upload, and the digest that they are said to have. */
interface Claimed {
  readonly upload: Upload;
  readonly size: number;
  readonly repository: RepositoryName;
  readonly digest: Digest;
}

/** The same once the digest was found right. */
export interface Verified extends Claimed {
  readonly sha256: Digest;
  /** Is it the upload that has these bytes? Others may be in one whose body proved itself and was not written. */
  readonly isWritten: boolean;
  /** The bytes themselves, where they are few and were not written. */
  readonly bytes?: Uint8Array | undefined;
}

/** Takes a blob in one request (distribution-spec end-4b): nobody learns where its upload is, so that it ends with the request. */
export async function uploadAtOnce(services: Starting, caller: Caller, closing: Closing): Promise<void> {
  const owner = { repository: closing.repository, identity: caller.principal.name };
  const upload = await startUpload(services, owner, {
    algorithm: algorithmOf(closing.digest),
    bytes: closing.chunk.contentLength ?? 0,
  });
  try {
    await finishUpload(services, caller, { upload, size: 0 }, closing);
  } catch (error) {
    await discard(services, upload);
    throw error;
  }
}

/**
 * Takes the last bytes of an upload, verifies the digest and makes the blob one of the repository's (distribution-spec end-6). Few bytes come
 * with the commit that links them; others are published before: what a crash leaves between the two is garbage that nobody can see.
 */
export async function finishUpload(services: Needs, caller: Caller, status: UploadStatus, closing: Closing): Promise<void> {
  const { repository, digest, chunk } = closing;
  const upload = { ...status.upload, algorithm: algorithmOf(digest) };
  const owner = { repository, identity: caller.principal.name };
  const gathered = await gatherUpload(services, owner, { upload, size: status.size }, chunk);
  const proven = gathered ?? (await proveUpload(services, caller, { upload, size: status.size }, closing));
  const size = proven?.size ?? (await appendUpload(services, owner, { upload, size: status.size }, chunk));
  try {
    const names = proven ?? (await services.hashes.names(upload, size));
    const sha256 = await verify(services, { upload, size, repository, digest }, names);
    const verified = { upload, size, repository, digest, sha256, isWritten: proven === undefined, bytes: gathered?.bytes };
    const folders = await decideAndCommit(services, () => linkVerified(services, caller, verified));
    if (folders !== undefined) await syncFolders(services, folders);
  } catch (error) {
    throw await explainUpload(services, owner, { upload, size: proven === undefined ? size : "none" }, error);
  }
  await discard(services, upload);
}

/** What the registry knows the bytes by. */
async function verify(services: Needs, { upload, size, digest }: Claimed, { digest: actual, sha256 }: ContentNames): Promise<Digest> {
  if (actual === digest) return sha256;
  await discard(services, upload);
  throw new RegistryError("DIGEST_INVALID", "the uploaded bytes do not have this digest; the upload is discarded, push them again", {
    detail: { digest, actual, size },
  });
}

/** The change that links the blob, or heals it; with the folders of `trusted/` that get it back when it was damaged (RULES 15). */
export async function linkVerified(
  services: Omit<Needs, "hashes" | "limits">,
  caller: Caller,
  verified: Verified,
): Promise<Decided<BlobFolders | undefined>> {
  const { repository, digest, size } = verified;
  const grounds = await blobGrounds(services, digest);
  const { heals, content } = await publish(services, verified, grounds);
  const isThere = grounds.record !== undefined && !heals;
  const folders = heals ? await foldersOf(services, digest) : undefined;
  const renewed = await renewLink(services, repository, digest);
  // RULES 29: pushing again what is there is no event.
  if (renewed.result && !heals) return { ...renewed, result: undefined };
  const after = folders === undefined ? {} : { healed: true };
  const change = renewed.result
    ? healed(services, caller, verified, grounds)
    : await linkChange(services, caller, { repository, digest, size, grounds, isThere, type: "blob.push", after });
  const { expect, put } = renewed.change ?? NOTHING;
  return {
    change: {
      ...change,
      expect: [...change.expect, ...expect],
      put: [...change.put, ...put, ...nameRows(verified), ...(folders?.put ?? []), ...content.put],
      remove: [...change.remove, ...content.remove],
    },
    result: folders,
  };
}

const NOTHING = { expect: [], put: [] } as const;

/** What was pushed by sha512 is known by both of its names from now on, so that revoked content is known again under either (RULES 13). */
function nameRows({ digest, sha256 }: Verified): readonly Put[] {
  if (digest === sha256) return [];
  return [
    { key: keys.blobName(digest), value: sha256 },
    { key: keys.blobName(sha256), value: digest },
  ];
}

/** What became of bytes that were found right. */
interface Published {
  /**
   * Do they replace damaged, cut or lost ones of a blob that has a record (RULES 15)? It has to change then, so that nobody who read those
   * calls the blob damaged.
   */
  readonly heals: boolean;
  /** What the change that links them writes and removes of the bytes. */
  readonly content: { readonly put: readonly Put[]; readonly remove: readonly Key[] };
}

/** Puts the bytes in their place unless they are there already: few of them by the change itself, others in a file. */
async function publish({ blobs }: Pick<Needs, "blobs">, verified: Verified, grounds: BlobGrounds): Promise<Published> {
  const { upload, digest, size, bytes, isWritten } = verified;
  if (await isIntact({ blobs }, grounds, verified)) return { heals: false, content: { put: [], remove: [] } };
  const heals = grounds.record !== undefined;
  if (bytes !== undefined) return { heals, content: { put: [bytesRow(digest, bytes)], remove: [] } };
  if (!isWritten) throw new RangeError("the upload has none of these bytes");
  await whenFree(() => blobs.publish(upload.id, digest, { replace: heals, size }));
  // The file is what was found right; a row of the same digest would go before it.
  return { heals, content: { put: [], remove: heals ? [keys.blobContent(digest)] : [] } };
}

/** The right bytes have replaced damaged ones of a blob that the repository holds already. */
function healed(
  services: Pick<Needs, "clock" | "newId">,
  caller: Caller,
  { repository, digest, size }: Verified,
  { record, expect }: BlobGrounds,
): Change {
  const key = keys.blob(digest);
  return {
    expect,
    put: [{ key, value: { v: 1, size, status: "present", damaged: false, touchedAt: services.clock() } }],
    remove: [keys.blobDamage(digest)],
    audit: [
      auditEvent(services, caller.actor, {
        type: "blob.heal",
        target: { kind: "blob", name: repository, digest },
        before: { damaged: record?.damaged ?? true },
        after: { damaged: false, size },
      }),
    ],
  };
}

/** The blob is there or refused by now: what fails here costs disk until the upload expires, and is no failure of the push. */
async function discard({ blobs, hashes, log, limits }: Needs, upload: Upload): Promise<void> {
  hashes.forget(upload);
  limits.end(upload.id);
  await blobs.discard(upload.id).catch((error: unknown) => log.warn({ err: error }, "an upload could not be discarded"));
}
