/** A JSON array that is written while its items are found: a list of any length in constant memory. Items are JSON texts. */
export function jsonArray(items: AsyncIterable<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  async function* text(): AsyncGenerator<Uint8Array> {
    let before = "[";
    for await (const item of items) {
      yield encoder.encode(`${before}${item}`);
      before = ",\n";
    }
    yield encoder.encode(before === "[" ? "[]\n" : "]\n");
  }
  return ReadableStream.from(text());
}
