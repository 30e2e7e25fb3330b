import type { ByteCursor } from "./byte-cursor.ts";
import { FormatError, shown } from "./format-error.ts";

/** A JSON value; integers beyond 2^53 − 1 are bigints. */
export type JsonValue = null | boolean | number | bigint | string | readonly JsonValue[] | ReadonlyMap<string, JsonValue>;

const MAX_DEPTH = 32;
/** Of one value that is read whole: a tensor's description has some ten. */
const MAX_VALUES = 256;
/** In UTF-16 code units. */
const MAX_STRING = 16 * 1024 * 1024;
const MAX_NUMBER = 64;
/** In bytes of UTF-8. */
const LONGEST_CHARACTER = 4;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const ZERO = 0x30;
const NINE = 0x39;
const LAST_CONTROL = 0x1f;
/** RFC 8259 §2: space, tab, line feed, carriage return. */
const WHITE: ReadonlySet<number | undefined> = new Set([0x20, 0x09, 0x0a, 0x0d]);
const NUMBER = /^-?(?:0|[1-9]\d*)(?<fraction>(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ["\\", "\\"],
  ["/", "/"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
]);
const LITERALS: ReadonlyMap<string, JsonValue> = new Map<string, JsonValue>([
  ["true", true],
  ["false", false],
  ["null", null],
]);

/**
 * Reads one JSON text piece by piece, so that a large one need not be held: strict UTF-8, no key twice in an object, no half of a
 * surrogate pair, nesting of at most 32, strings of at most 16 Mi characters. Throws `FormatError`.
 */
export class JsonReader {
  readonly #cursor: ByteCursor;
  #depth = 0;

  constructor(cursor: ByteCursor) {
    this.#cursor = cursor;
  }

  /**
   * The keys of the object that comes next, at most `limit`; after each key the caller reads its value, before it asks for the next one.
   */
  *members(limit: number): Generator<string> {
    this.#open(OPEN_BRACE, "an object");
    const keys = new Set<string>();
    while (this.#more(CLOSE_BRACE, keys.size === 0)) {
      if (keys.size === limit) throw new FormatError(`an object of the JSON text has more than ${limit} members`);
      const key = this.text();
      if (keys.has(key)) throw new FormatError(`the key ${shown(key)} comes twice in one object`);
      keys.add(key);
      this.#expect(COLON);
      yield key;
    }
    this.#depth -= 1;
  }

  /** Yields before each item of the array that comes next, at most `limit` times; the caller reads the item before it asks for the next one. */
  *items(limit: number): Generator<void> {
    this.#open(OPEN_BRACKET, "an array");
    for (let count = 0; this.#more(CLOSE_BRACKET, count === 0); count += 1) {
      if (count === limit) throw new FormatError(`an array of the JSON text has more than ${limit} items`);
      yield;
    }
    this.#depth -= 1;
  }

  /** The value that comes next, whole: for what is known to be small. */
  value(): JsonValue {
    return this.#value({ left: MAX_VALUES });
  }

  /** The string that comes next. */
  text(): string {
    this.#expect(QUOTE);
    const parts: string[] = [];
    let length = 0;
    for (;;) {
      const run = this.#run();
      length += run.length;
      if (length > MAX_STRING) throw new FormatError("a string of the JSON text is longer than 16 Mi characters");
      parts.push(run);
      const stop = this.#cursor.peek();
      // Nothing was read, and no stop follows: a character that is cut off by the end of the text.
      if (stop === undefined || (run === "" && !isStop(stop))) throw notJson();
      if (!isStop(stop)) continue;
      this.#cursor.skip(1);
      if (stop === QUOTE) return wellFormed(parts);
      if (stop !== BACKSLASH) throw notJson();
      parts.push(this.#escape());
    }
  }

  /** Nothing but white space may follow. */
  end(): void {
    if (this.#next() !== undefined) throw new FormatError("something follows the JSON text");
  }

  #value(budget: { left: number }): JsonValue {
    budget.left -= 1;
    if (budget.left < 0) throw new FormatError(`a value of the JSON text holds more than ${MAX_VALUES} values`);
    switch (this.#next()) {
      case OPEN_BRACE: {
        const members = new Map<string, JsonValue>();
        for (const key of this.members(MAX_VALUES)) members.set(key, this.#value(budget));
        return members;
      }
      case OPEN_BRACKET: {
        const values: JsonValue[] = [];
        for (const _ of this.items(MAX_VALUES)) values.push(this.#value(budget));
        return values;
      }
      case QUOTE:
        return this.text();
      case undefined:
        throw notJson();
      default:
        return this.#word();
    }
  }

  #open(bracket: number, what: string): void {
    if (this.#next() !== bracket) throw new FormatError(`the JSON text does not have ${what} where one must be`);
    if (this.#depth === MAX_DEPTH) throw new FormatError(`the JSON text is nested more than ${MAX_DEPTH} deep`);
    this.#depth += 1;
    this.#cursor.skip(1);
  }

  /** Is there another member or item? Passes over the comma before it, or over the closing bracket. */
  #more(close: number, first: boolean): boolean {
    if (this.#next() === close) {
      this.#cursor.skip(1);
      return false;
    }
    if (!first) this.#expect(COMMA);
    return true;
  }

  #expect(character: number): void {
    if (this.#next() !== character) throw notJson();
    this.#cursor.skip(1);
  }

  /** The next byte that is not white space, which stays the next. */
  #next(): number | undefined {
    while (WHITE.has(this.#cursor.peek())) this.#cursor.skip(1);
    return this.#cursor.peek();
  }

  /** Characters up to a quote, a backslash or a control, or as many as lie in the window. */
  #run(): string {
    const ahead = this.#cursor.ahead(LONGEST_CHARACTER);
    let length = 0;
    while (length < ahead.length && !isStop(ahead[length] ?? 0)) length += 1;
    if (length === ahead.length) length = wholeCharacters(ahead);
    const text = this.#cursor.text(length);
    if (text === undefined) throw new FormatError("the JSON text is not UTF-8");
    return text;
  }

  #escape(): string {
    const character = String.fromCharCode(this.#cursor.u8());
    if (character !== "u") {
      const meant = ESCAPES.get(character);
      if (meant === undefined) throw notJson();
      return meant;
    }
    const digits = this.#cursor.text(4) ?? "";
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw notJson();
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  /** A number, `true`, `false` or `null`. */
  #word(): JsonValue {
    const ahead = this.#cursor.ahead(MAX_NUMBER + 1);
    let length = 0;
    while (length < ahead.length && isWordByte(ahead[length] ?? 0)) length += 1;
    if (length > MAX_NUMBER) throw new FormatError(`a number of the JSON text has more than ${MAX_NUMBER} characters`);
    const small = smallNumber(ahead.subarray(0, length));
    if (small !== undefined) {
      this.#cursor.skip(length);
      return small;
    }
    const word = this.#cursor.text(length) ?? "";
    const literal = LITERALS.get(word);
    return literal === undefined ? numberOf(word) : literal;
  }
}

/** Is this value an object? */
export function isObject(value: JsonValue): value is ReadonlyMap<string, JsonValue> {
  return value instanceof Map;
}

function isStop(byte: number): boolean {
  return byte === QUOTE || byte === BACKSLASH || byte <= LAST_CONTROL;
}

/** The length without a last character that goes on behind the window. */
function wholeCharacters(bytes: Uint8Array): number {
  let start = bytes.length - 1;
  while (start > bytes.length - LONGEST_CHARACTER && ((bytes[start] ?? 0) & 0xc0) === 0x80) start -= 1;
  const first = bytes[start] ?? 0;
  if (first < 0xc0) return bytes.length;
  const needed = first >= 0xf0 ? LONGEST_CHARACTER : first >= 0xe0 ? 3 : 2;
  return start + needed <= bytes.length ? bytes.length : start;
}

function wellFormed(parts: readonly string[]): string {
  const text = parts.length === 1 ? (parts[0] ?? "") : parts.join("");
  // It has no UTF-8 (RFC 7493 §2.1), so that readers disagree on what it is.
  if (!text.isWellFormed()) throw new FormatError("a string of the JSON text has half of a surrogate pair");
  return text;
}

/** Digits, letters, sign and point: what a number or a literal is made of. */
function isWordByte(byte: number): boolean {
  return (
    (byte >= ZERO && byte <= NINE) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x2b || byte === 0x2d || byte === 0x2e || byte === 0x45
  );
}

/** The value of up to 15 digits without a zero before them, which is what headers are full of; undefined for anything else. */
function smallNumber(digits: Uint8Array): number | undefined {
  if (digits.length === 0 || digits.length > 15 || (digits[0] === ZERO && digits.length > 1)) return undefined;
  let value = 0;
  for (const digit of digits) {
    if (digit < ZERO || digit > NINE) return undefined;
    value = value * 10 + (digit - ZERO);
  }
  return value;
}

function numberOf(word: string): number | bigint {
  const match = NUMBER.exec(word);
  if (match === null) throw notJson();
  const value = Number(word);
  return match.groups?.["fraction"] === "" && !Number.isSafeInteger(value) ? BigInt(word) : value;
}

function notJson(): FormatError {
  return new FormatError("the text is not JSON");
}
