import { afterEach, beforeEach, expect, test } from "vitest";
import type { AuditEvent } from "../../src/audit/event.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { deleteBlob } from "../../src/registry/delete-blob.ts";
import { linkRows } from "../../src/registry/link-blob.ts";
import { REGISTRY_ITSELF } from "../../src/registry/own-blobs.ts";
import { keys } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";
import { v7 } from "../support/uuid.ts";

const HERE = repository("team/m");
const BLOB = { kind: "blob", digest: digestOf("layer") } as const;
const ROOT = digestOf("root");
const AUDIT: AuditEvent = { id: "1", time: 0, type: "test.change", actor: { principal: "system", kind: "system" }, outcome: "allow" };

let store: Awaited<ReturnType<typeof temporaryMetadata>>;

beforeEach(async () => {
  store = await temporaryMetadata();
});

afterEach(() => store[Symbol.asyncDispose]());

function services(metadata: MetadataStore): Parameters<typeof deleteBlob>[0] {
  return { metadata, clock: () => 1, newId: v7 };
}

async function link(by: string): Promise<void> {
  await store.metadata.commit({
    expect: [],
    put: linkRows(HERE, BLOB.digest, { size: 5, by, at: 0, isThere: false }),
    remove: [],
    audit: [AUDIT],
  });
}

/** As a promotion does it whose root needs the blob. */
async function promote(): Promise<void> {
  const reach = { key: keys.reach(HERE, BLOB, ROOT), value: { v: 1, via: [], statement: false } };
  await store.metadata.commit({
    expect: [],
    put: [reach, { key: keys.repository(HERE), value: { v: 1, createdAt: 0, trusted: 1 } }],
    remove: [],
    audit: [AUDIT],
  });
}

test("a blob that a promotion begins to need while it is being deleted stays", async () => {
  await link("alice");
  const { metadata } = store;
  let looks = 0;
  const watched: MetadataStore = {
    get: (key) => metadata.get(key),
    list: async (range) => {
      const found = await metadata.list(range);
      // Right after the deletion has seen that nothing trusted needs the blob.
      if (range.start[0] === "denied") looks += 1;
      if (looks === 2) await promote();
      return found;
    },
    commit: (change) => metadata.commit(change),
    close: () => metadata.close(),
  };
  const deletion = deleteBlob(services(watched), callerWith(["maintainer@team"]), HERE, BLOB.digest);
  await expect(deletion).rejects.toMatchObject({ code: "DENIED" });
  expect(await metadata.get(keys.link(HERE, BLOB.digest))).toBeDefined();
});

test("a blob that the registry linked for a statement of its own stays, whoever deletes it", async () => {
  await link(REGISTRY_ITSELF);
  for (const role of ["publisher@team", "maintainer@team", "operator@*"] as const) {
    await expect(deleteBlob(services(store.metadata), callerWith([role]), HERE, BLOB.digest)).rejects.toMatchObject({ code: "DENIED" });
  }
  expect(await store.metadata.get(keys.link(HERE, BLOB.digest))).toBeDefined();
});

test("a token that covers deletions alone can delete what its identity can read", async () => {
  await link("alice");
  const access = [{ type: "repository", name: HERE, actions: ["delete"] }] as const;
  const alice = callerWith(["publisher@team"], {
    name: "alice",
    access: access.map((scope) => ({ ...scope, actions: [...scope.actions] })),
  });
  await deleteBlob(services(store.metadata), alice, HERE, BLOB.digest);
  expect(await store.metadata.get(keys.link(HERE, BLOB.digest))).toBeUndefined();
});
