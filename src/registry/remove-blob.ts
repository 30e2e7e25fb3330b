import type { AuditEvent } from "../audit/event.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { keys } from "../storage/keys.ts";
import type { Entry, Expectation } from "../storage/metadata-store.ts";
import { type BlobRecord, blobRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import type { Services } from "./ports.ts";
import { SYSTEM } from "./system-actor.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId">;

const MAX_TRIES = 64;

/** What is known of a blob before its bytes are published, and what the change that links it expects. */
export interface BlobGrounds {
  /** The record of a present blob. */
  readonly record: BlobRecord | undefined;
  readonly expect: readonly Expectation[];
}

/**
 * Loads what a link to a blob rests on. The order that keeps linked blobs safe from the collector: load the grounds, publish the bytes
 * unless they are there or come with the link, then commit the link together with the blob's record, or with its use where it was there
 * already, expecting the grounds; on a conflict begin again.
 * A removal that is under way is finished first. A record that is absent has no version that would tell of a whole collection between
 * our look and our commit, so that the last removal decided nearby belongs to the grounds.
 */
export async function blobGrounds(needs: Needs, digest: Digest): Promise<BlobGrounds> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const removal = await needs.metadata.get(keys.blobRemoval(digest));
    const entry = await needs.metadata.get(keys.blob(digest));
    const expect = [expected(keys.blob(digest), entry)];
    if (entry === undefined) return { record: undefined, expect: [...expect, expected(keys.blobRemoval(digest), removal)] };
    const record = blobRecord.parse(entry.value);
    if (record.status === "present") return { record, expect };
    await finishRemoval(needs, digest);
  }
  throw new RegistryError("UNAVAILABLE", "this content is being removed over and over; try again", { headers: { "Retry-After": "1" } });
}

/** What is known of a blob that may go. Every link that is made or taken away changes one of the two. */
export interface FoundBlob {
  /** Undefined: the file is an orphan. */
  readonly record: Entry | undefined;
  readonly use: Entry | undefined;
  /** In bytes. */
  readonly size: number;
}

/**
 * Decides that a blob goes, unless somebody has linked it since it was looked at. True when it is decided; `finishRemoval` then does it. The
 * caller knows that no repository links the blob.
 */
export async function condemn(needs: Needs, digest: Digest, { record: found, use, size }: FoundBlob): Promise<boolean> {
  const key = keys.blob(digest);
  const record: BlobRecord = { v: 1, size, status: "condemned", damaged: false, touchedAt: needs.clock() };
  const outcome = await needs.metadata.commit({
    expect: [expected(key, found), expected(keys.blobUse(digest), use)],
    put: [
      { key, value: record },
      { key: keys.blobRemoval(digest), value: null },
    ],
    remove: [],
    audit: [event(needs, "blob.condemn", digest, size)],
  });
  return outcome === "committed";
}

/** Finishes the removal of a condemned blob, whoever decided it; true when it was this call that did. Fine for any other blob. */
export async function finishRemoval(needs: Needs, digest: Digest): Promise<boolean> {
  const key = keys.blob(digest);
  const condemned = await needs.metadata.get(key);
  const record = condemned && blobRecord.parse(condemned.value);
  if (condemned === undefined || record?.status !== "condemned") return false;
  // As long as the record has this version nobody links the blob, and nobody but a removal changes it: so another removal asks only when it is gone.
  const still = async (): Promise<boolean> => (await needs.metadata.get(key))?.version === condemned.version;
  const outcome = await needs.blobs.remove(digest, still, () =>
    needs.metadata.commit({
      expect: [{ key, version: condemned.version }],
      put: [],
      remove: [key, keys.blobUse(digest), keys.blobContent(digest)],
      audit: [event(needs, "blob.collect", digest, record.size)],
    }),
  );
  return outcome === "committed";
}

/** That a record has not changed since it was read, or found absent. */
export function expected(key: Expectation["key"], entry: Entry | undefined): Expectation {
  return { key, version: entry?.version ?? "absent" };
}

function event(needs: Needs, type: string, digest: Digest, size: number): AuditEvent {
  return auditEvent(needs, SYSTEM, { type, target: { kind: "blob", name: digest, digest }, before: { size } });
}
