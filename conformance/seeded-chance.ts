/** Chance that begins the same way for the same seed (the generator mulberry32), so that a run can be told by its number. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, but without, 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** Undefined only for an empty list. */
  pick<T>(list: readonly T[]): T | undefined {
    return list[this.between(0, list.length - 1)];
  }

  /** True so often in a hundred. */
  inHundred(times: number): boolean {
    return this.next() * 100 < times;
  }

  /** Chance of its own for somebody else, whose pace then changes nothing here. */
  fork(): Chance {
    return new Chance(this.between(0, 2 ** 32 - 1));
  }
}
