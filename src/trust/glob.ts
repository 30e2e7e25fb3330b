const MAX_PATTERN = 1_024;
/** More wildcards than anybody needs; together with the bound on texts they bound the work. */
const MAX_WILDCARDS = 16;
const MAX_TEXT = 2_048;

/** Is this text a pattern: `*` stands for part of one segment, `**` for anything, all else for itself? At most 16 wildcards. */
export function isGlob(pattern: string): boolean {
  if (pattern.length === 0 || pattern.length > MAX_PATTERN || pattern.includes("***")) return false;
  return partsOf(pattern).filter(isWildcard).length <= MAX_WILDCARDS;
}

/**
 * Does the whole text match the pattern? Segments end at `/`. A text of more than 2048 characters matches nothing. The work is at most
 * the parts of the pattern times the length of the text: a regular expression made of such a pattern can take for ever (trust.md §2.3).
 */
export function matchesGlob(pattern: string, text: string): boolean {
  if (text.length > MAX_TEXT) return false;
  // Where in the text the parts of the pattern so far may end.
  let ends = new Uint8Array(text.length + 1);
  ends[0] = 1;
  for (const part of partsOf(pattern)) ends = isWildcard(part) ? afterWildcard(part, text, ends) : afterLiteral(part, text, ends);
  return ends[text.length] === 1;
}

/** What every text that matches the pattern begins with. */
export function literalPrefix(pattern: string): string {
  const [first = ""] = partsOf(pattern);
  return isWildcard(first) ? "" : first;
}

function partsOf(pattern: string): readonly string[] {
  return pattern.match(/\*\*|\*|[^*]+/g) ?? [];
}

function isWildcard(part: string): boolean {
  return part.startsWith("*");
}

function afterWildcard(part: string, text: string, before: Uint8Array): Uint8Array<ArrayBuffer> {
  const ends = new Uint8Array(before.length);
  let open = false;
  for (let at = 0; at < before.length; at += 1) {
    if (part === "*" && at > 0 && text[at - 1] === "/") open = false;
    open ||= before[at] === 1;
    if (open) ends[at] = 1;
  }
  return ends;
}

function afterLiteral(part: string, text: string, before: Uint8Array): Uint8Array<ArrayBuffer> {
  const ends = new Uint8Array(before.length);
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + 1)) {
    if (before[at] === 1) ends[at + part.length] = 1;
  }
  return ends;
}
