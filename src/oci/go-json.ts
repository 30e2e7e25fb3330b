const ESCAPED: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/**
 * Compact JSON as Go's encoding/json writes it: `<`, `>`, `&`, U+2028 and U+2029 escaped, negative zero kept. Keys stand in the order of the
 * object; see `sortedMap` for those that Go sorts. The predecessor's hashes are over such texts, and its bodies are.
 */
export function goJson(value: unknown): string {
  return textOf(value).replaceAll(/[<>&\u2028\u2029]/g, (character) => ESCAPED[character] ?? character);
}

/** JSON.stringify would write -0 as 0. Recursion is safe: what comes here was read with a bound on its depth. */
function textOf(value: unknown): string {
  if (typeof value === "number" && Object.is(value, -0)) return "-0";
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(textOf).join(",")}]`;
  const members = [...(value instanceof Map ? value : Object.entries(value))].filter(([, member]) => member !== undefined);
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${textOf(member)}`).join(",")}}`;
}

/**
 * The same value with the members of its objects in the order in which Go writes a map's, by the bytes of their UTF-8; as maps, since an
 * object has an order of its own for names that are numbers.
 */
export function sortedMap(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sortedMap);
  const members = Object.entries(value).map(([name, member]) => [name, sortedMap(member)] as const);
  return new Map(members.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
}
