import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cardBody, cardTab } from "../../src/ui/card.ts";
import { faultsOfPage } from "../support/browser.ts";

/** Pieces that mean something in Markdown, in HTML, or to a reader's eyes. */
const PIECES = [
  ..."\\`*_![]()<>#|-+>~:\"'& \n\t\u202E\u2066\u200B\u0000aß模".split(""),
  "```",
  "**",
  "\n\n",
  "\n- ",
  "\n1. ",
  "\n> ",
  "\n    ",
  "\n# ",
  "\n|a|b|\n|-|-|\n|",
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<!--",
  "-->",
  "[x](javascript:alert(1))",
  "[x](data:text/html,<b>)",
  "[x](https://example.org/a_b)",
  "[x](https://user@evil.example/)",
  "![x](https://example.org/pixel.gif)",
  "<https://example.org/>",
  "https://example.org/",
  '"](',
  "---\n",
];
const markdown = fc.array(fc.constantFrom(...PIECES), { maxLength: 60 }).map((parts) => parts.join(""));

const shown = (text: string): string => cardBody(text).toString().replaceAll(/\s+/g, " ");

/** Bytes that a page has for a card. */
const ROOM = 30_000;

describe("a model card", () => {
  test("is made of our own elements alone, whatever it holds", () => {
    fc.assert(
      fc.property(fc.oneof(markdown, fc.string({ unit: "binary", maxLength: 200 })), (text) => {
        const page = cardBody(text).toString();
        expect(faultsOfPage(page)).toEqual([]);
        expect(page.replaceAll("\n", " ")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      }),
      { numRuns: 200 },
    );
  });

  test("keeps every word that it has, in order", () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 20 });
    const between = fc.constantFrom(" ", "\n", "\n\n", " **", "** ", " `", "` ", "\n- ", "\n> ", " | ", "\n## ", " _", "_ ");
    fc.assert(
      fc.property(words, fc.array(between, { minLength: 20, maxLength: 20 }), (all, seams) => {
        const text = all.map((word, at) => word + (seams[at] ?? "")).join("");
        const read = cardBody(text)
          .toString()
          .replaceAll(/<[^>]*>/g, " ");
        expect(read.match(/[a-z]+/g)).toEqual(all);
      }),
    );
  });

  test("has headings, emphasis, code, lists, quotes, tables and rules", () => {
    expect(shown("# A *b* `c`\ntext **d**\nmore")).toBe(
      '<h3 dir="auto">A <em>b</em> <code>c</code></h3><p dir="auto">text <strong>d</strong> more</p>',
    );
    expect(shown("- a\n- b\n  - c\n\n1. d")).toBe(
      '<ul> <li dir="auto">a</li><li dir="auto">b<ul> <li dir="auto">c</li> </ul></li> </ul><ol> <li dir="auto">d</li> </ol>',
    );
    expect(shown("> a\n> b\n\n---")).toBe('<blockquote><p dir="auto">a b</p></blockquote><hr />');
    expect(cardBody("```py\nif a < b:\n\tpass\n```").toString()).toBe('<pre dir="auto">if a &lt; b:\n  pass</pre>');
    const table = shown("| a | b |\n|---|:-:|\n| 1 | `2` |\n");
    expect(table).toContain('<th scope="col" dir="auto">a</th>');
    expect(table).toContain('<td dir="auto"><code>2</code></td>');
    expect(shown("---\nlicense: mit\ntags: [a]\n---\n# T")).toMatch(/<summary>Its metadata<\/summary> <pre dir="auto">license: mit/);
    expect(shown("my_model_file and 2 * 3 * 4")).toBe('<p dir="auto">my_model_file and 2 * 3 * 4</p>');
  });

  test("leads to other sites by https alone, and says to which", () => {
    expect(shown("[the paper](https://example.org/a?b=1&c)")).toBe(
      '<p dir="auto"><a href="https://example.org/a?b=1&amp;c" rel="noopener nofollow noreferrer">the paper</a> <span class="soft">(example.org)</span></p>',
    );
    expect(shown("[a [b](https://one.example) c](https://two.example)")).toContain("two.example");
    for (const address of [
      "javascript:alert(1)",
      "JavaScript:alert(1)",
      "http://example.org/",
      "//example.org",
      "/ui/sessions/end-all",
      "data:text/html,x",
      "https://trusted.example@evil.example/",
      "https:example.org",
      "https://ex ample.org/",
      "https://еxample.org/",
    ]) {
      expect({ address, leads: shown(`[x](${address}) <${address}>`).includes("<a ") }).toEqual({ address, leads: false });
    }
    expect(shown("[x](https://xn--xample-2of.org/)")).toContain("(xn--xample-2of.org)");
  });

  test("loads no picture and shows HTML as text", () => {
    expect(shown("![a logo](https://example.org/x.png) <img src=x>")).toBe(
      '<p dir="auto"><span class="soft">[picture: a logo]</span> &lt;img src=x&gt;</p>',
    );
  });

  test.each([
    ["quotes within quotes", ">".repeat(20_000)],
    ["lists within lists", Array.from({ length: 2_000 }, (_, at) => `${" ".repeat(at % 200)}- x`).join("\n")],
    ["brackets", "[".repeat(20_000)],
    ["links that do not end", "[a](https://".repeat(2_000)],
    ["stars", "*a ".repeat(7_000)],
    ["double stars", "**a".repeat(7_000)],
    ["backticks", Array.from({ length: 200 }, (_, at) => "`".repeat(at)).join(" ")],
    ["spaces behind a mark", `#${" ".repeat(20_000)}x`],
    ["a line of dashes", `a|b\n${"-|".repeat(10_000)}x`],
    ["cells", `${"|a".repeat(5_000)}\n${"|-".repeat(5_000)}\n${"|b".repeat(5_000)}`],
    ["short paragraphs", "a\n\n".repeat(7_000)],
    ["links", "[a](https://a.example) ".repeat(1_000)],
    ["quotation marks", '"'.repeat(20_000)],
    ["characters that turn the direction", "\u202E".repeat(20_000)],
    ["a bomb of tables", "a|b\n-|-\n".repeat(2_500)],
  ])("stays within a page that is bounded, made of %s", (_, text) => {
    const page = cardTab({ kind: "card", text, from: "README.md", isCut: false, command: "oras blob fetch" }, ROOM).toString();
    expect(faultsOfPage(page)).toEqual([]);
    expect(Buffer.byteLength(page)).toBeLessThan(ROOM);
  });

  test("says when it is cut, when it is packed, and what to do where there is none", () => {
    const long = { kind: "card", text: "a ".repeat(15_000), from: "README.md", isCut: false, command: "oras blob fetch x" } as const;
    const cut = cardTab(long, ROOM).toString();
    expect(cut).toContain("This is its beginning.");
    expect(cut).toContain("oras blob fetch x");
    expect(cardTab({ kind: "packed", layers: 2, command: "kit unpack x" }, ROOM).toString()).toContain("2 layers of archives");
    expect(cardTab({ kind: "none" }, ROOM).toString()).toContain("oras push");
    expect(cardTab({ kind: "unreadable", from: "README.md", why: "its bytes are damaged" }, ROOM).toString()).toContain(
      "its bytes are damaged",
    );
  });
});
