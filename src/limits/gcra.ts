import type { Rate } from "./classes.ts";

/** More keys than this are not told apart: they share one bucket, so that a flood of fresh keys neither fills the memory nor frees anybody. */
const MAX_KEYS = 100_000;
const OVERFLOW = "";
/** A part of a unit that is lost to rounding. */
const ROUNDING = 1e-6;

/** How a key stands. */
export interface Standing {
  /** Whole units that it may take now. */
  readonly units: number;
  /** Milliseconds until it may take one; zero when it may now. */
  readonly wait: number;
  /** Milliseconds until its whole burst is there again. */
  readonly fullIn: number;
}

/**
 * A leaky bucket as one number a key, the generic cell rate algorithm (identity.md 8.2): the theoretical arrival time of the next unit.
 * It refills smoothly, so that an honest `Retry-After` is short. Times are in milliseconds, of a clock that never goes back.
 */
export class Gcra {
  readonly #arrivals = new Map<string, number>();
  readonly #interval: number;
  readonly #tolerance: number;
  readonly #maxKeys: number;

  constructor({ perSecond, burst }: Rate, maxKeys = MAX_KEYS) {
    this.#interval = 1000 / perSecond;
    this.#tolerance = burst * this.#interval;
    this.#maxKeys = maxKeys;
  }

  standing(key: string, now: number): Standing {
    const ahead = Math.max(0, (this.#arrivals.get(this.#bucketOf(key, now)) ?? 0) - now);
    const units = Math.max(0, Math.floor((this.#tolerance - ahead) / this.#interval + ROUNDING));
    return { units, wait: units > 0 ? 0 : ahead + this.#interval - this.#tolerance, fullIn: ahead };
  }

  /** Takes units that `standing` has told of. */
  charge(key: string, now: number, units: number): void {
    const bucket = this.#bucketOf(key, now);
    const next = Math.max(this.#arrivals.get(bucket) ?? 0, now) + units * this.#interval;
    // Re-inserted, so that the map stays ordered by last use and a sweep meets the stale keys first.
    this.#arrivals.delete(bucket);
    this.#arrivals.set(bucket, next);
  }

  #bucketOf(key: string, now: number): string {
    return this.#arrivals.has(key) || this.#hasRoom(now) ? key : OVERFLOW;
  }

  /** Drops keys whose time has passed, and those alone: dropping a live one would free a limited caller. */
  #hasRoom(now: number): boolean {
    if (this.#arrivals.size < this.#maxKeys) return true;
    for (const [key, arrival] of this.#arrivals) {
      if (arrival > now) break;
      this.#arrivals.delete(key);
    }
    return this.#arrivals.size < this.#maxKeys;
  }
}
