import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { etagOf, isNotModified, isRangeCurrent } from "../../src/oci/conditional.ts";
import { digestOf } from "../../src/oci/digest.ts";

const digest = digestOf("content");
const other = digestOf("other content");

describe("isNotModified", () => {
  test.each([`"${digest}"`, `W/"${digest}"`, `"x", "${digest}"`, `"x",W/"${digest}" , "y"`, "*", " * "])("is, for %s", (header) => {
    expect(isNotModified(header, digest)).toBe(true);
  });

  test.each([undefined, "", digest, `"${other}"`, `w/"${digest}"`, `"${digest}`, `"x"`, `"*"`])("is not, for %s", (header) => {
    expect(isNotModified(header, digest)).toBe(false);
  });
});

describe("isRangeCurrent", () => {
  test.each([undefined, `"${digest}"`])("is, for %s", (header) => {
    expect(isRangeCurrent(header, digest)).toBe(true);
  });

  test.each(["", "*", digest, `W/"${digest}"`, `"${other}"`, `"x", "${digest}"`, "Wed, 21 Oct 2026 07:28:00 GMT"])(
    "is not, for %s",
    (header) => {
      expect(isRangeCurrent(header, digest)).toBe(false);
    },
  );
});

test("the tag of content matches that content alone", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.constantFrom("sha256" as const, "sha512" as const), (one, two, algorithm) => {
      const [a, b] = [digestOf(one, algorithm), digestOf(two, algorithm)];
      expect(isNotModified(etagOf(a), b)).toBe(one === two);
      expect(isRangeCurrent(etagOf(a), b)).toBe(one === two);
    }),
  );
});
