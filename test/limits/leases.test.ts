import { expect, test } from "vitest";
import { leaseOf } from "../../src/limits/classes.ts";
import { Leases } from "../../src/limits/leases.ts";

const GRANTED = { units: 16, wait: 0, left: 100, fullIn: 50 };
const REFUSED = { units: 0, wait: 200, left: 0, fullIn: 900 };

test("of units that were taken in advance each request has one, and the next one asks", () => {
  const leases = new Leases();
  expect(leases.take("a", 0)).toBeUndefined();
  expect(leases.keep("a", GRANTED, 0)).toEqual({ units: 1, wait: 0, left: 115, fullIn: 50 });
  const left = Array.from({ length: 15 }, () => leases.take("a", 1)?.left);
  expect(left).toEqual(Array.from({ length: 15 }, (_, at) => 114 - at));
  expect(leases.take("a", 1)).toBeUndefined();
  expect(leases.take("b", 1)).toBeUndefined();
});

test("a refusal holds until its time has passed, and nobody has to ask again before", () => {
  const leases = new Leases();
  expect(leases.keep("a", REFUSED, 1000)).toMatchObject({ units: 0, wait: 200 });
  expect(leases.take("a", 1150)).toMatchObject({ units: 0, wait: 50 });
  expect(leases.take("a", 1200)).toBeUndefined();
});

test("two answers to one caller add up, and a refusal takes nothing away that was granted", () => {
  const leases = new Leases();
  leases.keep("a", GRANTED, 0);
  leases.keep("a", GRANTED, 0);
  leases.keep("a", REFUSED, 0);
  const units = Array.from({ length: 31 }, () => leases.take("a", 1)?.units);
  expect(units).toEqual([...Array<number>(30).fill(1), 0]);
});

test("one unit is wanted at first, then twice as many as came last, up to the most; after a refusal it begins anew", () => {
  const leases = new Leases();
  const granted = (units: number): number => {
    leases.keep("a", { ...GRANTED, units, wait: units > 0 ? 0 : 1 }, 0);
    return leases.wanted("a", 16);
  };
  expect(leases.wanted("a", 16)).toBe(1);
  expect([1, 2, 4, 8, 16, 16, 3, 0].map(granted)).toEqual([2, 4, 8, 16, 16, 16, 6, 1]);
  expect(leases.wanted("b", 16)).toBe(1);
});

test("what is left is told right from the first unit on, whether it came alone or with others", () => {
  const leases = new Leases();
  let inBucket = 40;
  const left: (number | undefined)[] = [];
  for (let asked = 0; asked < 20; asked += 1) {
    const known = leases.take("a", 0);
    if (known === undefined) {
      const units = leases.wanted("a", 16);
      inBucket -= units;
      left.push(leases.keep("a", { units, wait: 0, left: inBucket, fullIn: 0 }, 0).left);
    } else left.push(known.left);
  }
  expect(left).toEqual(Array.from({ length: 20 }, (_, at) => 39 - at));
});

test("there are at most so many leases: the oldest one goes", () => {
  const leases = new Leases(2);
  for (const key of ["a", "b", "c"]) leases.keep(key, GRANTED, 0);
  expect(["a", "b", "c"].map((key) => leases.take(key, 0)?.units)).toEqual([undefined, 1, 1]);
});

test.each([
  [50_000, 64],
  [2048, 64],
  [500, 15],
  [63, 1],
  [1, 1],
])("of %d units at once a process takes %d at a time at most", (burst, most) => {
  expect(leaseOf({ perSecond: 1, burst })).toBe(most);
});
