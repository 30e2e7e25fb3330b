import { encodeKey } from "./lmdb-key.ts";
import type { Change, Entry, Expectation, Key, KeyRange, MetadataStore, Outcome, Put } from "./metadata-store.ts";

/** What the pending change rested on is not so any more: build it anew. */
export class StaleChangeError extends Error {
  override readonly name = "StaleChangeError";
}

/** The version of what a pending change puts: no committed record has it. */
const PENDING = -1;

/**
 * The store as it will be after a change that is not committed yet. What is committed through it is committed together with that change,
 * in one; from then on it is the store itself. `commit` throws `StaleChangeError` when the pending change cannot be committed any more.
 */
export function withPendingChange(store: MetadataStore, pending: Change): MetadataStore {
  return new WithPendingChange(store, pending);
}

class WithPendingChange implements MetadataStore {
  readonly #store: MetadataStore;
  /** By encoded key; null for what is removed. Empty once all is committed. */
  readonly #overlay = new Map<string, Put | null>();
  #pending: Change | undefined;

  constructor(store: MetadataStore, pending: Change) {
    this.#store = store;
    this.#pending = pending;
    for (const [name, put] of outcomeOf(pending)) this.#overlay.set(name, put);
  }

  async get(key: Key): Promise<Entry | undefined> {
    const over = this.#overlay.get(nameOf(key));
    if (over === undefined) return this.#store.get(key);
    return over === null ? undefined : { ...over, version: PENDING };
  }

  async list(range: KeyRange): Promise<readonly Entry[]> {
    if (this.#overlay.size === 0) return this.#store.list(range);
    const [start, end] = [encodeKey(range.start), encodeKey(range.end)];
    const inRange = [...this.#overlay].filter(([name]) => isBetween(Buffer.from(name, "latin1"), start, end));
    // As many more as the pending change may hide.
    const below = await this.#store.list({ ...range, limit: range.limit + inRange.length });
    const hidden = new Set(inRange.map(([name]) => name));
    const entries = below.filter(({ key }) => !hidden.has(nameOf(key)));
    for (const [, put] of inRange) if (put !== null) entries.push({ ...put, version: PENDING });
    const sign = range.reverse === true ? -1 : 1;
    return entries.toSorted((a, b) => sign * Buffer.compare(encodeKey(a.key), encodeKey(b.key))).slice(0, range.limit);
  }

  async commit(change: Change): Promise<Outcome> {
    const pending = this.#pending;
    if (pending === undefined) return this.#store.commit(change);
    if (!change.expect.every((expectation) => this.#meets(expectation))) return "conflict";
    const outcome = await this.#store.commit(this.#joined(pending, change));
    if (outcome === "committed") {
      this.#pending = undefined;
      this.#overlay.clear();
    } else if (!(await this.#stands(pending))) {
      throw new StaleChangeError();
    }
    return outcome;
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  /** Of what the pending change writes, its version is known here; all else is left to the store. */
  #meets({ key, version }: Expectation): boolean {
    const over = this.#overlay.get(nameOf(key));
    return over === undefined || version === (over === null ? "absent" : PENDING);
  }

  #joined(pending: Change, change: Change): Change {
    const after = new Map([...this.#overlay, ...outcomeOf(change)]);
    const removed = new Map([...pending.remove, ...change.remove].map((key) => [nameOf(key), key]));
    return {
      expect: [...pending.expect, ...change.expect.filter(({ key }) => !this.#overlay.has(nameOf(key)))],
      put: [...after.values()].filter((put) => put !== null),
      remove: [...removed].filter(([name]) => after.get(name) === null).map(([, key]) => key),
      audit: [...pending.audit, ...change.audit],
    };
  }

  async #stands({ expect }: Change): Promise<boolean> {
    for (const { key, version } of expect) if (((await this.#store.get(key))?.version ?? "absent") !== version) return false;
    return true;
  }
}

/** What a change leaves of each key that it names, in the store's order: null where nothing is left. */
function outcomeOf({ put, remove }: Change): readonly (readonly [string, Put | null])[] {
  return [...remove.map((key) => [nameOf(key), null] as const), ...put.map((one) => [nameOf(one.key), one] as const)];
}

function nameOf(key: Key): string {
  return encodeKey(key).toString("latin1");
}

function isBetween(name: Buffer, start: Buffer, end: Buffer): boolean {
  return Buffer.compare(name, start) >= 0 && Buffer.compare(name, end) < 0;
}
