import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { ByteCursor } from "../../src/formats/byte-cursor.ts";
import { memorySource } from "../../src/formats/byte-source.ts";
import { FormatError } from "../../src/formats/format-error.ts";
import { JsonReader, type JsonValue, isObject } from "../../src/formats/json-reader.ts";

// Large inputs take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

function readerOf(text: string | Uint8Array): JsonReader {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  return new JsonReader(new ByteCursor(memorySource(bytes), { start: 0, end: bytes.length, beyond: "the text ends too early" }));
}

function read(text: string | Uint8Array): JsonValue {
  const reader = readerOf(text);
  const value = reader.value();
  reader.end();
  return value;
}

/** As `JSON.parse` gives it. */
function plain(value: JsonValue): unknown {
  if (isObject(value)) return Object.fromEntries([...value].map(([key, member]) => [key, plain(member)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

test("whatever JSON.stringify writes is read as it was, with and without indentation", () => {
  const small = fc.jsonValue({ maxDepth: 5 }).filter((value) => JSON.stringify(value).length < 400);
  fc.assert(
    fc.property(small, fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent);
      if (!text.isWellFormed() || /\\ud[89a-f]/i.test(text)) return;
      expect(numbers(plain(read(text)))).toEqual(JSON.parse(text));
    }),
    { numRuns: 300 },
  );
});

test("texts are read whole wherever the window cuts them", () => {
  for (const character of ["a", "ä", "€", "𝄞"]) {
    for (let shift = 0; shift < 4; shift += 1) {
      const text = `${"x".repeat(shift)}${character.repeat(300_000)}`;
      expect(read(JSON.stringify(text)) === text).toBe(true);
    }
  }
});

test("a change of any byte gives a value or is refused, and what is read is what JSON.parse reads", () => {
  const whole = Buffer.from('{"a":{"dtype":"F32","shape":[1,-2.5e3,12345678901234567890],"x":[true,false,null,"\\u00e4\\n€"]}}');
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
      const changed = Buffer.from(whole);
      changed[at] = byte;
      const [ours, theirs] = [outcome(() => plain(read(changed))), outcome(() => parseStrictly(changed))];
      // Ours refuses more: keys that come twice, half of a pair.
      expect(ours === undefined ? theirs : numbers(ours)).toEqual(theirs);
    }),
    { numRuns: 2_000 },
  );
});

function outcome(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    if (error instanceof FormatError || error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}

function parseStrictly(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
}

/** With large integers as JSON.parse has them. */
function numbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(numbers);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, numbers(member)]));
}

test("integers stay exact, however large", () => {
  expect(read("9007199254740991")).toBe(9_007_199_254_740_991);
  expect(read("9007199254740993")).toBe(9_007_199_254_740_993n);
  expect(read("18446744073709551615")).toBe(2n ** 64n - 1n);
  expect(read("1e3")).toBe(1_000);
  expect(read("-0.5")).toBe(-0.5);
});

test.each(["", " ", "{", "[", "[1", "[1,]", '{"a"}', '{"a":}', '{"a":1,}', "01", "1.", "1e", "+1", ".5", "-", "nul", "True", "NaN", "1 2"])(
  "%j is refused",
  (text) => {
    expect(() => read(text)).toThrow(FormatError);
  },
);

test.each([
  '"',
  '"a',
  '"\\',
  '"\\u12',
  '"\\u12g4"',
  '"\\x"',
  '"\t"',
  '"\u0000"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  "{1:2}",
  "[1}",
  '{"a":1]',
])("the piece %j is refused", (text) => {
  expect(() => read(text)).toThrow(FormatError);
});

test("bytes that are no UTF-8 are refused: overlong, surrogates, cut off", () => {
  for (const bytes of [[0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0x80], [0xf5, 0x80, 0x80, 0x80]]) {
    expect(() => read(Buffer.concat([Buffer.from('"'), Buffer.from(bytes), Buffer.from('"')]))).toThrow("not UTF-8");
  }
});

test("a text that ends inside a character is refused, and does not go on for ever", () => {
  for (const character of ["ä", "€", "𝄞"]) {
    const bytes = Buffer.from(`"${character}`);
    for (let length = 1; length <= bytes.length; length += 1) expect(() => read(bytes.subarray(0, length))).toThrow(FormatError);
  }
});

test("members and items are bounded by who asks", () => {
  expect(() => [...readerOf('{"a":1}').members(0)]).toThrow("more than 0 members");
  expect(() => [...readerOf("[1]").items(0)]).toThrow("more than 0 items");
  expect([...readerOf("{}").members(0)]).toEqual([]);
});
