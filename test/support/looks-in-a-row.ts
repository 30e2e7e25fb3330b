import { setImmediate } from "node:timers/promises";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";

/** The most look-ups that some work makes without others having their turn in this process. */
export async function looksInARow(metadata: MetadataStore, work: (watched: MetadataStore) => Promise<unknown>): Promise<number> {
  const done = new AbortController();
  let [inARow, most] = [0, 0];
  const look = (): void => {
    inARow += 1;
    most = Math.max(most, inARow);
  };
  const others = (async (): Promise<void> => {
    while (!done.signal.aborted) {
      await setImmediate();
      inARow = 0;
    }
  })();
  const watched: MetadataStore = {
    get: (key) => {
      look();
      return metadata.get(key);
    },
    list: (range) => {
      look();
      return metadata.list(range);
    },
    commit: (change) => metadata.commit(change),
    close: () => metadata.close(),
  };
  try {
    await work(watched);
  } finally {
    done.abort();
    await others;
  }
  return most;
}
