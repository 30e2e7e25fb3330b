import * as fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson } from "../../src/oci/canonical-json.ts";

const text = fc.string({ unit: "binary" });
const number = fc.oneof(fc.maxSafeInteger(), fc.double({ min: -1e15, max: 1e15, noNaN: true }));
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(text, number, fc.boolean(), fc.constant(null)),
    fc.array(tie("json"), { maxLength: 5 }),
    fc.dictionary(text, tie("json"), { maxKeys: 5 }),
  ),
}));

/** The same value with the members of every object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== "object" || value === null) return value;
  const reversed = Object.entries(value).toReversed();
  return Object.fromEntries(reversed.map(([name, member]) => [name, shuffled(member)]));
}

test("writes the examples of RFC 8785", () => {
  const numbers = {
    numbers: JSON.parse("[333333333.33333329, 4.50, 2e-3, 0.000000000000000000000000001]") as unknown,
    literals: [null, true, false],
  };
  expect(canonicalJson({ string: '\u20ac$\u000F\nA\'B"\\\\"/', ...numbers })).toBe(
    String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
  );
  const names = { "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7 };
  // The astral name comes before U+FB33, because its first code unit is D83D.
  expect(canonicalJson(names)).toBe('{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}');
});

test("writes -0 as 0, and the largest integers as they are", () => {
  expect(canonicalJson([-0, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER])).toBe("[0,9007199254740991,-9007199254740991]");
});

test("gives one text for a value, whatever the order of its members, and that text holds the value", () => {
  fc.assert(
    fc.property(json, (value) => {
      const canonical = canonicalJson(value);
      expect(canonicalJson(shuffled(value))).toBe(canonical);
      expect(canonicalJson(JSON.parse(canonical))).toBe(canonical);
      expect(JSON.parse(canonical)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test("leaves out members that are undefined, as JSON does", () => {
  expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}');
});

test.each([
  ["not a number", Number.NaN],
  ["an infinity", [Number.POSITIVE_INFINITY]],
  ["an integer that JSON readers round", { n: 2 ** 53 }],
  ["a lone surrogate", ["\ud800"]],
  ["a lone surrogate in a name", { "\udc00": 1 }],
  ["undefined", undefined],
  ["undefined in an array", [undefined]],
  ["a function", { f: () => 1 }],
  ["a big integer", 1n],
  ["a symbol", Symbol("s")],
  ["a date", new Date(0)],
  ["a map", new Map()],
  ["bytes", new Uint8Array(1)],
])("refuses %s", (_what, value) => {
  expect(() => canonicalJson(value)).toThrow(TypeError);
});

test("refuses what is nested too deeply, and so what holds itself", () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
  expect(canonicalJson(nested(64))).toContain("1");
  expect(() => canonicalJson(nested(65))).toThrow(TypeError);
  const own: unknown[] = [];
  own.push(own);
  expect(() => canonicalJson(own)).toThrow(TypeError);
});
