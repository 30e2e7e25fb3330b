import { expect, test } from "vitest";
import { limitIn } from "../../src/storage/address-space.ts";

test.each([
  ["Max address space         unlimited            unlimited            bytes", Infinity],
  ["Max cpu time  unlimited\nMax address space         42949672960          unlimited            bytes\n", 42_949_672_960],
  ["", Infinity],
])("the limit of address space is read from %j", (text, limit) => {
  expect(limitIn(text)).toBe(limit);
});
