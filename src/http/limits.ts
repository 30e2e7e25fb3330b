import { hasRoleIn } from "../identity/authorize.ts";
import type { Principal } from "../identity/principal.ts";
import type { Charged, Grant } from "../limits/buckets.ts";
import { DEFAULT_RATES, LEASED, type Limited, type Rates, leaseOf } from "../limits/classes.ts";
import { Leases } from "../limits/leases.ts";
import type { Limits } from "../limits/limits.ts";
import { RegistryError } from "../oci/errors.ts";
import { type RepositoryName, isRepositoryName, namespaceOf } from "../oci/reference.ts";
import type { Ask, Door } from "./route.ts";

/** What a request through a door counts as, once its caller is known. */
export function limitOf({ limit, method, action }: Pick<Door, "limit" | "method" | "action">): Limited {
  if (limit !== undefined) return limit;
  if (method === "GET") return "read-meta";
  return method === "POST" && action === "push" ? "upload-start" : "mutate";
}

/**
 * The namespace that a request counts in, as far as its path names one. Who has no role there is none of its users and takes nothing from
 * them; what such a caller is shown is decided elsewhere.
 */
export function namespaceCounted(c: Ask, { principal }: { readonly principal: Principal }, name?: RepositoryName): string | undefined {
  const text = name ?? c.req.param("namespace") ?? /^[^@:]+/.exec(c.req.param("ref") ?? "")?.[0] ?? "";
  if (!isRepositoryName(text)) return undefined;
  const namespace = namespaceOf(text);
  return hasRoleIn(principal, namespace) ? namespace : undefined;
}

/** Holds requests to their limits. What is frequent is taken in advance, so that a hot reader hardly ever waits for another process. */
export class Limiter {
  readonly #limits: Pick<Limits, "take">;
  readonly #rates: Rates;
  readonly #leases = new Leases();
  /** Those who are being asked about, so that who waits does not ask as well. */
  readonly #asking = new Map<string, Promise<Grant>>();

  constructor(limits: Pick<Limits, "take">, rates: Rates = DEFAULT_RATES) {
    this.#limits = limits;
    this.#rates = rates;
  }

  /**
   * Takes a unit or throws `TOO_MANY_REQUESTS`; a promise only where another process has to be asked. PATCH and PUT
   * pass: clients give up for good, or hang, when an upload that was admitted is answered by 429 (identity.md 8.1).
   */
  take(c: Ask, limited: Limited, charged: Charged): void | Promise<void> {
    if (c.req.method === "PATCH" || c.req.method === "PUT") return;
    const key = `${limited} ${charged.address} ${charged.identity ?? ""} ${charged.credential ?? ""} ${charged.namespace ?? ""}`;
    const known = this.#leases.take(key, performance.now());
    if (known !== undefined) return this.#judge(c, limited, known);
    return this.#ask(c, { limited, charged, key });
  }

  async #ask(c: Ask, asked: { readonly limited: Limited; readonly charged: Charged; readonly key: string }): Promise<void> {
    const { limited, charged, key } = asked;
    for (let other = this.#asking.get(key); other !== undefined; other = this.#asking.get(key)) {
      await other;
      const known = this.#leases.take(key, performance.now());
      if (known !== undefined) return this.#judge(c, limited, known);
    }
    const isLeased = LEASED.has(limited);
    const want = isLeased ? this.#leases.wanted(key, leaseOf(this.#rates[limited])) : 1;
    const asking = Promise.resolve(this.#limits.take(limited, charged, want));
    if (isLeased) this.#asking.set(key, asking);
    try {
      const grant = await asking;
      this.#judge(c, limited, isLeased || grant.units === 0 ? this.#leases.keep(key, grant, performance.now()) : grant);
    } finally {
      if (isLeased) this.#asking.delete(key);
    }
  }

  #judge(c: Ask, limited: Limited, grant: Grant): void {
    if (c.req.path.startsWith("/v1/")) this.#tell(c, limited, grant);
    if (grant.units > 0) return;
    const seconds = Math.max(1, Math.ceil(grant.wait / 1000));
    throw new RegistryError("TOO_MANY_REQUESTS", `too many requests; try again in ${seconds} s`, {
      headers: { "Retry-After": String(seconds) },
    });
  }

  /** draft-ietf-httpapi-ratelimit-headers: what there is in all, in which time, and what is left of it. */
  #tell({ env: { outgoing } }: Ask, limited: Limited, { left, fullIn }: Grant): void {
    const { perSecond, burst } = this.#rates[limited];
    outgoing.setHeader("RateLimit-Policy", `"${limited}";q=${burst};w=${Math.max(1, Math.ceil(burst / perSecond))}`);
    outgoing.setHeader("RateLimit", `"${limited}";r=${Math.max(0, Math.floor(left))};t=${Math.ceil(fullIn / 1000)}`);
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
