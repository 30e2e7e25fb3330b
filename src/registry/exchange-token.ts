import { liveRightsOn } from "../identity/authorize.ts";
import type { Principal, TokenAccess } from "../identity/principal.ts";
import { grantScopes } from "../identity/scope.ts";
import { TOKEN_LIFETIME, mintToken } from "../identity/token.ts";
import { auditEvent } from "./audit-event.ts";
import type { AuthenticationOptions } from "./authenticate.ts";
import type { LiveCredential } from "./find-credential.ts";
import { type LoginKind, createLoginCredential } from "./login-credential.ts";
import { type LoginRefusal, Logins, type Offer, type Origin, actorOf } from "./logins.ts";
import type { Services } from "./ports.ts";
import { TokenKeys } from "./token-keys.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;

const DAY = 24 * 60 * 60 * 1000;
/**
 * identity.md 2.5: no client writes a rotated token back, so that it lives shortly instead. Each `docker login` makes one, and none says
 * when it is no longer needed.
 */
const REFRESH_TOKEN: LoginKind = { kind: "refresh-token", lifetime: 30 * DAY, idle: 7 * DAY, most: 50 };

/** What a client asks the token endpoint for, with the secret that proves it. */
export interface TokenRequest {
  readonly offer: Offer;
  readonly scopes: readonly TokenAccess[];
  /** Does the client want a refresh token, to keep instead of the password? */
  readonly offline: boolean;
}

export interface TokenGrant {
  readonly token: string;
  /** Seconds. */
  readonly expiresIn: number;
  /** Epoch milliseconds, of a whole second. */
  readonly issuedAt: number;
  /** What was granted of what was asked for. */
  readonly access: readonly TokenAccess[];
  readonly refreshToken: string | undefined;
}

/** Exchanges API keys and refresh tokens for access tokens that live some minutes (identity.md 2.3). */
export class TokenIssuer {
  readonly #services: Needs;
  readonly #logins: Logins;
  readonly #keys: TokenKeys;
  readonly #audience: () => string;
  readonly #note: AuthenticationOptions["note"];

  constructor(services: Needs, { audience, note }: Pick<AuthenticationOptions, "audience" | "note">) {
    this.#services = services;
    this.#logins = new Logins(services, note);
    this.#keys = new TokenKeys(services);
    this.#audience = audience;
    this.#note = note;
  }

  /** A token with what the identity may do now of what was asked for; a login is refused, a scope never is. */
  async exchange({ offer, scopes, offline }: TokenRequest, origin: Origin): Promise<TokenGrant | LoginRefusal> {
    const login = await this.#logins.logIn(offer, origin);
    if ("refusal" in login) return login;
    const { identity, credential } = login;
    const actor = actorOf({ principal: identity.name, kind: identity.kind, credential: credential.id }, origin);
    const access = grantScopes(scopes, (repository) => liveRightsOn(this.#principalOf(login), repository));
    const issuedAt = Math.floor(this.#services.clock() / 1000);
    const parties = { issuer: this.#services.settings.publicUrl, audience: this.#audience() };
    const token = await mintToken(await this.#keys.signingKey(), parties, {
      sub: identity.name,
      access: [...access],
      cid: credential.id,
      amr: [credential.kind],
      epoch: identity.epoch,
      jti: this.#services.newId(),
      iat: issuedAt,
      exp: issuedAt + TOKEN_LIFETIME,
    });
    // A refresh token cannot beget others: it would outlive its own 30 days.
    const wantsRefresh = offline && credential.kind === "api-key";
    const refreshToken = wantsRefresh ? await createLoginCredential(this.#services, { ...login, actor }, REFRESH_TOKEN) : undefined;
    const target = { kind: "identity", name: identity.name } as const;
    this.#note(auditEvent(this.#services, actor, { type: "auth.token.issue", target }));
    return { token, expiresIn: TOKEN_LIFETIME, issuedAt: issuedAt * 1000, access, refreshToken };
  }

  #principalOf({ identity, credential }: LiveCredential): Principal {
    const { name, kind, bindings, countsAs } = identity;
    return { name, kind, bindings, countsAs, duties: this.#services.settings.duties, credential: credential.id, access: undefined };
  }
}
