import { hash } from "node:crypto";
import type { TokenClaims } from "../identity/token.ts";
import { RecentlyUsed } from "./recently-used.ts";

/** identity.md 2.4: bounds of the memory of one worker. */
const MAX_TOKENS = 10_000;
const MAX_AGE = 30_000;

/** Claims of tokens whose signature was checked a moment ago. It saves the signature alone: rights are read live every time. */
export class VerifiedTokens {
  readonly #claims: RecentlyUsed<{ readonly claims: TokenClaims; readonly at: number }>;

  constructor(max = MAX_TOKENS) {
    this.#claims = new RecentlyUsed(max);
  }

  /** The claims of a token that was checked less than half a minute ago and is still in force; `now` is epoch milliseconds. */
  get(token: string, now: number): TokenClaims | undefined {
    const key = keyOf(token);
    const known = this.#claims.get(key);
    if (known !== undefined && now < known.at + MAX_AGE && now < known.claims.exp * 1000) return known.claims;
    this.#claims.delete(key);
    return undefined;
  }

  set(token: string, claims: TokenClaims, now: number): void {
    this.#claims.set(keyOf(token), { claims, at: now });
  }
}

function keyOf(token: string): string {
  return hash("sha256", token);
}
