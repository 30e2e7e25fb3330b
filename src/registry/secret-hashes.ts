import { hash } from "node:crypto";
import { secretKindOf } from "../identity/api-key.ts";
import { secretHmac } from "./find-credential.ts";
import type { Services } from "./ports.ts";
import { RecentlyUsed } from "./recently-used.ts";

const MAX_SECRETS = 10_000;

/**
 * Keyed hashes of secrets that came a while ago, by their plain digests: a request spends more on a keyed hash than on any look-up. It saves
 * the hash alone, and what the secret opens is looked up every time.
 */
export class SecretHashes {
  readonly #services: Pick<Services, "secretFor">;
  readonly #known: RecentlyUsed<string>;

  constructor(services: Pick<Services, "secretFor">, max = MAX_SECRETS) {
    this.#services = services;
    this.#known = new RecentlyUsed(max);
  }

  /** Nobody finds a secret of ours by its digest. Anything else may be a password in the wrong place, which would be found, and is not kept. */
  of(secret: string): string {
    if (secretKindOf(secret) === undefined) return secretHmac(this.#services, secret);
    const digest = hash("sha256", secret);
    const known = this.#known.get(digest);
    if (known !== undefined) return known;
    const hmac = secretHmac(this.#services, secret);
    this.#known.set(digest, hmac);
    return hmac;
  }
}
