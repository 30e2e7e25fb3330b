import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { html } from "../../src/ui/html.ts";
import { durationText, foreign, moment, readable, sizeText } from "../../src/ui/text.ts";
import { faultsOfPage } from "../support/browser.ts";

/** Text of whatever characters, and of those that mean something in markup. */
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(fc.constantFrom("<", ">", '"', "'", "&", "</bdi>", "<script>", "\u202E", "\u0000", "\n", "a", "😀", "\uD83D"), { maxLength: 12 })
    .map((parts) => parts.join("")),
);

describe("text from others", () => {
  test("never becomes markup, neither as content nor in an attribute", () => {
    fc.assert(
      fc.property(text, (any) => {
        const page = html`<p class="${any}">${any} ${foreign(any)}</p>`.toString();
        expect(faultsOfPage(page)).toEqual([]);
        expect(page.match(/[<>]/g)).toHaveLength(8);
      }),
    );
  });

  test("keeps no character that turns, hides or controls others, and stays bounded", () => {
    fc.assert(
      fc.property(text, fc.nat({ max: 20 }), (any, max) => {
        const shown = readable(any, max);
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(shown.isWellFormed()).toBe(true);
        expect(shown.length).toBeLessThanOrEqual((max + 1) * "[U+10FFFF]".length);
      }),
    );
  });

  test("is otherwise as it was written", () => {
    expect(readable("Größe 模型 😀 <b>")).toBe("Größe 模型 😀 <b>");
    expect(readable("a\u202Eb\tc\uD800")).toBe("a[U+202E]b[U+0009]c[U+D800]");
    expect(readable("x".repeat(301))).toBe(`${"x".repeat(300)}…`);
    expect(readable("😀😀", 3)).toBe("😀…");
  });
});

test.each([
  [0, "0 bytes"],
  [1023, "1023 bytes"],
  [1024, "1.0 KiB"],
  [1536, "1.5 KiB"],
  [5 * 1024 ** 3, "5.0 GiB"],
  [300 * 1024 ** 2, "300 MiB"],
  [Number.MAX_SAFE_INTEGER, "8.0 PiB"],
])("%d bytes are %s", (bytes, said) => {
  expect(sizeText(bytes)).toBe(said);
});

test.each([
  [0, "less than a minute"],
  [60_000, "1 minute"],
  [7_200_000, "2 hours"],
  [86_400_000, "1 day"],
  [10 * 86_400_000 + 1, "10 days"],
])("%d milliseconds are %s", (milliseconds, said) => {
  expect(durationText(milliseconds)).toBe(said);
});

test("a moment is told to the minute, and exactly to programs", () => {
  expect(moment("2026-11-25T12:34:56.789Z").toString()).toBe('<time datetime="2026-11-25T12:34:56.789Z">2026-11-25 12:34 UTC</time>');
});
