import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Buckets, type Charged } from "../../src/limits/buckets.ts";
import { ADDRESS_FACTOR, DEFAULT_RATES, type Rates, sharedRates } from "../../src/limits/classes.ts";

const TIGHT: Rates = { ...DEFAULT_RATES, mutate: { perSecond: 2, burst: 5 } };

const asked = fc.record({
  gap: fc.integer({ min: 0, max: 300 }),
  address: fc.constantFrom("10.0.0.1", "10.0.0.2"),
  identity: fc.constantFrom("a", "b", "c"),
  credential: fc.constantFrom("k", "l", undefined),
  namespace: fc.constantFrom("team", "models", undefined),
  want: fc.integer({ min: 1, max: 16 }),
});

test("a unit is taken from every bucket that it is charged to, so that none lets more through than its rate, whoever asks from wherever", () => {
  const check = fc.check(
    fc.property(fc.array(asked, { maxLength: 120 }), (asks) => {
      const buckets = new Buckets(TIGHT, 2);
      const { perSecond, burst } = TIGHT.mutate;
      let now = 0;
      const taken = new Map<string, number>();
      for (const { gap, want, ...charged } of asks) {
        now += gap;
        const { units, wait } = buckets.take("mutate", charged, want, now);
        if ((units === 0) !== wait > 0 || units > want) return false;
        const { address, identity, credential, namespace } = charged;
        for (const key of [`address ${address}`, `identity ${identity}`, `credential ${credential}`, `namespace ${namespace}`]) {
          taken.set(key, (taken.get(key) ?? 0) + units);
        }
      }
      const most = burst + (now * perSecond) / 1000 + 1e-6;
      const factors = new Map([
        ["address", ADDRESS_FACTOR],
        ["namespace", 2],
      ]);
      return [...taken].every(
        ([key, units]) => key.endsWith(" undefined") || units <= most * (factors.get(key.split(" ", 1)[0] ?? "") ?? 1),
      );
    }),
  );
  expect(check).toMatchObject({ failed: false });
});

test("who is refused by one bucket is charged by none", () => {
  const buckets = new Buckets({ ...DEFAULT_RATES, mutate: { perSecond: 0.001, burst: 2 } });
  const take = (charged: Charged): number => buckets.take("mutate", charged, 1, 0).units;
  const used = { address: "x", identity: "a", credential: "k" };
  expect([take(used), take(used), take(used), take({ ...used, identity: "b" })]).toEqual([1, 1, 0, 0]);
  expect([take({ address: "x", identity: "b" }), take({ address: "x", identity: "b" }), take({ address: "x", identity: "b" })]).toEqual([
    1, 1, 0,
  ]);
});

test("a namespace that is used up is so for all who use it, and takes nothing from other namespaces", () => {
  const buckets = new Buckets({ ...DEFAULT_RATES, "read-blob": { perSecond: 0.001, burst: 2 } }, 3);
  const take = (identity: string, namespace: string): number =>
    buckets.take("read-blob", { address: identity, identity, namespace }, 2, 0).units;
  expect(["a", "b", "c", "d"].map((identity) => take(identity, "team"))).toEqual([2, 2, 2, 0]);
  expect(take("d", "models")).toBe(2);
});

test("what is charged to a stranger's address is not charged to those who come from there with a credential", () => {
  const buckets = new Buckets({ ...DEFAULT_RATES, unauthenticated: { perSecond: 0.001, burst: 1 } });
  expect([1, 2].map(() => buckets.take("unauthenticated", { address: "x" }, 1, 0).units)).toEqual([1, 0]);
  expect(buckets.take("read-meta", { address: "x", identity: "a" }, 1, 0).units).toBe(1);
});

test.each([1, 2, 16])("the shares of %d processes are together no more than the whole, where a burst can be shared at all", (processes) => {
  const shares = sharedRates(DEFAULT_RATES, processes);
  for (const [limited, { perSecond, burst }] of Object.entries(shares)) {
    const whole = Object.entries(DEFAULT_RATES).find(([name]) => name === limited)?.[1];
    expect(perSecond * processes).toBeCloseTo(whole?.perSecond ?? 0);
    expect(burst * processes).toBeLessThanOrEqual(whole?.burst ?? 0);
  }
});
