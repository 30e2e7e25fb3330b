import { validateHeaderValue } from "node:http";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { warningHeader } from "../../src/oci/warning.ts";

test("warningHeader has the form that the specification gives: code 299, no agent, no date", () => {
  expect(warningHeader("held as acquired: not served until promoted")).toBe('299 - "held as acquired: not served until promoted"');
});

test("warningHeader escapes quotes and backslashes, and shows what a header may not hold as question marks", () => {
  expect(warningHeader('a "b" \\ c\r\nX: y é 模')).toBe('299 - "a \\"b\\" \\\\ c??X: y ? ?"');
});

test("warningHeader is a header value of at most 4096 bytes, whatever the text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii" }), (text) => {
      const value = warningHeader(text);
      validateHeaderValue("Warning", value);
      expect(value).toMatch(/^299 - "(?:[^"\\]|\\["\\])*"$/);
      expect(Buffer.byteLength(value)).toBeLessThanOrEqual(4096);
    }),
  );
  expect(warningHeader('"'.repeat(5000)).length).toBeLessThanOrEqual(4096);
});
