import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isGlob, matchesGlob } from "../../src/trust/glob.ts";

describe("matchesGlob()", () => {
  test.each<[string, string, boolean]>([
    ["a*c", "abc", true],
    ["a*c", "ac", true],
    ["a*c", "a/c", false],
    ["a*c", "abcd", false],
    ["a**c", "a/b/c", true],
    ["https://x/*/y", "https://x/a/y", true],
    ["https://x/*/y", "https://x/a/b/y", false],
    ["https://x/**/y", "https://x/a/b/y", true],
    ["*", "", true],
    ["*", "a/b", false],
    ["**", "x/y", true],
    ["**", "", true],
    ["a", "A", false],
    ["x.y", "xzy", false],
    ["x+", "xx", false],
    ["[ab]", "a", false],
    ["models/**", "models/demo", true],
    ["models/**", "models", false],
    ["a*a", "a", false],
    ["*a", "ba\n", false],
    ["é*", "éa", true],
    ["*", "\ud83d\ude00", true],
  ])("%j on %j: %j", (pattern, text, matches) => {
    expect(matchesGlob(pattern, text)).toBe(matches);
  });

  test("does not go back over and over", () => {
    expect(matchesGlob("**a**a**a**a**a**a**b", "a".repeat(2_000))).toBe(false);
  });

  test("matches no text of more than 2048 characters", () => {
    expect(matchesGlob("**", "a".repeat(2_048))).toBe(true);
    expect(matchesGlob("**", "a".repeat(2_049))).toBe(false);
  });

  test("does what the definition of the two wildcards says", () => {
    // Slow and plain: try every length for each wildcard.
    const matches = (pattern: string, text: string): boolean => {
      if (pattern === "") return text === "";
      const wildcard = pattern.startsWith("**") ? "**" : pattern.startsWith("*") ? "*" : undefined;
      if (wildcard === undefined) return text.startsWith(pattern.slice(0, 1)) && matches(pattern.slice(1), text.slice(1));
      const rest = pattern.slice(wildcard.length);
      return Array.from({ length: text.length + 1 }, (_, length) => length).some(
        (length) => (wildcard === "**" || !text.slice(0, length).includes("/")) && matches(rest, text.slice(length)),
      );
    };
    const pattern = fc.array(fc.constantFrom("a", "b", "/", "*", "**"), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(""));
    const text = fc.array(fc.constantFrom("a", "b", "/"), { maxLength: 8 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(pattern.filter(isGlob), text, (glob, value) => {
        expect(matchesGlob(glob, value)).toBe(matches(glob, value));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("isGlob()", () => {
  test.each<[string, boolean]>([
    ["a", true],
    ["", false],
    ["***", false],
    ["a****b", false],
    ["a**b**c", true],
    ["*a".repeat(16), true],
    ["*a".repeat(17), false],
    ["a".repeat(1_024), true],
    ["a".repeat(1_025), false],
  ])("%j: %j", (pattern, is) => {
    expect(isGlob(pattern)).toBe(is);
  });
});
