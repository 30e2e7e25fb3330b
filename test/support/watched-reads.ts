import type { MetadataStore } from "../../src/storage/metadata-store.ts";

/** A store, and what is read of it from now on, by kind and family of keys, in order. */
export function watchedReads(metadata: MetadataStore): { readonly metadata: MetadataStore; readonly reads: readonly string[] } {
  const reads: string[] = [];
  return {
    reads,
    metadata: {
      get: (key) => {
        reads.push(`get ${key[0]}`);
        return metadata.get(key);
      },
      list: (range) => {
        reads.push(`list ${range.start[0]}`);
        return metadata.list(range);
      },
      commit: (change) => metadata.commit(change),
      close: () => metadata.close(),
    },
  };
}
