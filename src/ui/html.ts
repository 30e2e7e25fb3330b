import { html as build } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";

/** Markup that was made by `html`, and may stand in a page as it is. */
export type Html = HtmlEscapedString;

/** What may stand between markup: text, which is escaped whatever it holds, and markup. */
export type Part = string | number | Html | false | null | undefined | readonly Part[];

/**
 * Markup with text in it. Text is escaped for elements and for quoted attributes alike; attributes are always quoted, and an address is
 * never made of text from others but of our own paths.
 */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const made = build(strings, ...parts);
  if (made instanceof Promise) throw new TypeError("a page is made of what is there already");
  return made;
}
