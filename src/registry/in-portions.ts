import { setImmediate } from "node:timers/promises";

/** The items, with a turn for others in this process after every so many: what is looked up in memory waits for nothing by itself. */
export async function* inPortions<T>(items: Iterable<T>, size: number): AsyncGenerator<T, void, undefined> {
  let left = size;
  for (const item of items) {
    if (left === 0) {
      await setImmediate();
      left = size;
    }
    left -= 1;
    yield item;
  }
}
