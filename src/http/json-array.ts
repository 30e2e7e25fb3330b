import { type Ask, isHead } from "./route.ts";

/**
 * A JSON array that is written while its items are found: a list of any length in constant memory. Items are JSON texts. For a HEAD none is
 * looked for.
 */
export function jsonArray(c: Ask, items: AsyncIterable<string>): Response {
  const headers = { "Content-Type": "application/json" };
  return isHead(c) ? c.body(null, 200, headers) : c.body(written(items), 200, headers);
}

function written(items: AsyncIterable<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  async function* text(): AsyncGenerator<Uint8Array> {
    let before = "[";
    for await (const item of items) {
      yield encoder.encode(`${before}${item}`);
      before = ",";
    }
    yield encoder.encode(before === "[" ? "[]\n" : "]\n");
  }
  return ReadableStream.from(text());
}
