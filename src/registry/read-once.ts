import type { Entry, Key, MetadataStore } from "../storage/metadata-store.ts";

/**
 * Metadata of which one decision reads each row once, however many of the things that it looks at name it. What it expects is then what it
 * saw at first. For decisions whose bounds are small, as it keeps all that was read.
 */
export function readOnce(metadata: MetadataStore): MetadataStore {
  const read = new Map<string, Promise<Entry | undefined>>();
  return {
    get: (key) => {
      const name = nameOf(key);
      const known = read.get(name) ?? metadata.get(key);
      read.set(name, known);
      return known;
    },
    list: (range) => metadata.list(range),
    commit: (change) => metadata.commit(change),
    close: () => metadata.close(),
  };
}

/** Of numbers and texts that look alike, too. */
function nameOf(key: Key): string {
  return JSON.stringify(key);
}
