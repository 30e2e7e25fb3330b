/**
 * Characters that a terminal obeys instead of showing: controls, and those that turn the direction of text or take no room
 * (Trojan Source, CVE-2021-42574), with which two names look like one. Names and annotations come from whoever pushed the artifact.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Text from others as it may be shown on a terminal: what could not be seen is written as `\u{hex}`, line feeds too. */
export function visible(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** As `visible` for several lines of our own: the line feeds stay. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visible).join("\n");
}

/** JSON as it may be shown on a terminal: the same value, with what could not be seen in JSON's own escapes. */
export function visibleJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2).replace(UNSAFE, escapeInJson);
}

function escapeInJson(character: string): string {
  // The only ones that stringify leaves between its lines.
  if (character === "\n") return character;
  return Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
}
