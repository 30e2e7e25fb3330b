import type { Actor, AuditEvent } from "../audit/event.ts";
import type { Presented } from "../identity/authorization.ts";
import { secretKindOf } from "../identity/api-key.ts";
import type { Principal, TokenAccess } from "../identity/principal.ts";
import { type TokenClaims, verifyToken } from "../identity/token.ts";
import { type CredentialRefusal, type LiveCredential, findById } from "./find-credential.ts";
import { type LoginRefusal, Logins, type Origin, actorOf } from "./logins.ts";
import type { Caller, Services } from "./ports.ts";
import { TokenKeys } from "./token-keys.ts";
import { VerifiedTokens } from "./verified-tokens.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;

/** What is fixed for a process. */
export interface AuthenticationOptions {
  /** The audience of access tokens: the registry's service name, which may be known only once the server listens. */
  readonly audience: () => string;
  /** The predecessor's single token; undefined when it is off. */
  readonly serviceToken: string | undefined;
  /** Takes events that are worth a bounded amount of disk: refused logins, issued tokens, denied requests. */
  readonly note: (event: AuditEvent) => void;
}

export interface Authenticated {
  readonly caller: Caller;
  /** When the credential ends by itself, in epoch milliseconds; null when it does not. */
  readonly expiresAt: number | null;
}

/** Tells who presents a credential. */
export class Authenticator {
  readonly #services: Needs;
  readonly #logins: Logins;
  readonly #keys: TokenKeys;
  readonly #verified = new VerifiedTokens();
  readonly #audience: () => string;
  readonly #serviceToken: string | undefined;

  constructor(services: Needs, { audience, serviceToken, note }: AuthenticationOptions) {
    this.#services = services;
    this.#logins = new Logins(services, note);
    this.#keys = new TokenKeys(services);
    this.#audience = audience;
    this.#serviceToken = serviceToken;
  }

  /** The caller, or why not. The service token is taken only where `acceptsServiceToken`: on `/v1`. */
  async authenticate(presented: Presented, origin: Origin, acceptsServiceToken: boolean): Promise<Authenticated | LoginRefusal> {
    if (presented.scheme === "basic") return this.#byKey(presented.secret, presented.name, origin);
    const { token } = presented;
    if (secretKindOf(token) === "api-key") return this.#byKey(token, undefined, origin);
    if (isJwt(token)) return this.#byAccessToken(token, origin);
    if (acceptsServiceToken && this.#serviceToken !== undefined) return this.#byServiceToken(token, this.#serviceToken, origin);
    return this.#byKey(token, undefined, origin);
  }

  async #byKey(secret: string, name: string | undefined, origin: Origin): Promise<Authenticated | LoginRefusal> {
    const found = await this.#logins.logIn({ kind: "api-key", secret, name, by: "header" }, origin);
    return "refusal" in found ? found : this.#authenticated(found, undefined, origin);
  }

  async #byServiceToken(offered: string, token: string, origin: Origin): Promise<Authenticated | LoginRefusal> {
    const proof = await this.#logins.isServiceToken(offered, token, origin);
    if (proof !== true) return proof;
    return { caller: this.withoutIdentity("service-token", origin), expiresAt: null };
  }

  /** A caller that is no identity: whoever has the service token, or a program of this machine (RULES 19). */
  withoutIdentity(kind: "service-token" | "local-reader", origin: Origin): Caller {
    const { duties } = this.#services.settings;
    const principal: Principal = { name: kind, kind, bindings: [], countsAs: kind, duties, credential: undefined, access: undefined };
    return { principal, actor: actorOf({ principal: kind, kind }, origin) };
  }

  /**
   * The token caps, live records decide (identity.md 2.4). A token that is refused is no failed login: tokens run out all the time,
   * and signatures are not guessed.
   */
  async #byAccessToken(token: string, origin: Origin): Promise<Authenticated | LoginRefusal> {
    const claims = await this.#claimsOf(token);
    if (claims === undefined) return refused("unknown");
    const found = await findById(this.#services, claims.cid);
    if ("refusal" in found) return refused(found.refusal);
    if (found.identity.name !== claims.sub || found.identity.epoch !== claims.epoch) return refused("revoked");
    return this.#authenticated(found, claims.access, origin);
  }

  async #claimsOf(token: string): Promise<TokenClaims | undefined> {
    const now = this.#services.clock();
    const known = this.#verified.get(token, now);
    if (known !== undefined) return known;
    const claims = await verifyToken(token, { issuer: this.#services.settings.publicUrl, audience: this.#audience() }, now, (kid) =>
      this.#keys.verificationKey(kid),
    );
    if (claims !== undefined) this.#verified.set(token, claims, now);
    return claims;
  }

  #authenticated(found: LiveCredential, access: readonly TokenAccess[] | undefined, origin: Origin): Authenticated {
    return { caller: callerOf(this.#services, found, access, origin), expiresAt: found.credential.expiresAt };
  }
}

/** Who comes with a credential that is in force; `access` caps what it may do, when it is a token. */
export function callerOf(
  { settings: { duties } }: Pick<Services, "settings">,
  { identity, credential }: LiveCredential,
  access: readonly TokenAccess[] | undefined,
  origin: Origin,
): Caller {
  const { name, kind, bindings, countsAs } = identity;
  const who: Pick<Actor, "principal" | "kind" | "credential"> = { principal: name, kind, credential: credential.id };
  const principal: Principal = { name, kind, bindings, countsAs, duties, credential: credential.id, access };
  return { principal, actor: actorOf(who, origin) };
}

function refused(refusal: CredentialRefusal): LoginRefusal {
  return { refusal, waitMilliseconds: 0 };
}

function isJwt(token: string): boolean {
  return token.startsWith("eyJ") && token.split(".").length === 3;
}
