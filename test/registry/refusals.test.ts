import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { AuditEvent } from "../../src/audit/event.ts";
import { createLogger } from "../../src/log.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { streamAudit } from "../../src/registry/read-audit.ts";
import { createRefusalLog, type RefusalLog } from "../../src/registry/refusals.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";

const MINUTE = 60_000;

// Ten thousand events take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

let directory: string;
let metadata: MetadataStore;
let log: RefusalLog;
let now = 0;
let ids = 0;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-refusals-"));
  metadata = await openLmdb(directory);
  now = 1000 * MINUTE;
  log = open();
});

afterEach(async () => {
  await log.close();
  await metadata.close();
  await rm(directory, { recursive: true, force: true });
});

function open(store = metadata): RefusalLog {
  return createRefusalLog({ metadata: store, clock: () => now, newId: () => `id-${(ids += 1)}`, log: createLogger("silent") });
}

function refusal(over: Partial<AuditEvent> & { readonly what?: string; readonly who?: string } = {}): AuditEvent {
  const { what = "a", who = "mallory", ...rest } = over;
  return {
    id: `id-${(ids += 1)}`,
    time: now,
    type: "blob.read",
    actor: { principal: who, kind: "service", address: "192.0.2.1" },
    outcome: "deny",
    target: { kind: "blob", name: "models/x", digest: digestOf(what) },
    ...rest,
  };
}

async function written(): Promise<readonly AuditEvent[]> {
  const events: AuditEvent[] = [];
  for await (const { event } of streamAudit({ metadata }, {})) events.push(event);
  return events;
}

const total = (events: readonly AuditEvent[]): number => events.reduce((sum, { count }) => sum + (count ?? 1), 0);

test("the first refusal is written with the next flush", async () => {
  const event = refusal();
  log.note(event);
  await log.flush();
  expect(await written()).toEqual([{ ...event, count: 1 }]);
});

test("refusals of one actor, target and minute are two events at most, and every one is counted", async () => {
  for (let i = 0; i < 500; i += 1) {
    log.note(refusal());
    if (i % 50 === 0) await log.flush();
  }
  expect(await written()).toHaveLength(1);
  now += MINUTE;
  await log.flush();
  const events = await written();
  expect(events).toHaveLength(2);
  expect(total(events)).toBe(500);
  expect(new Set(events.map(({ id }) => id)).size).toBe(2);
});

test("other actors, addresses, targets, types and minutes are events of their own", async () => {
  log.note(refusal());
  log.note(refusal({ who: "eve" }));
  log.note(refusal({ actor: { principal: "mallory", kind: "service", address: "192.0.2.2" } }));
  log.note(refusal({ what: "b" }));
  log.note(refusal({ type: "manifest.read" }));
  now += MINUTE;
  log.note(refusal());
  await log.flush();
  expect(await written()).toHaveLength(6);
});

test("targets without a digest are told apart by kind, name and tag", async () => {
  for (const tag of ["v1", "v2", "v1"]) log.note(refusal({ target: { kind: "tag", name: "models/x", tag } }));
  await log.flush();
  expect((await written()).map(({ target, count }) => [target?.tag, count])).toEqual([
    ["v1", 2],
    ["v2", 1],
  ]);
});

test("an actor that tries target after target gets twenty events a minute and one for all the rest", async () => {
  for (let i = 0; i < 5_000; i += 1) log.note(refusal({ what: `guess ${i}` }));
  await log.flush();
  now += MINUTE;
  await log.flush();
  const events = await written();
  expect(events).toHaveLength(21);
  expect(events.filter(({ target }) => target === undefined)).toMatchObject([{ count: 4_980, actor: { principal: "mallory" } }]);
  expect(total(events)).toBe(5_000);
});

test("what does not fit in memory is one counter a type, and nothing is lost", async () => {
  for (let i = 0; i < 12_000; i += 1) log.note(refusal({ who: `actor-${i}` }));
  await log.close();
  const events = await written();
  expect(events).toHaveLength(10_001);
  expect(events.filter(({ actor }) => actor.kind === "system")).toMatchObject([{ count: 2_000, type: "blob.read", outcome: "deny" }]);
  expect(total(events)).toBe(12_000);
});

test("one flush writes fifty events at most, in one commit", async () => {
  let commits = 0;
  const counting: MetadataStore = {
    get: (key) => metadata.get(key),
    list: (range) => metadata.list(range),
    close: () => metadata.close(),
    commit: (change) => {
      commits += 1;
      return metadata.commit(change);
    },
  };
  const own = open(counting);
  for (let i = 0; i < 200; i += 1) own.note(refusal({ who: `actor-${i}` }));
  await own.flush();
  expect([commits, (await written()).length]).toEqual([1, 50]);
  await own.close();
  expect([commits, (await written()).length]).toEqual([2, 200]);
});

test("a commit that fails is tried again with what came since", async () => {
  let full = true;
  const failing: MetadataStore = {
    get: (key) => metadata.get(key),
    list: (range) => metadata.list(range),
    close: () => metadata.close(),
    commit: (change) => (full ? Promise.reject(new Error("disk full")) : metadata.commit(change)),
  };
  const own = open(failing);
  own.note(refusal());
  await own.flush();
  own.note(refusal());
  full = false;
  await own.close();
  expect((await written()).map(({ count }) => count)).toEqual([2]);
});

test("close gives up on a store that stays broken", async () => {
  const own = open({
    get: (key) => metadata.get(key),
    list: (range) => metadata.list(range),
    close: () => metadata.close(),
    commit: () => Promise.reject(new Error("gone")),
  });
  own.note(refusal());
  await own.close();
  expect(await written()).toEqual([]);
});

test("an event that the chain cannot hold is counted without its content and holds up no other", async () => {
  log.note(refusal({ reason: "\ud800" }));
  log.note(refusal({ reason: "x".repeat(2_000) }));
  log.note(refusal());
  await log.flush();
  const events = await written();
  expect(events.map(({ actor, count }) => [actor.principal, count])).toEqual([
    ["system", 2],
    ["mallory", 1],
  ]);
});

test("noting is cheap to repeat and never loses a count, whatever the order of notes, flushes and minutes", async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("note" as const), who: fc.constantFrom("a", "b"), what: fc.constantFrom("x", "y", "z") }),
    fc.record({ do: fc.constant("flush" as const) }),
    fc.record({ do: fc.constant("minute" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const before = total(await written());
      const own = open();
      for (const action of steps) {
        if (action.do === "note") own.note(refusal(action));
        else if (action.do === "flush") await own.flush();
        else now += MINUTE;
      }
      await own.close();
      expect(total(await written()) - before).toBe(steps.filter((action) => action.do === "note").length);
    }),
    { numRuns: 30 },
  );
});
