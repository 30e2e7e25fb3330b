import * as fc from "fast-check";
import { expect, test } from "vitest";
import { shortDigest, sizeText, table, timeText, withSortedKeys } from "../../src/cli/output.ts";

test.each([
  [0, "0 B"],
  [512, "512 B"],
  [1023, "1023 B"],
  [1024, "1.0 KB"],
  [1536, "1.5 KB"],
  [1024 * 1024 - 1, "1.0 MB"],
  [2_362_232_012, "2.2 GB"],
  [Number.MAX_SAFE_INTEGER, "8.0 PB"],
])("sizeText shows %i bytes as %s", (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});

test("table makes columns as wide as their widest cell and two spaces, and ends lines without spaces", () => {
  expect(
    table(
      ["NAME", "STATE"],
      [
        ["a-long-name", "ok"],
        ["b", ""],
      ],
    ),
  ).toBe("NAME         STATE\na-long-name  ok\nb");
});

test("table counts characters, not the units that they are made of", () => {
  expect(table(["A", "B"], [["😀", "x"]])).toBe("A  B\n😀  x");
});

test("withSortedKeys orders the members of every object and nothing else", () => {
  const value = { b: [{ z: 1, a: null }, 2], a: { d: "x", c: "y" } };
  expect(JSON.stringify(withSortedKeys(value))).toBe('{"a":{"c":"y","d":"x"},"b":[{"a":null,"z":1},2]}');
});

test("table shows what a cell holds, line feeds included, on one line", () => {
  expect(table(["NAME"], [["two\nlines\u001b[31m"]])).toBe("NAME\ntwo\\u{a}lines\\u{1b}[31m");
});

test("shortDigest keeps the algorithm and twelve digits", () => {
  expect(shortDigest(`sha256:${"ab".repeat(32)}`)).toBe("sha256:abababababab");
});

test("timeText shows seconds in UTC, and what is no time as it came", () => {
  expect(timeText("2026-11-25T12:00:00.123Z")).toBe("2026-11-25T12:00:00Z");
  expect(timeText(0)).toBe("1970-01-01T00:00:00Z");
  expect(timeText("soon")).toBe("soon");
});

test("whatever the cells hold, a table has one line a row, its columns begin below each other, and a terminal obeys none of it", () => {
  const rows = fc.array(fc.tuple(fc.string({ unit: "binary" }), fc.constantFrom("x", "yy")), { maxLength: 5 });
  fc.assert(
    fc.property(rows, (cells) => {
      const lines = table(["NAME", "STATE"], cells)
        .split("\n")
        .map((line) => Array.from(line));
      const at = (lines[0] ?? []).join("").indexOf("STATE");
      expect(lines.length).toBe(cells.length + 1);
      expect(lines.slice(1).map((line) => line.slice(at).join(""))).toEqual(cells.map(([, state]) => state));
      expect(/\p{Cc}/u.test(lines.flat().join(""))).toBe(false);
    }),
  );
});
