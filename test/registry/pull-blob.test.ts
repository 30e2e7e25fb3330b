import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AuditEvent } from "../../src/audit/event.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import type { RepositoryName } from "../../src/oci/reference.ts";
import { linkRows } from "../../src/registry/link-blob.ts";
import { servingEpoch } from "../../src/registry/open-downloads.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { pullBlob } from "../../src/registry/pull-blob.ts";
import type { BlobStore } from "../../src/storage/blob-store.ts";
import { openFilesystem } from "../../src/storage/filesystem.ts";
import { keys } from "../../src/storage/keys.ts";
import type { Change, MetadataStore } from "../../src/storage/metadata-store.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";
import { v7 } from "../support/uuid.ts";
import { NO_QUOTA } from "../support/limits.ts";
import { watchedReads } from "../support/watched-reads.ts";

const HERE = repository("team/m");
const BLOB = { kind: "blob", digest: digestOf("layer") } as const;
const ROOT = digestOf("root");
const AUDIT: AuditEvent = { id: "1", time: 0, type: "test.change", actor: { principal: "system", kind: "system" }, outcome: "allow" };

let directory: string;
let blobs: BlobStore;
let store: Awaited<ReturnType<typeof temporaryMetadata>>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-pull-"));
  store = await temporaryMetadata();
  blobs = await openFilesystem(directory);
  await change({
    put: [
      ...linkRows(HERE, BLOB.digest, { size: 5, by: "alice", at: 0, isThere: false }),
      { key: keys.reach(HERE, BLOB, ROOT), value: REACH },
    ],
  });
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const REACH = { v: 1, via: [], statement: false };

function services(): Parameters<typeof pullBlob>[0] {
  const settings = {
    publicUrl: "http://127.0.0.1",
    duties: "standard",
    collectGrace: 1000,
    snapshotLifetime: 86_400_000,
    quota: NO_QUOTA,
    promotionPolicy: "closure",
  } as const;
  return { metadata: store.metadata, blobs, clock: () => 1, newId: v7, settings, refusals: { note: () => undefined } };
}

async function change(made: Partial<Change>): Promise<void> {
  await store.metadata.commit({ expect: [], put: [], remove: [], audit: [AUDIT], ...made });
}

test("a revocation right after the decision is newer than the epoch that the download is watched by", async () => {
  const { metadata } = store;
  let isRevoked = false;
  const watched: MetadataStore = {
    get: (key) => metadata.get(key),
    list: async (range) => {
      const found = await metadata.list(range);
      if (!isRevoked) await change({ put: [{ key: keys.servingEpoch(), value: {} }], remove: [keys.reach(HERE, BLOB, ROOT)] });
      isRevoked = true;
      return found;
    },
    commit: (made) => metadata.commit(made),
    close: () => metadata.close(),
  };
  const pulled = await pullBlob({ ...services(), metadata: watched }, callerWith(["reader@*"]), HERE, BLOB.digest);
  expect(pulled.epoch).not.toBe(await servingEpoch({ metadata }));
  expect(await pulled.isAllowed()).toBe(false);
});

/** What is read of the metadata while somebody pulls what it does not get. */
async function readsOf(caller: Caller, place: RepositoryName, digest: Digest): Promise<readonly string[]> {
  const { metadata, reads } = watchedReads(store.metadata);
  await expect(pullBlob({ ...services(), metadata }, caller, place, digest)).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
  return reads;
}

test("a hidden blob takes the same reads as a missing one, so that time does not tell them apart", async () => {
  const hidden = digestOf("hidden");
  await change({ put: linkRows(HERE, hidden, { size: 5, by: "alice", at: 0, isThere: false }) });
  const reader = callerWith(["reader@*"]);
  const hiddenReads = await readsOf(reader, HERE, hidden);
  expect(hiddenReads).toContain("list reach");
  expect(await readsOf(reader, HERE, digestOf("missing"))).toEqual(hiddenReads);
  expect(await readsOf(reader, repository("team/none"), hidden)).toEqual(hiddenReads);
  const stranger = callerWith(["publisher@other"]);
  expect(await readsOf(stranger, HERE, digestOf("missing"))).toEqual(await readsOf(stranger, HERE, hidden));
});
