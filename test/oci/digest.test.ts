import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { algorithmOf, digestFrom, digestOf, digestSchema, encodedOf, isDigest, isDigestAlgorithm } from "../../src/oci/digest.ts";

const hex = (length: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));
const algorithm = fc.constantFrom("sha256" as const, "sha512" as const);

describe("isDigest", () => {
  test("accepts sha256 and sha512 in lower-case hex", () => {
    fc.assert(
      fc.property(hex(64), hex(128), (short, long) => {
        expect(isDigest(`sha256:${short}`)).toBe(true);
        expect(isDigest(`sha512:${long}`)).toBe(true);
      }),
    );
  });

  test.each([
    "",
    ":",
    "sha256:",
    "sha256:baddigeststring",
    `sha256:${"a".repeat(63)}`,
    `sha256:${"a".repeat(65)}`,
    `sha256:${"A".repeat(64)}`,
    `SHA256:${"a".repeat(64)}`,
    `sha512:${"a".repeat(64)}`,
    `sha384:${"a".repeat(96)}`,
    `md5:${"a".repeat(32)}`,
    `sha256:${"a".repeat(64)}\n`,
    `sha256:${"a".repeat(63)}/`,
    ` sha256:${"a".repeat(64)}`,
    `sha256-${"a".repeat(64)}`,
    `constructor:${"a".repeat(64)}`,
    `__proto__:${"a".repeat(64)}`,
    "a".repeat(64),
  ])("refuses %j", (text) => {
    expect(isDigest(text)).toBe(false);
    expect(digestSchema.safeParse(text).success).toBe(false);
  });

  test("never throws, whatever the text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(isDigest(text)).toBe(/^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$(?!\n)/.test(text));
        expect(isDigestAlgorithm(text)).toBe(text === "sha256" || text === "sha512");
      }),
    );
  });
});

test("a digest is what its algorithm and encoding make", () => {
  fc.assert(
    fc.property(fc.uint8Array(), algorithm, (bytes, name) => {
      const digest = digestOf(bytes, name);
      expect(isDigest(digest)).toBe(true);
      expect(algorithmOf(digest)).toBe(name);
      expect(digestFrom(algorithmOf(digest), encodedOf(digest))).toBe(digest);
    }),
  );
});

test("digestFrom throws for what makes no digest", () => {
  expect(() => digestFrom("sha256", "xyz")).toThrow(TypeError);
});
