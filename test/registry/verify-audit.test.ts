import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Link, append } from "../../src/audit/chain.ts";
import { verifyAudit } from "../../src/registry/verify-audit.ts";
import { keys } from "../../src/storage/keys.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import type { Entry, MetadataStore } from "../../src/storage/metadata-store.ts";

const EVENTS = 1_234;

let directory: string;
let metadata: MetadataStore;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-verify-audit-"));
  metadata = await openLmdb(directory);
  await addEvents(metadata, EVENTS);
});

afterAll(async () => {
  await metadata.close();
  await rm(directory, { recursive: true, force: true });
});

const eventOf = (i: number): Link["event"] => ({
  id: `id-${i}`,
  time: i,
  type: "artifact.push",
  actor: { principal: "publisher", kind: "service" },
  outcome: "allow",
});

async function addEvents(store: MetadataStore, count: number): Promise<void> {
  const audit = Array.from({ length: count }, (_, i) => eventOf(i));
  await store.commit({ expect: [], put: [], remove: [], audit });
}

/** The store as somebody left it who wrote into its file: rows are changed, or gone (undefined). */
function tampered(change: (entry: Entry) => unknown): MetadataStore {
  const read = (entry: Entry | undefined): Entry | undefined => {
    const value = entry && change(entry);
    return entry && value !== undefined ? { ...entry, value } : undefined;
  };
  return {
    get: async (key) => read(await metadata.get(key)),
    list: async (range) => (await metadata.list(range)).flatMap((entry) => read(entry) ?? []),
    commit: (wanted) => metadata.commit(wanted),
    close: () => metadata.close(),
  };
}

const only = (sequence: number, change: (link: Link) => unknown) => (entry: Entry) =>
  entry.key[1] === sequence ? change(entry.value as Link) : entry.value;

test("a whole chain is intact up to its head", async () => {
  expect(await verifyAudit({ metadata }, 0)).toMatchObject({
    checked: EVENTS,
    last: { sequence: EVENTS },
    broken: undefined,
    next: undefined,
  });
});

test("an empty chain is intact", async () => {
  const empty = await mkdtemp(join(tmpdir(), "amr-verify-audit-"));
  const store = await openLmdb(empty);
  expect(await verifyAudit({ metadata: store }, 0)).toEqual({ checked: 0, last: undefined, broken: undefined, next: undefined });
  await store.close();
  await rm(empty, { recursive: true, force: true });
});

test("a check goes on from where an earlier one ended", async () => {
  expect(await verifyAudit({ metadata }, 1_000)).toMatchObject({ checked: EVENTS - 1_000, broken: undefined, next: undefined });
  expect(await verifyAudit({ metadata }, EVENTS)).toMatchObject({ checked: 0, broken: undefined, next: undefined });
});

test("one call checks twenty thousand links and says where to go on", async () => {
  const big = await mkdtemp(join(tmpdir(), "amr-verify-audit-"));
  const store = await openLmdb(big);
  await addEvents(store, 20_010);
  expect(await verifyAudit({ metadata: store }, 0)).toMatchObject({ checked: 20_000, broken: undefined, next: 20_000 });
  expect(await verifyAudit({ metadata: store }, 20_000)).toMatchObject({ checked: 10, broken: undefined, next: undefined });
  await store.close();
  await rm(big, { recursive: true, force: true });
});

test("a sequence that the chain does not have is no place to start from", async () => {
  expect((await verifyAudit({ metadata }, EVENTS + 5)).broken?.sequence).toBe(EVENTS + 5);
});

test.each([
  ["an edited event", 700, only(700, (link) => ({ ...link, event: { ...link.event, actor: { ...link.event.actor, principal: "x" } } }))],
  ["an edited event with a fitting hash", 701, only(700, (link) => rehashed(link))],
  ["a deleted link", 700, only(700, () => undefined)],
  ["a row that is no link", 700, only(700, () => ({ sequence: 700 }))],
  ["a deleted first link", 1, only(1, () => undefined)],
  ["a lost last link", EVENTS, only(EVENTS, () => undefined)],
  ["a head that is not the last link", EVENTS + 1, (entry: Entry) => (entry.key[0] === keys.auditHead()[0] ? otherHead() : entry.value)],
  ["a lost head", EVENTS + 1, (entry: Entry) => (entry.key[0] === keys.auditHead()[0] ? undefined : entry.value)],
])("%s is found, at sequence %i", async (_, sequence, change) => {
  expect((await verifyAudit({ metadata: tampered(change) }, 0)).broken?.sequence).toBe(sequence);
});

function rehashed(link: Link): Link {
  const before = { ...link, sequence: link.sequence - 1, hash: link.previous ?? link.hash };
  return append(before, { ...link.event, reason: "edited" });
}

function otherHead(): Link {
  return append(undefined, eventOf(0));
}
