import { expect, test } from "vitest";
import { collect, parseAnnotation, parseCount, parseDuration, parseSequence } from "../../src/cli/options.ts";

test.each([
  ["90s", 90],
  ["30m", 1_800],
  ["12h", 43_200],
  ["30d", 2_592_000],
])("a duration of %s is %i seconds", (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

test.each(["", "30", "d", "-1d", "0d", "1w", "1.5h", "30 d", "9999999999d"])("%j is no duration", (text) => {
  expect(() => parseDuration(text)).toThrow(/30d/);
});

test("an annotation is split at its first equals sign", () => {
  expect(parseAnnotation("a.b=c=d")).toEqual(["a.b", "c=d"]);
  expect(parseAnnotation("a=")).toEqual(["a", ""]);
  expect(() => parseAnnotation("=b")).toThrow(/key/);
  expect(() => parseAnnotation("ab")).toThrow(/key/);
});

test("counts are at least one, sequences at least zero", () => {
  expect([parseCount("1"), parseSequence("0")]).toEqual([1, 0]);
  for (const text of ["0", "-1", "1e3", "", "1.5"]) expect(() => parseCount(text)).toThrow(/number/);
  for (const text of ["-1", "", "x"]) expect(() => parseSequence(text)).toThrow(/number/);
});

test("an option that may be given often gathers all values in order", () => {
  const parse = collect(Number);
  expect(parse("2", parse("1", []))).toEqual([1, 2]);
});
