import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { linkSchema, verify } from "../../src/audit/chain.ts";
import type { AuditEvent } from "../../src/audit/event.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { Change, Key, KeyRange, MetadataStore, Put } from "../../src/storage/metadata-store.ts";
import { v7 } from "../support/uuid.ts";

/** What the suite needs of a driver: a fresh, empty place, which can be opened again and again. */
export interface MetadataPlace {
  open(): Promise<MetadataStore>;
  remove(): Promise<void>;
}

function event(over: Partial<AuditEvent> = {}): AuditEvent {
  return { id: v7(), time: Date.now(), type: "test.change", actor: { principal: "tester", kind: "service" }, outcome: "allow", ...over };
}

export function change(over: Partial<Change>): Change {
  return { expect: [], put: [], remove: [], audit: [event()], ...over };
}

function put(key: Key, value: unknown = 0): Partial<Change> {
  return { put: [{ key, value }] };
}

/** Every link of the audit chain, checked. */
export async function auditOf(store: MetadataStore): Promise<readonly AuditEvent[]> {
  const entries = await store.list(under(keys.audits(), Number.MAX_SAFE_INTEGER));
  const links = entries.map(({ value }) => linkSchema.parse(value));
  const head = await store.get(keys.auditHead());
  expect(verify(links)).toEqual({ intact: true, head: head === undefined ? undefined : linkSchema.parse(head.value) });
  return links.map((link) => link.event);
}

/** Orders keys as the port says: part by part, numbers before text, text by code points; a key before all that it begins. */
export function compareKeys(one: Key, other: Key): number {
  for (const [index, part] of one.entries()) {
    const against = other[index];
    if (against === undefined) return 1;
    const order = compareParts(part, against);
    if (order !== 0) return order;
  }
  return one.length - other.length;
}

function compareParts(one: string | number, other: string | number): number {
  if (typeof one === "number" && typeof other === "number") return one - other;
  if (typeof one === "string" && typeof other === "string") return Buffer.compare(Buffer.from(one), Buffer.from(other));
  return typeof one === "number" ? -1 : 1;
}

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 6 }),
  fc.constantFrom("", "\0", "\x01", "a\0", "a\x01", "a", "a\x02", "\uffff", "\u{10fffe}"),
);
const number = fc.oneof(fc.integer({ min: -3, max: 300 }), fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }));
export const anyKey: fc.Arbitrary<Key> = fc
  .tuple(fc.constantFrom("blob", "link", "tag-of"), fc.array(fc.oneof(text, number), { maxLength: 3 }))
  .map(([first, rest]) => [first, ...rest.map((part) => (part === 0 ? 0 : part))]);

