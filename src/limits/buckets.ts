import { ADDRESS_FACTOR, LIMITED, type Limited, NAMESPACE_FACTOR, type Rate, type Rates } from "./classes.ts";
import { Gcra } from "./gcra.ts";

/** Whom a unit is charged to. */
export interface Charged {
  /** IPv6 by /64. */
  readonly address: string;
  /** Who is known has both buckets, and the credential's, besides. */
  readonly identity?: string | undefined;
  readonly credential?: string | undefined;
  /** The one that a request of somebody known is about. */
  readonly namespace?: string | undefined;
}

/** What was taken: the units, or how long (ms) to wait for one. */
export interface Grant {
  readonly units: number;
  readonly wait: number;
  /** What is left of the narrowest bucket, and how long (ms) until it is full again. */
  readonly left: number;
  readonly fullIn: number;
}

/** What a sweep of idle keys must not free: one limit of one class, by whatever it is counted. */
interface ClassBuckets {
  /** Of callers that are not known. */
  readonly strangers: Gcra;
  /** Of the addresses of those that are. */
  readonly addresses: Gcra;
  readonly callers: Gcra;
  readonly namespaces: Gcra;
}

/** Every bucket that there is. A unit is taken from all that it is charged to, or from none. */
export class Buckets {
  readonly #of: ReadonlyMap<Limited, ClassBuckets>;

  /** A namespace has so many times the rate of one identity. */
  constructor(rates: Rates, namespaceFactor = NAMESPACE_FACTOR) {
    this.#of = new Map(LIMITED.map((limited) => [limited, bucketsOf(rates[limited], namespaceFactor)]));
  }

  /** Takes at most `want` units, at least one or none. */
  take(limited: Limited, charged: Charged, want: number, now: number): Grant {
    const places = this.#places(limited, charged);
    const standings = places.map(({ bucket, key }) => bucket.standing(key, now));
    const available = Math.min(...standings.map(({ units }) => units));
    const units = Math.min(want, available);
    for (const { bucket, key } of units > 0 ? places : []) bucket.charge(key, now, units);
    const wait = Math.max(...standings.map((standing) => standing.wait));
    return { units, wait, left: available - units, fullIn: Math.max(...standings.map(({ fullIn }) => fullIn)) };
  }

  #places(
    limited: Limited,
    { address, identity, credential, namespace }: Charged,
  ): readonly { readonly bucket: Gcra; readonly key: string }[] {
    const buckets = this.#of.get(limited);
    if (buckets === undefined) return [];
    if (identity === undefined) return [{ bucket: buckets.strangers, key: address }];
    return [
      { bucket: buckets.addresses, key: address },
      { bucket: buckets.callers, key: `identity ${identity}` },
      ...(credential === undefined ? [] : [{ bucket: buckets.callers, key: `credential ${credential}` }]),
      ...(namespace === undefined ? [] : [{ bucket: buckets.namespaces, key: namespace }]),
    ];
  }
}

function bucketsOf(rate: Rate, namespaceFactor: number): ClassBuckets {
  const times = (factor: number): Gcra => new Gcra({ perSecond: rate.perSecond * factor, burst: rate.burst * factor });
  return { strangers: times(1), addresses: times(ADDRESS_FACTOR), callers: times(1), namespaces: times(namespaceFactor) };
}
