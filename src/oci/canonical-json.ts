/** Deeper values than this are refused: nothing that the registry signs or chains comes near. */
const MAX_DEPTH = 64;

/**
 * The one text that RFC 8785 gives a JSON value, for hashing and signing. Members that are undefined are left out, as `JSON.stringify` does.
 * Throws a `TypeError` for what has no single text: numbers that are not finite, integers beyond 2^53 − 1, text with a lone surrogate
 * (RFC 8785 §3.2.2), anything that is not JSON, and values nested deeper than 64.
 */
export function canonicalJson(value: unknown): string {
  return textOf(value, 0);
}

function textOf(value: unknown, depth: number): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") return numberOf(value);
  if (typeof value === "string") return stringOf(value);
  if (typeof value !== "object") throw new TypeError(`a ${typeof value} is not JSON`);
  if (depth >= MAX_DEPTH) throw new TypeError(`JSON nested deeper than ${MAX_DEPTH} has no canonical form here`);
  return Array.isArray(value) ? arrayOf(value, depth) : objectOf(value, depth);
}

function numberOf(value: number): string {
  if (!Number.isFinite(value)) throw new TypeError("a number that is not finite is not JSON");
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw new TypeError("integers beyond 2^53 - 1 have no canonical form");
  // RFC 8785 §3.2.2.3 is ECMAScript's own form of numbers; it writes -0 as 0.
  return String(value);
}

function stringOf(value: string): string {
  if (!value.isWellFormed()) throw new TypeError("text with a lone surrogate has no canonical form");
  return JSON.stringify(value);
}

function arrayOf(values: readonly unknown[], depth: number): string {
  return `[${Array.from(values, (value) => textOf(value, depth + 1)).join(",")}]`;
}

function objectOf(value: object, depth: number): string {
  if (!isPlain(value)) throw new TypeError("only plain objects are JSON");
  let members = "";
  // RFC 8785 §3.2.3: by UTF-16 code units, which is how text is sorted where nothing else is said.
  for (const name of Object.keys(value).toSorted()) {
    const member = value[name];
    if (member !== undefined) members += `${members === "" ? "" : ","}${stringOf(name)}:${textOf(member, depth + 1)}`;
  }
  return `{${members}}`;
}

function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
