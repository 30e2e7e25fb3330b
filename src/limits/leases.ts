import type { Grant } from "./buckets.ts";

/** So many callers have a lease at a time; who used his least lately loses it, and what is left of it. */
const MAX_LEASES = 10_000;

interface Lease {
  units: number;
  /** How many came last. */
  readonly granted: number;
  /** Until then whoever asks would be refused. */
  refusedUntil: number;
  /** Of the answer that it came with. */
  left: number;
  fullIn: number;
}

/** The units that a process has taken in advance, and the refusals that it need not ask for again. Times are in milliseconds. */
export class Leases {
  readonly #leases = new Map<string, Lease>();
  readonly #most: number;

  constructor(most = MAX_LEASES) {
    this.#most = most;
  }

  /** A unit of a lease, or a refusal that still holds; undefined when somebody has to be asked. */
  take(key: string, now: number): Grant | undefined {
    const lease = this.#leases.get(key);
    if (lease === undefined) return undefined;
    const { left, fullIn } = lease;
    if (lease.units > 0) {
      lease.units -= 1;
      return { units: 1, wait: 0, left: left + lease.units, fullIn };
    }
    if (lease.refusedUntil > now) return { units: 0, wait: lease.refusedUntil - now, left: 0, fullIn };
    return undefined;
  }

  /**
   * How many units to ask for: one at first, then twice as many as came last, up to `most`. So nobody ever has more in advance than he has
   * used, and who asks once in many places takes from the buckets of each what he asks.
   */
  wanted(key: string, most: number): number {
    return Math.min(most, Math.max(1, 2 * (this.#leases.get(key)?.granted ?? 0)));
  }

  /** Keeps what a grant holds beyond its first unit; that unit, or the refusal. */
  keep(key: string, grant: Grant, now: number): Grant {
    const { units, wait, left, fullIn } = grant;
    const spare = (this.#leases.get(key)?.units ?? 0) + Math.max(0, units - 1);
    this.#leases.delete(key);
    this.#leases.set(key, { units: spare, granted: units, refusedUntil: now + wait, left, fullIn });
    const [oldest] = this.#leases.keys();
    if (this.#leases.size > this.#most && oldest !== undefined) this.#leases.delete(oldest);
    return { units: Math.min(1, units), wait, left: left + spare, fullIn };
  }
}
