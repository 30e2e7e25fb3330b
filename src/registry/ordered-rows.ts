import { setImmediate } from "node:timers/promises";
import type { Entry, KeyRange } from "../storage/metadata-store.ts";
import type { Services } from "./ports.ts";

/** Rows that are read at once: what is asked of each of them takes tens of microseconds. */
export const MAX_BATCH = 256;

/** The rows of ranges, one range after the other, for as long as the caller wants more. */
export async function* rowsOf(needs: Pick<Services, "metadata">, ranges: readonly KeyRange[]): AsyncGenerator<Entry, void, undefined> {
  for await (const batch of batchesOf(needs, ranges)) yield* batch;
}

/**
 * The same in batches of each range's limit, at most 256. Others get their turn between batches: an embedded store answers without ever
 * giving it up by itself.
 */
export async function* batchesOf(
  { metadata }: Pick<Services, "metadata">,
  ranges: readonly KeyRange[],
): AsyncGenerator<readonly Entry[], void, undefined> {
  for (const range of ranges) {
    let { start } = range;
    const limit = Math.min(range.limit, MAX_BATCH);
    for (;;) {
      const batch = await metadata.list({ ...range, start, limit });
      yield batch;
      const last = batch.at(-1);
      if (last === undefined || batch.length < limit) break;
      // The least key after the last one.
      start = [...last.key, ""];
      await setImmediate();
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
