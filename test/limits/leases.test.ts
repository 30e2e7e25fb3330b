import { expect, test } from "vitest";
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

test("there are at most so many leases: the oldest one goes", () => {
  const leases = new Leases(2);
  for (const key of ["a", "b", "c"]) leases.keep(key, GRANTED, 0);
  expect(["a", "b", "c"].map((key) => leases.take(key, 0)?.units)).toEqual([undefined, 1, 1]);
});
