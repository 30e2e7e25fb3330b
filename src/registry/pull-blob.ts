import { liveRightsOn } from "../identity/authorize.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { BlobStream, ByteRange } from "../storage/blob-store.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import { renewLink } from "./link-use.ts";
import { type ServingEpoch, servingEpoch } from "./open-downloads.ts";
import type { Caller, Services } from "./ports.ts";
import type { RefusalLog } from "./refusals.ts";
import { type ServedBlob, readerFor, serveBlob } from "./serving.ts";
import { isTurnedOut } from "./standing.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "settings"> & { readonly refusals: Pick<RefusalLog, "note"> };

/** The bytes of a blob; some stores know a cheaper way to a socket than a pipe. */
export type PulledBytes = BlobStream;

/** A blob that the caller may read. */
export interface PulledBlob {
  /** In bytes. */
  readonly size: number;
  /** What a person should be told of it. */
  readonly held: string | undefined;
  /** Read before the decision. */
  readonly epoch: ServingEpoch;
  /** May the caller still read it? */
  readonly isAllowed: () => Promise<boolean>;
  /** Sees to it that the blob stays for whoever may push here and asks whether it is there, since it will not be uploaded then. */
  readonly keep: () => Promise<void>;
  /** Tells the audit that the caller reads it: a read of untrusted content is an event (RULES 29). */
  readonly noteRead: () => void;
  /** The bytes, or a part of them, with a note of that. */
  readonly open: (range?: ByteRange) => Promise<PulledBytes>;
}

/**
 * Finds a blob for a caller (distribution-spec end-2), before anything else of the request is looked at: what is hidden is unknown, whatever
 * range or condition is asked.
 */
export async function pullBlob(services: Needs, caller: Caller, repository: RepositoryName, digest: Digest): Promise<PulledBlob> {
  const ask = (): Promise<ServedBlob> => serveBlob(services, readerFor(caller.principal, repository), repository, digest);
  const epoch = await servingEpoch(services);
  const { serving, blob, trusted } = await ask();
  const target = { kind: "blob", name: repository, digest } as const;
  if (serving.effect === "denied") {
    services.refusals.note(auditEvent(services, caller.actor, { type: "blob.read", outcome: "deny", target, reason: serving.reason }));
    throw new RegistryError("DENIED", serving.reason);
  }
  if (serving.effect === "absent" || blob === undefined) throw new RegistryError("BLOB_UNKNOWN");
  const noteRead = (): void => {
    if (!trusted) services.refusals.note(auditEvent(services, caller.actor, { type: "blob.read", target }));
  };
  return {
    size: blob.record.size,
    held: serving.held,
    epoch,
    isAllowed: async () => !(await isTurnedOut(services, caller)) && (await ask()).serving.effect === "allow",
    keep: async () => {
      if (!liveRightsOn(caller.principal, repository).has("push")) return;
      const isThere = await decideAndCommit(services, () => renewLink(services, repository, digest));
      if (!isThere) throw new RegistryError("BLOB_UNKNOWN");
    },
    noteRead,
    open: (range = { start: 0, end: Math.max(0, blob.record.size - 1) }) => {
      noteRead();
      return services.blobs.open(digest, range);
    },
  };
}
