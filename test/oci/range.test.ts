import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseRange } from "../../src/oci/range.ts";

const SIZE = 2048;

describe("parseRange", () => {
  test.each([
    ["bytes=500-1499", 500, 1499],
    ["bytes=500-", 500, 2047],
    ["bytes=-500", 1548, 2047],
    ["bytes=2000-5000", 2000, 2047],
    ["bytes=0-0", 0, 0],
    ["bytes=0-", 0, 2047],
    ["bytes=-5000", 0, 2047],
    ["BYTES=1-2", 1, 2],
    ["bytes= 1-2 ", 1, 2],
    [`bytes=1-${"9".repeat(400)}`, 1, 2047],
    [`bytes=-${"9".repeat(400)}`, 0, 2047],
  ])("reads %s of 2048 bytes", (header, start, end) => {
    expect(parseRange(header, SIZE)).toEqual({ kind: "part", start, end });
  });

  test.each([
    "bytes=500-0",
    "bytes=5000-10000",
    "bytes=2048-",
    "bytes=-0",
    "bytes=-",
    "bytes=",
    "bytes=a-b",
    "bytes=1-2-3",
    "bytes=--5",
    "bytes=+1-2",
    "bytes=1.5-2",
    `bytes=${"9".repeat(400)}-`,
  ])("finds nothing that satisfies %s", (header) => {
    expect(parseRange(header, SIZE)).toEqual({ kind: "unsatisfiable" });
  });

  test.each([undefined, "", "items=0-1", "bytes 0-1", "bytes=0-1,5-6", "bytes=0-1, 9000-"])(
    "answers %s with the whole content",
    (header) => {
      expect(parseRange(header, SIZE)).toEqual({ kind: "whole" });
    },
  );

  test("has no part of empty content", () => {
    expect(parseRange("bytes=0-", 0)).toEqual({ kind: "unsatisfiable" });
    expect(parseRange("bytes=0-0", 0)).toEqual({ kind: "unsatisfiable" });
    expect(parseRange("bytes=-1", 0)).toEqual({ kind: "whole" });
  });

  test("gives exactly the bytes that the header names and the content has", () => {
    const edge = fc.option(fc.nat(40), { nil: undefined });
    fc.assert(
      fc.property(edge, edge, fc.nat(32), (first, last, size) => {
        const content = Array.from({ length: size }, (_, at) => at);
        const named =
          first === undefined
            ? content.slice(Math.max(0, size - (last ?? 0)))
            : content.filter((at) => at >= first && (last === undefined || at <= last));
        const asked = parseRange(`bytes=${first ?? ""}-${last ?? ""}`, size);
        expect(asked.kind === "part" ? content.slice(asked.start, asked.end + 1) : []).toEqual(named);
      }),
    );
  });

  test("never throws, and stays inside of the content, whatever the header", () => {
    const header = fc.oneof(fc.string(), fc.stringMatching(/^bytes=[\d\-, ]*$/));
    fc.assert(
      fc.property(header, fc.nat(), (text, size) => {
        const asked = parseRange(text, size);
        if (asked.kind !== "part") return;
        expect(asked.start).toBeGreaterThanOrEqual(0);
        expect(asked.end).toBeGreaterThanOrEqual(asked.start);
        expect(asked.end).toBeLessThan(size);
      }),
    );
  });
});
