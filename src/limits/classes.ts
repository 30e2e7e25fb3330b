/** How many units a second a key gets, and how many at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What is limited, each with buckets of its own: by address before a caller is known, by identity, credential and address afterwards. */
export const LIMITED = [
  "unauthenticated",
  "auth-fail",
  "token",
  "read-meta",
  "read-blob",
  "upload-start",
  "mutate",
  "search",
  "export",
] as const;
export type Limited = (typeof LIMITED)[number];
export type Rates = Readonly<Record<Limited, Rate>>;

/** Rates that neither a conformance run nor a benchmark on one machine meets; they bound what a caller gone wild costs. */
export const DEFAULT_RATES: Rates = {
  unauthenticated: { perSecond: 1000, burst: 20_000 },
  // Tokens that ran out or lack a scope are among them, and are routine; guessing is what `registry/lockout.ts` stops.
  "auth-fail": { perSecond: 200, burst: 4000 },
  token: { perSecond: 1000, burst: 20_000 },
  "read-meta": { perSecond: 5000, burst: 50_000 },
  "read-blob": { perSecond: 5000, burst: 50_000 },
  "upload-start": { perSecond: 5000, burst: 50_000 },
  mutate: { perSecond: 5000, burst: 50_000 },
  search: { perSecond: 500, burst: 5000 },
  export: { perSecond: 100, burst: 1000 },
};

/** Many people share the address of an office or a proxy: where a caller is known, its address has so many times the rate of one identity. */
export const ADDRESS_FACTOR = 4;

/** A namespace is used by many: all of them together have so many times the rate of one identity there, where nothing else is set. */
export const NAMESPACE_FACTOR = 20;

/** So many units a process takes at a time at most; and as little of what there is at once that those of others hardly miss it. */
const MAX_LEASE = 64;
const LEASED_PART = 32;

/** How many units of a frequent class a process takes at a time at most, so that most requests ask nobody (identity.md 8.3). */
export function leaseOf({ burst }: Rate): number {
  return Math.min(MAX_LEASE, Math.max(1, Math.floor(burst / LEASED_PART)));
}

export const LEASED: ReadonlySet<Limited> = new Set(["unauthenticated", "token", "read-meta", "read-blob", "upload-start", "mutate"]);

/** The rates of one of so many processes that cannot ask each other: together they let through no more than all of them are to. */
export function sharedRates(rates: Rates, processes: number): Rates {
  const share = ({ perSecond, burst }: Rate): Rate => ({
    perSecond: perSecond / processes,
    burst: Math.max(1, Math.floor(burst / processes)),
  });
  return {
    unauthenticated: share(rates.unauthenticated),
    "auth-fail": share(rates["auth-fail"]),
    token: share(rates.token),
    "read-meta": share(rates["read-meta"]),
    "read-blob": share(rates["read-blob"]),
    "upload-start": share(rates["upload-start"]),
    mutate: share(rates.mutate),
    search: share(rates.search),
    export: share(rates.export),
  };
}