const { json: anyValue } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    fc.oneof(fc.string({ unit: "binary" }), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom("\0", "\x000", "\0\0"),
    fc.array(tie("json"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("__proto__", "toJSON", "")), tie("json"), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

/** A value without the sign of its zeros, which a store may keep or, as JSON does, lose. */
function asJson(value: unknown): unknown {
  if (typeof value === "number") return value + 0;
  if (Array.isArray(value)) return value.map(asJson);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  const copy: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    Object.defineProperty(copy, name, { value: asJson(member), enumerable: true, configurable: true, writable: true });
  }
  return copy;
}

const UNENCODABLE: readonly (readonly [string, unknown])[] = [
  ["undefined", undefined],
  ["a function", { f: () => 1 }],
  ["a big integer", 1n],
  ["not a number", [Number.NaN]],
  ["an infinity", { a: Number.POSITIVE_INFINITY }],
  ["a date", new Date(0)],
  ["a map", { m: new Map() }],
  ["an object of a class", new URL("https://example.test")],
  ["a hole in an array", Array.from<unknown>({ length: 1 })],
  ["other bytes than Uint8Array", new Uint16Array(2)],
];

async function keysIn(store: MetadataStore, start: Key, end: Key, more: { limit?: number; reverse?: boolean } = {}): Promise<Key[]> {
  return keysOf(store, { start, end, limit: 100, ...more });
}

async function keysOf(store: MetadataStore, range: KeyRange): Promise<Key[]> {
  return (await store.list(range)).map(({ key }) => key);
}

function nameOf(key: Key): string {
  return JSON.stringify(key);
}

/** Keys that the model's changes are about: few, so that they meet often. */
const SLOTS = 8;
const slot = fc.nat(SLOTS - 1);

const anyStep = fc.record({
  puts: fc.array(fc.tuple(slot, anyValue), { maxLength: 4 }),
  removes: fc.array(slot, { maxLength: 3 }),
  expects: fc.array(fc.tuple(slot, fc.constantFrom("right", "stale", "absent")), { maxLength: 3 }),
  fault: fc.constantFrom("none", "none", "none", "value", "event"),
  reopens: fc.constantFrom(false, false, false, false, true),
});
type Step = typeof anyStep extends fc.Arbitrary<infer S> ? S : never;

/** What a store must hold: a map, and how often its changes were committed. */
class Model {
  readonly #slots = new Map<number, { readonly value: unknown; readonly version: number }>();
  /** A version that each slot had once, and has no more. */
  readonly #stale = new Map<number, number>();
  events: number;

  constructor(events: number) {
    this.events = events;
  }

  entries(): unknown[] {
    const inOrder = [...this.#slots].toSorted(([one], [other]) => one - other);
    return inOrder.map(([at, { value, version }]) => ({ key: ["blob", at], value, version }));
  }

  /** Makes the change of a step; what came of it, and what should. */
  async take(store: MetadataStore, step: Step): Promise<{ readonly outcome: string; readonly right: string }> {
    const outcome = await store
      .commit({
        expect: step.expects.map(([at, kind]) => ({ key: ["blob", at], version: this.#expected(at, kind) })),
        put: [...step.puts.map(([at, value]): Put => ({ key: ["blob", at], value })), ...(step.fault === "value" ? [BAD_PUT] : [])],
        remove: step.removes.map((at): Key => ["blob", at]),
        audit: [event(), event(step.fault === "event" ? BAD_EVENT : {})],
      })
      .catch(() => "failed");
    const right = this.#outcomeOf(step);
    if (outcome === "committed") await this.#make(store, step);
    return { outcome, right };
  }

  #expected(at: number, kind: string): number | "absent" {
    const now = this.#slots.get(at)?.version ?? "absent";
    if (kind === "absent") return "absent";
    return kind === "right" ? now : (this.#stale.get(at) ?? -1);
  }

  #outcomeOf({ expects, fault }: Step): string {
    if (fault === "value") return "failed";
    const holds = expects.every(([at, kind]) => this.#expected(at, kind) === (this.#slots.get(at)?.version ?? "absent"));
    if (!holds) return "conflict";
    return fault === "event" ? "failed" : "committed";
  }

  async #make(store: MetadataStore, { puts, removes }: Step): Promise<void> {
    this.events += 2;
    for (const at of [...puts.map(([written]) => written), ...removes]) {
      const version = this.#slots.get(at)?.version;
      if (version !== undefined) this.#stale.set(at, version);
    }
    for (const at of removes) this.#slots.delete(at);
    for (const [at, value] of puts) {
      const version = (await store.get(["blob", at]))?.version ?? -1;
      this.#slots.set(at, { value: asJson(value), version });
    }
  }
}

const BAD_PUT: Put = { key: ["blob", 0], value: 1n };
const BAD_EVENT = { reason: "\udfff" };

/** An addition to a record whose members are bounded. */
function add(a: number, b = 0): Partial<Change> {
  return { add: [{ key: ["usage", "n"], add: { a, b }, most: { a: 10, b: 3 } }] };
}

export function describeMetadataStore(name: string, makePlace: () => Promise<MetadataPlace>): void {
  describe(`metadata in ${name}`, () => {
    let place: MetadataPlace;
    let store: MetadataStore;

    beforeEach(async () => {
      place = await makePlace();
      store = await place.open();
    });

    afterEach(async () => {
      await store.close();
      await place.remove();
    });

    const versionOf = async (key: Key): Promise<number | undefined> => (await store.get(key))?.version;
    const commit = (over: Partial<Change>) => store.commit(change(over));

    /** Everything that there is, but for what the driver keeps for itself. */
    const contents = async () => {
      const all = await store.list({ start: ["a"], end: ["\u{10ffff}"], limit: 10_000 });
      return all.map(({ key, value }) => ({ key, value })).filter(({ key }) => key[0] !== "change");
    };

    describe("get", () => {
      test("has nothing for a key that was never put", async () => {
        expect(await store.get(["blob", "a"])).toBeUndefined();
      });

      test("gives back every value as it was put, of any size, under every key", async () => {
        await fc.assert(
          fc.asyncProperty(anyKey, anyValue, async (key, value) => {
            expect(await commit(put(key, value))).toBe("committed");
            const found = await store.get(key);
            expect({ ...found, value: asJson(found?.value) }).toEqual({ key, value: asJson(value), version: await versionOf(key) });
          }),
          { numRuns: 300 },
        );
      });

      test.each([100_000, 4 * 1024 * 1024])("gives back %i bytes, alone and within a record", async (size) => {
        const bytes = new Uint8Array(size).map((_byte, index) => index % 251);
        await commit({
          put: [
            { key: ["manifest-content", "a"], value: bytes },
            { key: ["manifest-content", "b"], value: { of: [bytes], text: "ü".repeat(size) } },
          ],
        });
        await store.get(["manifest-content", "b"]);
        const alone = await store.get(["manifest-content", "a"]);
        expect(alone?.value instanceof Uint8Array && Buffer.compare(alone.value, bytes)).toBe(0);
        const within = (await store.get(["manifest-content", "b"]))?.value as { of: [Uint8Array]; text: string };
        expect(Buffer.compare(within.of[0], bytes)).toBe(0);
        expect(within.text).toBe("ü".repeat(size));
      });

      test("shares no memory with what was put or what was given out before", async () => {
        const bytes = Uint8Array.of(1, 2, 3);
        await commit(put(["manifest-content", "a"], bytes));
        bytes[0] = 9;
        const first = (await store.get(["manifest-content", "a"]))?.value as Uint8Array;
        await commit(put(["manifest-content", "b"], Uint8Array.of(7, 7, 7)));
        await store.get(["manifest-content", "b"]);
        expect([...first]).toEqual([1, 2, 3]);
      });

      test("leaves out members that are undefined", async () => {
        await commit(put(["blob", "a"], { a: undefined, b: 1 }));
        expect((await store.get(["blob", "a"]))?.value).toEqual({ b: 1 });
      });
    });

    describe("versions", () => {
      test("are one for all that a change puts, and higher with every change", async () => {
        await commit({
          put: [
            { key: ["blob", "a"], value: 1 },
            { key: ["blob", "b"], value: 1 },
          ],
        });
        const first = await versionOf(["blob", "a"]);
        expect(await versionOf(["blob", "b"])).toBe(first);
        await commit(put(["blob", "a"], 2));
        expect(await versionOf(["blob", "a"])).toBeGreaterThan(first ?? Number.NaN);
        expect(await versionOf(["blob", "b"])).toBe(first);
      });

      test("never repeat, not even after a removal, nor when the store was closed in between", async () => {
        const seen = new Set<number | undefined>();
        for (let round = 0; round < 6; round += 1) {
          await commit(put(["blob", "a"], 1));
          seen.add(await versionOf(["blob", "a"]));
          await commit({ remove: [["blob", "a"]] });
          await store.close();
          store = await place.open();
        }
        expect(seen.size).toBe(6);
      });

      test("of a change that was read before the key was removed and put again do not pass", async () => {
        await commit(put(["blob", "a"], 1));
        const version = (await versionOf(["blob", "a"])) ?? Number.NaN;
        await commit({ remove: [["blob", "a"]] });
        await commit(put(["blob", "a"], 1));
        expect(await commit({ ...put(["blob", "a"], 2), expect: [{ key: ["blob", "a"], version }] })).toBe("conflict");
      });
    });

    describe("commit", () => {
      test("passes when every expectation holds", async () => {
        await commit(put(["blob", "a"], 1));
        const version = (await versionOf(["blob", "a"])) ?? Number.NaN;
        const expectations = [
          { key: ["blob", "a"], version },
          { key: ["blob", "b"], version: "absent" },
        ] as const;
        expect(await commit({ ...put(["blob", "b"], 2), expect: expectations })).toBe("committed");
        expect((await store.get(["blob", "b"]))?.value).toBe(2);
      });

      test.each([
        ["another version", { key: ["blob", "a"], version: 999_999 }],
        ["a key that is there and should not be", { key: ["blob", "a"], version: "absent" }],
        ["a key that is not there and should be", { key: ["blob", "z"], version: 1 }],
      ] as const)("changes nothing for %s, whichever expectation fails", async (_what, failing) => {
        await commit(put(["blob", "a"], 1));
        const before = [await contents(), await auditOf(store)];
        const holding = { key: ["blob", "y"], version: "absent" } as const;
        for (const expectations of [
          [failing, holding],
          [holding, failing],
        ]) {
          const all = { put: [{ key: ["blob", "n"], value: 1 }], remove: [["blob", "a"]] } as const;
          expect(await commit({ ...all, expect: expectations })).toBe("conflict");
        }
        expect([await contents(), await auditOf(store)]).toEqual(before);
      });

      test("removes what it names, and a key that does not exist is fine", async () => {
        await commit(put(["blob", "a"], 1));
        expect(
          await commit({
            remove: [
              ["blob", "a"],
              ["blob", "b"],
            ],
          }),
        ).toBe("committed");
        expect(await store.get(["blob", "a"])).toBeUndefined();
      });

      test("keeps what it both removes and puts, as it puts it", async () => {
        await commit(put(["blob", "a"], 1));
        const both: readonly Key[] = [
          ["blob", "a"],
          ["blob", "b"],
        ];
        expect(await commit({ put: both.map((key) => ({ key, value: 2 })), remove: both })).toBe("committed");
        for (const key of both) expect(await store.get(key)).toMatchObject({ value: 2 });
      });

      test("puts one link into the audit chain for each event, in their order, and none for a conflict", async () => {
        const events = [event({ reason: "first" }), event({ reason: "second" }), event({ reason: "third" })];
        await commit({ audit: events.slice(0, 2) });
        await commit({ audit: [event()], expect: [{ key: ["blob", "a"], version: 1 }] });
        await commit({ audit: events.slice(2) });
        expect((await auditOf(store)).map(({ reason }) => reason)).toEqual(["first", "second", "third"]);
      });

      test("does not let time go backwards in the chain", async () => {
        await commit({ audit: [event({ time: 5000 })] });
        await commit({ audit: [event({ time: 4000 })] });
        expect((await auditOf(store)).map(({ time }) => time)).toEqual([5000, 5000]);
      });

      test.each(UNENCODABLE)("leaves nothing behind when a value is %s", async (_what, value) => {
        const all: Put[] = [
          { key: ["blob", "a"], value: 1 },
          { key: ["blob", "b"], value },
        ];
        await expect(commit({ put: all })).rejects.toThrow(TypeError);
        expect(await contents()).toEqual([]);
      });

      test.each([
        ["has no canonical form", { reason: "\ud800" }],
        ["cannot be encoded", { after: { size: Number.NaN } }],
      ])("leaves nothing behind when the last of its events %s", async (_what, wrong) => {
        await expect(commit({ ...put(["blob", "a"], 1), audit: [event(), event(wrong)] })).rejects.toThrow(TypeError);
        expect(await contents()).toEqual([]);
        await commit(put(["blob", "b"], 1));
        expect(await auditOf(store)).toHaveLength(1);
      });

      test("takes no change down with another one that fails beside it", async () => {
        const outcomes = await Promise.allSettled([
          commit(put(["blob", "a"], 1)),
          commit({ ...put(["blob", "b"], 1), audit: [event({ reason: "\ud800" })] }),
          commit(put(["blob", "c"], 1)),
        ]);
        expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
        expect((await contents()).map(({ key }) => key[1]).filter((part) => typeof part === "string")).toEqual(["a", "c"]);
        expect(await auditOf(store)).toHaveLength(2);
      });

      test.each([
        ["a lone surrogate", ["blob", "\ud800"]],
        ["not a number", ["blob", Number.NaN]],
        ["more text than any key needs", ["blob", "x".repeat(4096)]],
      ] as const)("refuses a key with %s", async (_what, key) => {
        await expect(commit(put(key, 1))).rejects.toThrow(/key/);
        expect(await contents()).toEqual([]);
      });

      test("takes the longest keys of the registry", async () => {
        const [repository, digest] = ["r".repeat(255), `sha512:${"f".repeat(128)}`];
        const key = ["referrer", repository, digest, 3, digest] as const;
        await commit(put(key, 1));
        expect((await store.get(key))?.key).toEqual(key);
      });

      test("needs an event unless every key is operational", async () => {
        const without = { audit: [] };
        await expect(commit({ ...put(["blob", "a"], 1), ...without })).rejects.toThrow(TypeError);
        await expect(commit({ remove: [["blob", "a"]], ...without })).rejects.toThrow(TypeError);
        const mixed = [
          { key: keys.lease("j"), value: 1 },
          { key: ["blob", "a"], value: 1 },
        ] as const;
        await expect(commit({ put: mixed, ...without })).rejects.toThrow(TypeError);
        expect(await contents()).toEqual([]);
        expect(await commit({ ...put(keys.lease("j"), 1), remove: [keys.job("j")], ...without })).toBe("committed");
        expect((await store.get(keys.lease("j")))?.value).toBe(1);
        expect(await auditOf(store)).toEqual([]);
      });

      test.each([["change"], ["audit-head"], ["audit", 1]] as const)("does not let a change write the driver's own %s", async (...key) => {
        await expect(commit(put(key, 1))).rejects.toThrow(TypeError);
        await expect(commit({ remove: [key] })).rejects.toThrow(TypeError);
      });

      test("loses none of many changes that all build on one record", async () => {
        const increments = Array.from({ length: 40 }, async () => {
          for (;;) {
            const found = await store.get(["blob", "n"]);
            const expectation = { key: ["blob", "n"], version: found?.version ?? "absent" } as const;
            const next = put(["blob", "n"], Number(found?.value ?? 0) + 1);
            if ((await commit({ ...next, expect: [expectation] })) === "committed") return;
          }
        });
        await Promise.all(increments);
        expect((await store.get(["blob", "n"]))?.value).toBe(40);
        expect(await auditOf(store)).toHaveLength(40);
      });

      test("adds up what many changes add to one record, with no conflict, and keeps its other members", async () => {
        const key: Key = ["usage", "n"];
        await commit(put(key, { v: 1, a: 1, c: 5 }));
        const adding = Array.from({ length: 40 }, (_, at) => commit({ add: [{ key, add: { a: at % 2 === 0 ? 2 : -1, b: 1 }, most: {} }] }));
        expect(new Set(await Promise.all(adding))).toEqual(new Set(["committed"]));
        expect((await store.get(key))?.value).toEqual({ v: 1, a: 21, b: 40, c: 5 });
      });

      test("lets no member grow beyond its most, and none of a change through whose addition would", async () => {
        const outcomes = await Promise.all(Array.from({ length: 20 }, () => commit({ ...add(1), ...put(["blob", "a"], 1) })));
        expect(outcomes.filter((outcome) => outcome === "committed")).toHaveLength(10);
        expect(await commit({ ...add(1), ...put(["blob", "b"], 1) })).toBe("conflict");
        expect(await store.get(["blob", "b"])).toBeUndefined();
        expect(await commit(add(-4, 4))).toBe("conflict");
        expect(await commit(add(-4, 3))).toBe("committed");
        expect((await store.get(["usage", "n"]))?.value).toEqual({ v: 1, a: 6, b: 3 });
      });

      test("lets exactly one of many put a key that must be absent", async () => {
        const tries = Array.from({ length: 20 }, (_empty, index) =>
          commit({ ...put(["blob", "a"], index), expect: [{ key: ["blob", "a"], version: "absent" }] }),
        );
        expect((await Promise.all(tries)).filter((outcome) => outcome === "committed")).toHaveLength(1);
      });

      test("is seen by whoever opens the store later", async () => {
        await commit(put(["blob", "a"], { n: 1 }));
        const before = await store.get(["blob", "a"]);
        await store.close();
        store = await place.open();
        expect(await store.get(["blob", "a"])).toEqual(before);
        expect(await auditOf(store)).toHaveLength(1);
      });
    });

    describe("list", () => {
      const spread: readonly Key[] = [["m"], ["m", ""], ["m", 1], ["m", "b"], ["m", "b", "c"], ["mb"], ["n"]];

      beforeEach(async () => {
        await commit({ put: spread.map((key) => ({ key, value: key.join("/") })) });
      });

      test("gives whole entries in the order of their keys, the start with them and the end not", async () => {
        expect(await keysIn(store, ["m"], ["n"])).toEqual([["m"], ["m", 1], ["m", ""], ["m", "b"], ["m", "b", "c"], ["mb"]]);
        const [entry] = await store.list({ start: ["m", "b"], end: ["mb"], limit: 1 });
        expect(entry).toEqual(await store.get(["m", "b"]));
      });

      test("gives rows of any sizes, none of which another one, or a later read, shines through", async () => {
        const values = [3, 40_000, 1, 5_000_000, 2, 70_000].flatMap((size, at) => [
          new Uint8Array(size).fill(at),
          { text: "ü".repeat(size) },
        ]);
        await commit({ put: values.map((value, at) => ({ key: ["blob", at], value })) });
        const rows = await store.list({ start: ["blob"], end: ["blob", "a"], limit: 100 });
        await store.list({ start: ["m"], end: ["n"], limit: 100 });
        expect(rows.map(({ key }) => key)).toEqual(values.map((_value, at) => ["blob", at]));
        expect(rows.map(({ value }, at) => isDeepStrictEqual(value, values[at]))).toEqual(values.map(() => true));
      });

      test("answers from the end in reverse, over the same range", async () => {
        const all: readonly Key[] = [
          ["m", 1],
          ["m", ""],
          ["m", "b"],
          ["m", "b", "c"],
        ];
        expect(await keysIn(store, ["m", 1], ["mb"], { reverse: true })).toEqual(all.toReversed());
        expect(await keysIn(store, ["m"], ["n"], { reverse: true, limit: 1 })).toEqual([["mb"]]);
      });

      test("gives no more than the limit, and nothing for an empty range", async () => {
        expect(await keysIn(store, ["m"], ["o"], { limit: 2 })).toEqual([["m"], ["m", 1]]);
        expect(await keysIn(store, ["m"], ["o"], { limit: 0 })).toEqual([]);
        expect(await keysIn(store, ["m"], ["m"])).toEqual([]);
        expect(await keysIn(store, ["n"], ["m"])).toEqual([]);
        expect(await keysIn(store, ["n"], ["m"], { reverse: true })).toEqual([]);
      });

      test("pages through what is under a prefix without a gap or a repetition", async () => {
        const all: Key[] = Array.from({ length: 25 }, (_empty, index) => ["link", "r", `d${index}`]);
        await commit({ put: [...all, ["link", "r2", "d"] as Key, ["link", "q", "d"] as Key].map((key) => ({ key, value: 1 })) });
        const seen: Key[] = [];
        for (let after: string[] = []; ; after = [String(seen.at(-1)?.[2])]) {
          const page = await store.list(under(["link", "r"], 4, after));
          seen.push(...page.map(({ key }) => key));
          if (page.length < 4) break;
        }
        expect(seen).toEqual(all.toSorted(compareKeys));
      });
    });

    describe("as a whole", () => {
      const someKeys = fc.array(anyKey, { minLength: 1, maxLength: 8 });

      test("lists any range of any keys in their order, both ways", async () => {
        await fc.assert(
          fc.asyncProperty(someKeys, anyKey, anyKey, fc.integer({ min: 1, max: 9 }), async (all, start, end, limit) => {
            await commit({ remove: (await contents()).map(({ key }) => key).filter(([first]) => !first.startsWith("audit")) });
            await commit({ put: all.map((key) => ({ key, value: 1 })) });
            const inRange = [...new Map(all.map((key) => [nameOf(key), key])).values()]
              .filter((key) => compareKeys(key, start) >= 0 && compareKeys(key, end) < 0)
              .toSorted(compareKeys);
            const listed = async (reverse: boolean) =>
              (await keysOf(store, { start, end, limit: 100, reverse })).filter(([first]) => first !== "change").slice(0, limit);
            expect(await listed(false)).toEqual(inRange.slice(0, limit));
            expect(await listed(true)).toEqual(inRange.toReversed().slice(0, limit));
          }),
          { numRuns: 150 },
        );
      });

      test("behaves as a map whose changes are made whole or not at all", async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(anyStep, { maxLength: 12 }), async (steps) => {
            await commit({ remove: Array.from({ length: SLOTS }, (_empty, at): Key => ["blob", at]) });
            const model = new Model((await auditOf(store)).length);
            for (const step of steps) {
              const { outcome, right } = await model.take(store, step);
              expect(outcome).toBe(right);
              if (step.reopens) {
                await store.close();
                store = await place.open();
              }
              const found = await store.list(under(["blob"], 100));
              expect(found.map((entry) => ({ ...entry, value: asJson(entry.value) }))).toEqual(model.entries());
            }
            expect(await auditOf(store)).toHaveLength(model.events);
          }),
          { numRuns: 40 },
        );
      }, 60_000);
    });
  });
}
