import * as fc from "fast-check";
import { expect, test } from "vitest";
import { decodeRecord, encodeRecord } from "../../src/storage/record-encoding.ts";

test("a value comes back as it was put, to the sign of a zero and the name of a member", () => {
  const value = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom<unknown>(-0, [0, -0], { a: { "<&>\u2028": -0 } }));
  fc.assert(
    fc.property(value, (each) => {
      const back = decodeRecord(encodeRecord(each));
      // Strictly: toEqual tells -0 from 0.
      expect(back).toEqual(each);
    }),
  );
  expect(Object.keys(decodeRecord(encodeRecord(JSON.parse('{"__proto__":-0,"b":1}'))) as object)).toEqual(["__proto__", "b"]);
});

test.each([[undefined], [Infinity], [NaN], [1n], [[undefined]], [{ a: () => 1 }], [new Map()]])(
  "what JSON does not hold is refused: row %#",
  (value) => {
    expect(() => encodeRecord(value)).toThrow(TypeError);
  },
);

test("bytes at any depth come back beside text that looks like what stands for them", () => {
  const value = { bytes: new Uint8Array([1, 2]), list: ["\u00000", new Uint8Array()], text: "\u0000x" };
  expect(decodeRecord(encodeRecord(value))).toEqual(value);
});
