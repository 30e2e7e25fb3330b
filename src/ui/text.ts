import { type Html, html } from "./html.ts";

/** Longer texts from others are cut: a page has a bound. */
const MAX_TEXT = 300;

/**
 * What would let a text show itself as another one: control characters, those that turn the direction of writing, and those that have no
 * width. Line ends and tabs are among them.
 */
const DECEIVING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * A text from others as people may read it: what deceives is named, and what is too long is cut (`max` is in UTF-16 units). What is named
 * makes it twice as long at most.
 */
export function readable(text: string, max = MAX_TEXT): string {
  const named = shortened(text, max).replace(
    DECEIVING,
    (character) => `[U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`,
  );
  return shortened(named, 2 * max + 1);
}

function shortened(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max).replace(/[\uD800-\uDBFF]$/, "")}…` : text;
}

/**
 * The same as markup, isolated so that its direction of writing does not reach what stands beside it. It takes three bytes for each of `max`
 * at most, which is enough for every script: a text of quotes, which take six each, is cut earlier.
 */
export function foreign(text: string, max = MAX_TEXT): Html {
  return html`<bdi>${cutAsMarkup(readable(text, max), 3 * max)}</bdi>`;
}

/** Bytes that a character takes which means something in markup. */
const ESCAPED: Readonly<Record<string, number>> = { "&": 5, "<": 4, ">": 4, '"': 6, "'": 5 };

/** A text cut so that it takes so many bytes as markup at most, and says so. */
export function cutAsMarkup(text: string, most: number): string {
  if (6 * text.length <= most) return text;
  let [bytes, length] = [0, 0];
  for (const character of text) {
    bytes += ESCAPED[character] ?? Buffer.byteLength(character);
    if (bytes > most) return `${text.slice(0, length)}…`;
    length += character.length;
  }
  return text;
}

/** JSON with what would deceive written out, so that it may be shown to be changed and still says the same. */
export function plainJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(DECEIVING, (character) =>
    character === "\n"
      ? character
      : Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  );
}

/** How many characters a text has as markup. */
export function markupLength(text: string): number {
  return html`${text}`.toString().length;
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** A number of bytes as people read it. */
export function sizeText(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power] ?? "bytes"}`;
}

/** A whole number as people read it. */
export function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ",");
}

/** A moment (RFC 3339) to the minute, in UTC, with the exact one for machines. */
export function moment(at: string): Html {
  return html`<time datetime="${at}">${at.slice(0, 16).replace("T", " ")} UTC</time>`;
}
const PERIODS = [
  { name: "day", milliseconds: 86_400_000 },
  { name: "hour", milliseconds: 3_600_000 },
  { name: "minute", milliseconds: 60_000 },
] as const;

/** How long something is, in milliseconds, by its greatest unit. */
export function durationText(milliseconds: number): string {
  for (const { name, milliseconds: one } of PERIODS) {
    const count = Math.floor(milliseconds / one);
    if (count > 0) return `${count} ${name}${count === 1 ? "" : "s"}`;
  }
  return "less than a minute";
}
