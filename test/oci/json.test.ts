import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JsonError, parseJson } from "../../src/oci/json.ts";
import { errorOf } from "../support/error-of.ts";

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Text of an object that has one key twice, somewhere. */
const withRepeatedKey = fc
  .tuple(fc.string(), fc.jsonValue(), fc.jsonValue())
  .map(
    ([key, one, two]) => `[{"x":[],${JSON.stringify(key)}:${JSON.stringify(one)},"y":{},${JSON.stringify(key)}:${JSON.stringify(two)}}]`,
  );

describe("parseJson", () => {
  test("reads what JSON.parse reads, from text and from bytes", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.constantFrom(undefined, 1, "\t"), (json, indent) => {
        const text = JSON.stringify(JSON.parse(json), undefined, indent);
        expect(parseJson(text)).toEqual(JSON.parse(text));
        expect(parseJson(utf8(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  test("refuses what JSON.parse refuses, whatever was done to the text", () => {
    const damaged = fc
      .tuple(fc.json({ maxDepth: 4 }), fc.nat(), fc.nat(3), fc.constantFrom("", '"', "\\", ":", "{", "}", "[", "]", ",", "\u0000", "1"))
      .map(([json, at, cut, put]) => {
        const start = at % (json.length + 1);
        return json.slice(0, start) + put + json.slice(start + cut);
      });
    fc.assert(
      fc.property(damaged, (text) => {
        const mine = errorOf(() => parseJson(text));
        if (mine instanceof JsonError && /twice|surrogate/.test(mine.message)) return;
        // Damage may have made two keys equal, or cut a pair; nothing else may be refused that JSON.parse reads.
        expect(mine === undefined).toBe(errorOf((): unknown => JSON.parse(text)) === undefined);
      }),
      { numRuns: 2000 },
    );
  });

  test("never throws anything but a JsonError, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const error = errorOf(() => parseJson(bytes));
        expect(error === undefined || error instanceof JsonError).toBe(true);
      }),
    );
  });

  test("refuses an object with the same key twice", () => {
    fc.assert(
      fc.property(withRepeatedKey, (text) => {
        expect(() => parseJson(text)).toThrow("the same key twice");
      }),
    );
  });

  test.each([
    ["escaped differently", '{"a":1,"\\u0061":2}'],
    ["deep inside", '[[{"x":{"a":1,"b":{},"a":1}}]]'],
    ["that is empty", '{"":1,"":1}'],
    ["that is __proto__", '{"__proto__":1,"__proto__":1}'],
    ["beside a string that looks like members", '{"a":"\\":\\"","b":":::","a":"{"}'],
  ])("sees a repeated key %s", (_, text) => {
    expect(() => parseJson(text)).toThrow("the same key twice");
  });

  test.each(['{"a":{"a":1},"b":{"a":1}}', '[{"a":1},{"a":1}]', '{"a":"\\\\","b":"\\\\\\":"}', '{"a:":":","\\"":1}'])(
    "takes equal keys of different objects and colons in strings for what they are: %s",
    (text) => {
      expect(parseJson(text)).toEqual(JSON.parse(text));
    },
  );

  test("bounds nesting: 16 unless told otherwise", () => {
    expect(() => parseJson(nested(16))).not.toThrow();
    expect(() => parseJson(nested(17))).toThrow("nested more than 16 deep");
    expect(() => parseJson(nested(64), { maxDepth: 64 })).not.toThrow();
    expect(() => parseJson(nested(65), { maxDepth: 64 })).toThrow("nested more than 64 deep");
    expect(() => parseJson("[".repeat(1_000_000))).toThrow("nested");
    expect(() => parseJson('{"a":'.repeat(1_000_000))).toThrow("nested");
  });

  test("does not count brackets inside of strings as nesting", () => {
    expect(parseJson(JSON.stringify("[{".repeat(1000)))).toBe("[{".repeat(1000));
  });

  test.each([
    ["a lone continuation byte", [0x22, 0x80, 0x22]],
    ["an overlong form", [0x22, 0xc0, 0xaf, 0x22]],
    ["a surrogate", [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ["a cut character", [0x22, 0xe2, 0x82]],
  ])("refuses bytes that are not UTF-8: %s", (_, bytes) => {
    expect(() => parseJson(Uint8Array.from(bytes))).toThrow("not UTF-8");
  });

  test.each([
    ["an escape of the first half", String.raw`{"a":"\ud800"}`],
    ["an escape of the second half", String.raw`["\uDC00"]`],
    ["halves in the wrong order", String.raw`"\udc00\ud800"`],
    ["a key", String.raw`{"x":[{"\ud83d":1}]}`],
    ["a text that was not decoded from bytes", '"\ud800"'],
  ])("refuses half of a surrogate pair: %s", (_, text) => {
    expect(() => parseJson(text)).toThrow("half of a surrogate pair");
  });

  test.each([String.raw`"\ud83d\ude00"`, String.raw`"\\ud800"`, '"😀"'])(
    "takes whole pairs and escaped backslashes for what they are: %s",
    (text) => {
      expect(parseJson(text)).toEqual(JSON.parse(text));
    },
  );

  test("refuses a byte order mark", () => {
    expect(() => parseJson(Uint8Array.of(0xef, 0xbb, 0xbf, 0x31))).toThrow("not JSON");
  });

  test("says nothing of the text that it refuses", () => {
    expect(() => parseJson('{"password":"hunter2"')).toThrow(/^the text is not JSON$/);
  });

  test("reads __proto__ as a plain key that changes no object", () => {
    const value = parseJson('{"__proto__":{"polluted":true}}');
    expect(value).not.toHaveProperty("polluted");
    expect(Object.keys(value as object)).toEqual(["__proto__"]);
    expect({}).not.toHaveProperty("polluted");
  });

  test("takes time in proportion to the text for strings full of quotes and backslashes", () => {
    for (const text of ['"' + '\\"'.repeat(500_000) + '"', '"' + "\\\\".repeat(500_000) + '"', '"' + "\\".repeat(500_001)]) {
      // A quadratic scanner would need minutes here, so that the runner's limit fails the test.
      const error = errorOf(() => parseJson(text));
      expect(error === undefined || error instanceof JsonError).toBe(true);
    }
  });
});

function items(count: number): string {
  return `[${Array.from({ length: count }, () => "[]").join(",")}]`;
}

test("parseJson() refuses a text of more values than any manifest needs, however small they are", () => {
  expect(parseJson(items(250_000))).toHaveLength(250_000);
  expect(() => parseJson(items(250_002))).toThrow("more than 250000 values");
});
