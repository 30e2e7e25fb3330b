import type { MetadataStore } from "../storage/metadata-store.ts";

/** By the store that the work is about: the last turn that was taken under a name. */
const LAST = new WeakMap<MetadataStore, Map<string, Promise<void>>>();

/**
 * Does work one after the other that has the same name, within this process: of many that would change the same record at once all but one
 * would work in vain, again and again. Other processes are kept apart by what a commit expects.
 */
export async function inTurn<T>(store: MetadataStore, name: string, work: () => Promise<T>): Promise<T> {
  const turns = LAST.get(store) ?? new Map<string, Promise<void>>();
  LAST.set(store, turns);
  const before = turns.get(name);
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  turns.set(name, over);
  try {
    await before;
    return await work();
  } finally {
    end();
    if (turns.get(name) === over) turns.delete(name);
  }
}
