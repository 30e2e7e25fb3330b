import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { goJson, sortedMap } from "../../src/oci/go-json.ts";

describe("goJson", () => {
  test.each([
    [{ b: 1, a: 2 }, '{"b":1,"a":2}'],
    [{ a: "<script>&\u2028\u2029" }, '{"a":"\\u003cscript\\u003e\\u0026\\u2028\\u2029"}'],
    [{ "<k>": 1 }, '{"\\u003ck\\u003e":1}'],
    [[-0, 0, 1e21, 1e-7, 0.1, 9_007_199_254_740_992], "[-0,0,1e+21,1e-7,0.1,9007199254740992]"],
    [{ a: undefined, b: null, c: [], d: {} }, '{"b":null,"c":[],"d":{}}'],
    ["tab\t bell\u0007 back\b feed\f del\u007f é 😀", '"tab\\t bell\\u0007 back\\b feed\\f del\u007f é 😀"'],
  ])("writes %j as Go does", (value, text) => {
    expect(goJson(value)).toBe(text);
  });

  test("says the same as JSON.stringify, whatever is escaped", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
        const text = goJson(value);
        expect(text).not.toMatch(/[<>&\u2028\u2029]/);
        expect(JSON.stringify(JSON.parse(text))).toBe(JSON.stringify(value));
      }),
    );
  });
});

describe("sortedMap", () => {
  test("orders members by the bytes of their UTF-8, at every depth, numbers too", () => {
    // U+FF5E comes before U+10000 in bytes, and after its surrogates in UTF-16.
    const value = { "\u{10000}": 1, "\uff5e": 2, b: { z: 1, a: [{ y: 1, x: 2 }] }, a: 3, 10: 4, 9: 5 };
    expect(goJson(sortedMap(value))).toBe('{"10":4,"9":5,"a":3,"b":{"a":[{"x":2,"y":1}],"z":1},"\uff5e":2,"\u{10000}":1}');
  });

  test("keeps a member that is called __proto__", () => {
    expect(goJson(sortedMap(JSON.parse('{"b":1,"__proto__":{"x":1}}')))).toBe('{"__proto__":{"x":1},"b":1}');
  });
});
