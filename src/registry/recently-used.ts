/** Remembers values by text, as many as their sizes together allow, and forgets the least recently used ones first. */
export class RecentlyUsed<Value> {
  readonly #values = new Map<string, { readonly value: Value; readonly size: number }>();
  readonly #max: number;
  #size = 0;

  /** `max` is in the unit of the sizes: a number of values, where these have none. */
  constructor(max: number) {
    this.#max = max;
  }

  get(key: string): Value | undefined {
    const held = this.#values.get(key);
    if (held === undefined) return undefined;
    // Inserted anew, so that the least recently used one comes first.
    this.#values.delete(key);
    this.#values.set(key, held);
    return held.value;
  }

  set(key: string, value: Value, size = 1): void {
    this.delete(key);
    this.#values.set(key, { value, size });
    this.#size += size;
    for (const oldest of this.#values.keys()) {
      if (this.#size <= this.#max) return;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    this.#size -= this.#values.get(key)?.size ?? 0;
    this.#values.delete(key);
  }
}
