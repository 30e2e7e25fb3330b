/** A text that is not the JSON this registry accepts; `message` is a short reason, safe to show. */
export class JsonError extends Error {
  override readonly name = "JsonError";
}

/** Nesting that no request of an API needs. */
const API_DEPTH = 16;
/** Members and items of one text: more than the largest manifest has use for, and what a process looks at in a fraction of a second. */
const MAX_VALUES = 250_000;

/**
 * Parses JSON from others: strict UTF-8, no key twice in one object, no half of a surrogate pair (RFC 7493 §2.1), nesting of at most
 * `maxDepth` (16 unless given). Readers disagree on which of two equal keys counts, and half a pair has no UTF-8, so that a text with
 * either means different things to different programs. At most `maxValues` values (250 000 unless given). Throws `JsonError`.
 */
export function parseJson(
  text: string | Uint8Array,
  { maxDepth = API_DEPTH, maxValues = MAX_VALUES }: { readonly maxDepth?: number; readonly maxValues?: number } = {},
): unknown {
  const source = typeof text === "string" ? text : decode(text);
  const members = countMembers(source, maxDepth, maxValues);
  const value = parse(source);
  // Equal keys fall together in the parsed value, however they were escaped: fewer keys than members means that some key came twice.
  if (countKeys(value) !== members) throw new JsonError("an object has the same key twice");
  if (mayHoldHalfPair(source) && !isWellFormed(value)) throw new JsonError("a text has half of a surrogate pair");
  return value;
}

function decode(bytes: Uint8Array): string {
  try {
    // A byte order mark is kept, so that JSON.parse refuses it (RFC 8259 §8.1 forbids to send one).
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new JsonError("the text is not UTF-8");
  }
}

function parse(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    // The engine's own message would quote the input.
    throw new JsonError("the text is not JSON");
  }
}

const QUOTE = 0x22;
const COLON = 0x3a;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The number of object members, which is that of colons outside of strings in any valid text. One pass; strings are skipped by search. */
function countMembers(source: string, maxDepth: number, maxValues: number): number {
  let members = 0;
  let items = 0;
  let depth = 0;
  for (let at = 0; at < source.length; at += 1) {
    switch (source.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(source, at);
        break;
      case COLON:
        members += 1;
        break;
      case COMMA:
        items += 1;
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        depth = oneDeeper(depth, maxDepth);
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        depth -= 1;
        break;
      default:
    }
  }
  if (items > maxValues) throw new JsonError(`the text has more than ${maxValues} values`);
  return members;
}

function oneDeeper(depth: number, maxDepth: number): number {
  if (depth >= maxDepth) throw new JsonError(`the text is nested more than ${maxDepth} deep`);
  return depth + 1;
}

/** Where the string that opens at `start` closes; the end of the text when it does not, which JSON.parse then refuses. */
function endOfString(source: string, start: number): number {
  for (let end = source.indexOf('"', start + 1); end !== -1; end = source.indexOf('"', end + 1)) {
    let escapes = 0;
    while (source.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes += 1;
    if (escapes % 2 === 0) return end;
  }
  return source.length;
}

/** The number of keys of all objects in a value. Recursion is safe: its depth was bounded before. */
function countKeys(value: unknown): number {
  let keys = 0;
  if (Array.isArray(value)) {
    for (const item of value) keys += countKeys(item);
  } else if (isRecord(value)) {
    // Four times as fast as Object.values on many small objects; what JSON.parse makes inherits nothing that can be enumerated.
    for (const key in value) keys += 1 + countKeys(value[key]);
  }
  return keys;
}

/** Half a pair comes from an escape, or from a text that has one already; most texts need no second walk. */
function mayHoldHalfPair(source: string): boolean {
  return /\\u[dD][89a-fA-F]/.test(source) || !source.isWellFormed();
}

/** Is all text in a value well-formed, keys too? Recursion is safe, as above. */
function isWellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (Array.isArray(value)) return value.every(isWellFormed);
  return !isRecord(value) || Object.entries(value).every(([key, item]) => key.isWellFormed() && isWellFormed(item));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
