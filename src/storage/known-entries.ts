import { frozen } from "./frozen.ts";
import type { Entry, Key } from "./metadata-store.ts";
import { decodeRecord, holdsBytes, versionOf } from "./record-encoding.ts";

/** Larger records than these (bytes) are decoded each time: those of callers, their keys and what they ask for are small. */
const MAX_BYTES = 2048;
/** One more, and all are forgotten. */
const MAX_ENTRIES = 2000;

/**
 * Entries that were read before. A record is looked up every time and decoded only when its version is another one, since no two values of a
 * key have the same. Whoever asks gets the same entry, so that it is frozen.
 */
export class KnownEntries {
  readonly #known = new Map<string, Entry>();
  readonly #most: number;

  constructor(most = MAX_ENTRIES) {
    this.#most = most;
  }

  /** The entry of a record; `encoded` is its key in bytes. */
  of(key: Key, encoded: Buffer, record: Buffer): Entry {
    const version = versionOf(record);
    if (record.length > MAX_BYTES || holdsBytes(record)) return { key, value: decodeRecord(record), version };
    const name = encoded.toString("latin1");
    const known = this.#known.get(name);
    if (known?.version === version) return known;
    const entry = frozen({ key, value: decodeRecord(record), version });
    if (this.#known.size >= this.#most) this.#known.clear();
    this.#known.set(name, entry);
    return entry;
  }
}
