import { createHash } from "node:crypto";
import type { TokenClaims } from "../identity/token.ts";

/** identity.md 2.4: bounds of the memory of one worker. */
const MAX_TOKENS = 10_000;
const MAX_AGE = 30_000;

/** Claims of tokens whose signature was checked a moment ago. It saves the signature alone: rights are read live every time. */
export class VerifiedTokens {
  readonly #claims = new Map<string, { readonly claims: TokenClaims; readonly at: number }>();
  readonly #max: number;

  constructor(max = MAX_TOKENS) {
    this.#max = max;
  }

  /** The claims of a token that was checked less than half a minute ago and is still in force; `now` is epoch milliseconds. */
  get(token: string, now: number): TokenClaims | undefined {
    const key = keyOf(token);
    const known = this.#claims.get(key);
    if (known === undefined) return undefined;
    this.#claims.delete(key);
    if (known.at + MAX_AGE <= now || known.claims.exp * 1000 <= now) return undefined;
    // Re-inserted, so that the least recently used one comes first.
    this.#claims.set(key, known);
    return known.claims;
  }

  set(token: string, claims: TokenClaims, now: number): void {
    this.#claims.set(keyOf(token), { claims, at: now });
    if (this.#claims.size <= this.#max) return;
    const [oldest] = this.#claims.keys();
    if (oldest !== undefined) this.#claims.delete(oldest);
  }
}

function keyOf(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
