import type { Entry, KeyRange } from "../storage/metadata-store.ts";
import type { Services } from "./ports.ts";

/** The rows of ranges, one range after the other, read in batches of each range's limit for as long as the caller wants more. */
export async function* rowsOf(
  { metadata }: Pick<Services, "metadata">,
  ranges: readonly KeyRange[],
): AsyncGenerator<Entry, void, undefined> {
  for (const range of ranges) {
    let { start } = range;
    for (;;) {
      const batch = await metadata.list({ ...range, start });
      yield* batch;
      const last = batch.at(-1);
      if (last === undefined || batch.length < range.limit) break;
      // The least key after the last one.
      start = [...last.key, ""];
    }
  }
}

/** Two ordered sequences as one; of equal items the first sequence's alone. */
export async function* merge<T>(
  one: AsyncGenerator<T, void, undefined>,
  other: AsyncGenerator<T, void, undefined>,
  compare: (a: T, b: T) => number,
): AsyncGenerator<T, void, undefined> {
  let [a, b] = [await one.next(), await other.next()];
  while (a.done !== true || b.done !== true) {
    const order = a.done === true ? 1 : b.done === true ? -1 : compare(a.value, b.value);
    if (order <= 0 && a.done !== true) yield a.value;
    else if (b.done !== true) yield b.value;
    [a, b] = [order <= 0 ? await one.next() : a, order >= 0 ? await other.next() : b];
  }
}
