import * as fc from "fast-check";
import { expect, test } from "vitest";
import { visible, visibleJson, visibleLines } from "../../src/cli/visible.ts";

/** What a terminal could obey, or what would turn or hide the text around it. */
const OBEYED = /[\p{Cc}\p{Zl}\p{Zp}\u00ad\u115f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\u{e0000}-\u{e0fff}]/u;

/** Any sequence of UTF-16 code units, half pairs and characters that are not to be seen included. */
const anyText = fc
  .array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xe0000, max: 0xe0fff })))
  .map((points) => points.map((point) => String.fromCodePoint(point)).join(""));

test("visible writes control sequences out instead of passing them on", () => {
  expect(visible("a\u001b[2Jb\r\nc\u009b0m")).toBe("a\\u{1b}[2Jb\\u{d}\\u{a}c\\u{9b}0m");
});

test("visible shows text that turns the direction of what follows", () => {
  expect(visible("safe\u202egnp.exe")).toBe("safe\\u{202e}gnp.exe");
});

test("visible shows what takes no room, so that no two names look alike by it", () => {
  expect(visible("m\u{e0061}\u{e007f}odel\ufe0f\u00ad")).toBe("m\\u{e0061}\\u{e007f}odel\\u{fe0f}\\u{ad}");
});

test("visible leaves ordinary text of any script alone", () => {
  expect(visible("modèle-日本語 ✓ 🙂")).toBe("modèle-日本語 ✓ 🙂");
});

test("visibleLines keeps the line feeds of our own messages", () => {
  expect(visibleLines("one\ntwo\u0007")).toBe("one\ntwo\\u{7}");
});

test("nothing that a terminal obeys comes through, whatever the text", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(visible(text)).not.toMatch(OBEYED);
    }),
  );
});

test("visibleJson is the same value, without anything that a terminal obeys", () => {
  fc.assert(
    fc.property(fc.jsonValue(), anyText, (value, text) => {
      const shown = visibleJson({ value, text });
      expect(JSON.parse(shown)).toEqual(JSON.parse(JSON.stringify({ value, text })));
      expect(shown.replaceAll("\n", "")).not.toMatch(OBEYED);
    }),
  );
});
