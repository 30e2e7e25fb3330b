import { RegistryError } from "../oci/errors.ts";
import type { Ask } from "./route.ts";

/** How many units a second a key gets, and how many at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** More keys than this are not told apart: they share one bucket, so that a flood of fresh keys neither fills the memory nor frees anybody. */
const MAX_KEYS = 100_000;
const OVERFLOW = "";

/** How long the caller has to wait, in milliseconds; zero when it may go on. */
type Wait = number;

/**
 * A leaky bucket as one number a key, the generic cell rate algorithm (identity.md 8.2): the theoretical arrival time of the next unit.
 * It refills smoothly, so that an honest `Retry-After` is short.
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

  /** Takes a unit at a time in milliseconds; a refused caller is charged nothing. */
  take(key: string, now: number): Wait {
    const known = this.#arrivals.has(key) || this.#hasRoom(now);
    const bucket = known ? key : OVERFLOW;
    const next = Math.max(this.#arrivals.get(bucket) ?? 0, now) + this.#interval;
    const over = next - this.#tolerance - now;
    if (over > 0) return over;
    // Re-inserted, so that the map stays ordered by last use and a sweep meets the stale keys first.
    this.#arrivals.delete(bucket);
    this.#arrivals.set(bucket, next);
    return 0;
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

/** What is limited, each with buckets of its own: by address before a caller is known, by principal afterwards. */
const LIMITED = ["unauthenticated", "auth-fail", "token", "upload-start", "mutate"] as const;
export type Limited = (typeof LIMITED)[number];

/** Rates that neither a conformance run nor a benchmark on one machine meets; they bound what a caller gone wild costs. */
export const DEFAULT_RATES: Readonly<Record<Limited, Rate>> = {
  unauthenticated: { perSecond: 1000, burst: 20_000 },
  // Tokens that ran out or lack a scope are among them, and are routine; guessing is what `registry/lockout.ts` stops.
  "auth-fail": { perSecond: 200, burst: 4000 },
  token: { perSecond: 1000, burst: 20_000 },
  "upload-start": { perSecond: 5000, burst: 50_000 },
  mutate: { perSecond: 5000, burst: 50_000 },
};

/** The limits of one process. */
export class Limiter {
  readonly #buckets: ReadonlyMap<Limited, Gcra>;

  constructor(rates: Readonly<Record<Limited, Rate>> = DEFAULT_RATES) {
    this.#buckets = new Map(LIMITED.map((limited) => [limited, new Gcra(rates[limited])]));
  }

  /**
   * Takes a unit or throws `TOO_MANY_REQUESTS`. PATCH and PUT pass: clients give up for good, or hang, when an upload that was
   * admitted is answered by 429 (identity.md 8.1).
   */
  take(c: Ask, limited: Limited, key: string): void {
    if (c.req.method === "PATCH" || c.req.method === "PUT") return;
    const wait = this.#buckets.get(limited)?.take(key, performance.now()) ?? 0;
    if (wait === 0) return;
    const seconds = Math.ceil(wait / 1000);
    throw new RegistryError("TOO_MANY_REQUESTS", `too many requests; try again in ${seconds} s`, {
      headers: { "Retry-After": String(seconds) },
    });
  }
}

/** The bucket of an address: whoever has an IPv6 address has a /64 of them. */
export function addressKey(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("%", 1)[0]?.split("::") ?? [];
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array<string>(gap).fill("0"), ...right].slice(0, 4).join(":");
}
