import type { AuditEvent } from "../audit/event.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Slots } from "../scan/slots.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Expectation } from "../storage/metadata-store.ts";
import { type BlobRecord, blobRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { type BlobFolders, foldersOf, syncFolders } from "./blob-folders.ts";
import type { Services } from "./ports.ts";
import { expected } from "./remove-blob.ts";
import { SYSTEM } from "./system-actor.ts";
import { type FoundBytes, readPublished } from "./verify-bytes.ts";
import { type Joining, type Terms, WorkOver } from "./verify-sharing.ts";

export type VerifyServices = Pick<Services, "metadata" | "blobs" | "tree" | "clock" | "newId" | "log">;

/**
 * What became of a blob. `missing`: it has a record and no bytes. `unreadable`: the storage failed (`code`, such as EIO), which says nothing
 * about the bytes. `gone`: there is no such blob any more.
 */
export type BlobVerification =
  | { readonly outcome: "intact"; readonly size: number }
  | { readonly outcome: "damaged"; readonly actual: Digest; readonly size: number }
  | { readonly outcome: "missing" }
  | { readonly outcome: "unreadable"; readonly code: string }
  | { readonly outcome: "gone" };

export interface VerifyOptions extends Joining {
  /** The name of whoever asked, for the audit. */
  readonly askedBy?: string | undefined;
}

/** How often a blob is read again whose record changed meanwhile. */
const MAX_TRIES = 8;

/** One process reads so many at once; the others wait, since a refusal could be taken for damage. */
const UNDER_WAY = new WorkOver<BlobStore, Digest, BlobVerification>(4);

/**
 * Reads a published blob and compares it with its digest. Damaged or missing bytes are out of service when this resolves, at every door and
 * in `trusted/` (RULES 15); right bytes of a blob that was damaged are back. Whoever asks for what is being read already waits for that.
 */
export async function verifyBlob(services: VerifyServices, digest: Digest, options: VerifyOptions = {}): Promise<BlobVerification> {
  const { shared, slots } = UNDER_WAY.of(services.blobs);
  return shared.join(digest, options, (terms) => verify(services, { digest, askedBy: options.askedBy, slots, terms }));
}

interface Asked {
  readonly digest: Digest;
  readonly askedBy: string | undefined;
  readonly slots: Slots;
  readonly terms: Terms;
}

async function verify(services: VerifyServices, asked: Asked): Promise<BlobVerification> {
  const { digest, slots, terms } = asked;
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const before = await presentBlob(services, digest);
    if (before === undefined) return { outcome: "gone" };
    const found = await slots.run(() => readPublished(services, digest, terms), terms.signal);
    if (found.found === "unreadable") return { outcome: "unreadable", code: found.code };
    const result = await conclude(services, asked, before, found);
    if (result !== undefined) return result;
  }
  const message = "others change the record of this content all the time; try again";
  throw new RegistryError("UNAVAILABLE", message, { headers: { "Retry-After": "5" } });
}

interface PresentBlob {
  readonly record: BlobRecord;
  readonly version: number;
}

async function presentBlob({ metadata }: VerifyServices, digest: Digest): Promise<PresentBlob | undefined> {
  const entry = await metadata.get(keys.blob(digest));
  const record = entry && blobRecord.parse(entry.value);
  return entry === undefined || record?.status !== "present" ? undefined : { record, version: entry.version };
}

type Readable = Exclude<FoundBytes, { readonly found: "unreadable" }>;

/**
 * Makes the record say what was found. Undefined when it has changed since before the bytes were read, so that they may be others by now:
 * whatever replaces bytes changes the record.
 */
async function conclude(
  services: VerifyServices,
  asked: Asked,
  before: PresentBlob,
  found: Readable,
): Promise<BlobVerification | undefined> {
  const { digest } = asked;
  const now = await presentBlob(services, digest);
  if (now === undefined) return { outcome: "gone" };
  const result = resultOf(digest, before.record, found);
  const isIntact = result.outcome === "intact";
  if (isIntact && !now.record.damaged) return result;
  // Read before the folders, which a link made meanwhile could add to.
  const use = await services.metadata.get(keys.blobUse(digest));
  const folders = await foldersOf(services, digest);
  if (isIntact === now.record.damaged) {
    if (now.version !== before.version) return undefined;
    // Whoever put them there may not have.
    if (isIntact) await services.blobs.flush(digest);
    const change = isIntact ? healing(services, asked, now.record, folders) : damage(services, asked, now.record, { found, folders });
    const expect: Expectation[] = [{ key: keys.blob(digest), version: now.version }, expected(keys.blobUse(digest), use)];
    if ((await services.metadata.commit({ ...change, expect })) === "conflict") return undefined;
  }
  // Also after somebody else's change: nobody is answered before the folders have followed.
  await syncFolders(services, folders);
  return (await isReplaced(services, digest, now.record, found)) ? undefined : result;
}

/** Were bytes that could be seen to be lost or cut put back meanwhile, by a push that did not yet know what was found? */
async function isReplaced({ blobs }: VerifyServices, digest: Digest, { size }: BlobRecord, found: Readable): Promise<boolean> {
  if (found.found === "bytes" && found.size === size) return false;
  return (await blobs.stat(digest))?.size === size;
}

function resultOf(digest: Digest, { size }: BlobRecord, found: Readable): BlobVerification {
  if (found.found === "nothing") return { outcome: "missing" };
  if (found.actual === digest && found.size === size) return { outcome: "intact", size };
  return { outcome: "damaged", actual: found.actual, size: found.size };
}

type Marking = Omit<Change, "expect">;

function damage(
  services: VerifyServices,
  { digest, askedBy }: Asked,
  record: BlobRecord,
  { found, folders }: { readonly found: Readable; readonly folders: BlobFolders },
): Marking {
  const at = services.clock();
  const what = found.found === "bytes" ? { actual: found.actual, size: found.size } : { actual: null, size: null };
  return {
    put: [
      { key: keys.blob(digest), value: { ...record, damaged: true } },
      { key: keys.blobDamage(digest), value: { v: 1, ...what, at } },
      { key: keys.servingEpoch(), value: { at } },
      ...folders.put,
    ],
    remove: [],
    audit: [marked(services, askedBy, { type: "blob.damage", digest, before: { damaged: false }, after: { damaged: true, ...what } })],
  };
}

/** Somebody has put the right bytes back on the disk. */
function healing(services: VerifyServices, { digest, askedBy }: Asked, record: BlobRecord, folders: BlobFolders): Marking {
  const after = { damaged: false, size: record.size };
  return {
    put: [{ key: keys.blob(digest), value: { ...record, damaged: false } }, ...folders.put],
    remove: [keys.blobDamage(digest)],
    audit: [marked(services, askedBy, { type: "blob.heal", digest, before: { damaged: true }, after })],
  };
}

/** The registry itself found it, for whoever asked. */
function marked(
  services: VerifyServices,
  askedBy: string | undefined,
  { digest, after, ...said }: Pick<AuditEvent, "type" | "before" | "after"> & { readonly digest: Digest },
): AuditEvent {
  const asked = askedBy === undefined ? {} : { asked_by: askedBy };
  return auditEvent(services, SYSTEM, { ...said, target: { kind: "blob", name: digest, digest }, after: { ...after, ...asked } });
}
