import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openLmdb } from "../../src/storage/lmdb.ts";
import type { Change, Key, KeyRange, MetadataStore } from "../../src/storage/metadata-store.ts";
import { StaleChangeError, withPendingChange } from "../../src/storage/pending-change.ts";
import { auditOf, change, compareKeys } from "./metadata-store.suite.ts";

let folder: string;
let store: MetadataStore;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-pending-"));
  store = await openLmdb(folder);
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

/** Few keys, so that changes meet. */
const someKey: fc.Arbitrary<Key> = fc
  .tuple(fc.constant("link"), fc.constantFrom("a", "b", "c", 1, 2))
  .map(([first, rest]) => [first, rest]);
const someChange: fc.Arbitrary<Pick<Change, "put" | "remove">> = fc.record({
  put: fc.array(fc.record({ key: someKey, value: fc.nat() }), { maxLength: 3 }),
  remove: fc.array(someKey, { maxLength: 2 }),
});
const someRange: fc.Arbitrary<KeyRange> = fc
  .tuple(someKey, someKey, fc.integer({ min: 1, max: 4 }), fc.boolean())
  .map(([one, other, limit, reverse]) => {
    const [start, end] = compareKeys(one, other) <= 0 ? [one, other] : [other, one];
    return { start, end, limit, reverse };
  });

async function contents(of: MetadataStore): Promise<readonly unknown[]> {
  const entries = await of.list({ start: ["link"], end: ["link", "\u{10ffff}"], limit: 100 });
  return entries.map(({ key, value }) => [key, value]);
}

describe("a store with a pending change", () => {
  test("reads as the store will after the change, and commits both as one", async () => {
    await fc.assert(
      fc.asyncProperty(someChange, someChange, someChange, fc.array(someRange, { maxLength: 4 }), async (before, pending, then, ranges) => {
        const keysNow = (await store.list({ start: ["link"], end: ["link", "\u{10ffff}"], limit: 100 })).map(({ key }) => key);
        await store.commit(change({ remove: keysNow }));
        await store.commit(change(before));
        const over = withPendingChange(store, change(pending));
        const seen: unknown[] = [await contents(over)];
        for (const range of ranges) seen.push((await over.list(range)).map(({ key, value }) => [key, value]));
        const untouched = await contents(store);
        expect(await over.commit(change(then))).toBe("committed");
        const joined = await contents(store);
        expect(await contents(over)).toEqual(joined);

        // The same, one after the other.
        const keysThen = (await store.list({ start: ["link"], end: ["link", "\u{10ffff}"], limit: 100 })).map(({ key }) => key);
        await store.commit(change({ remove: keysThen }));
        await store.commit(change(before));
        expect(await contents(store)).toEqual(untouched);
        await store.commit(change(pending));
        const expected: unknown[] = [await contents(store)];
        for (const range of ranges) expected.push((await store.list(range)).map(({ key, value }) => [key, value]));
        expect(seen).toEqual(expected);
        await store.commit(change(then));
        expect(joined).toEqual(await contents(store));
      }),
      { numRuns: 60 },
    );
  });

  test("commits the events of both, in their order", async () => {
    const [first, second] = [change({}), change({})];
    await withPendingChange(store, first).commit(second);
    expect((await auditOf(store)).map(({ id }) => id)).toEqual([...first.audit, ...second.audit].map(({ id }) => id));
  });

  test("conflicts when what was decided over it changed, and is stale when what it rests on did", async () => {
    const [mine, other]: Key[] = [
      ["link", "mine"],
      ["link", "other"],
    ];
    if (mine === undefined || other === undefined) throw new Error("two keys");
    const over = withPendingChange(store, change({ expect: [{ key: mine, version: "absent" }], put: [{ key: mine, value: 1 }] }));
    await store.commit(change({ put: [{ key: other, value: 2 }] }));
    expect(await over.commit(change({ expect: [{ key: other, version: "absent" }] }))).toBe("conflict");
    expect(await over.commit(change({ expect: [{ key: mine, version: "absent" }] }))).toBe("conflict");
    await store.commit(change({ put: [{ key: mine, value: 3 }] }));
    await expect(over.commit(change({}))).rejects.toBeInstanceOf(StaleChangeError);
    expect((await store.get(mine))?.value).toBe(3);
  });

  test("holds a decision to what the pending change puts", async () => {
    const key: Key = ["link", "mine"];
    const over = withPendingChange(store, change({ expect: [{ key, version: "absent" }], put: [{ key, value: 1 }] }));
    const found = await over.get(key);
    expect(found?.value).toBe(1);
    expect(await over.commit(change({ expect: [{ key, version: found?.version ?? 0 }], put: [{ key, value: 2 }] }))).toBe("committed");
    expect((await store.get(key))?.value).toBe(2);
    expect((await over.get(key))?.version).toBeGreaterThan(0);
  });
});
