import { parseAuthorization } from "../../identity/authorization.ts";
import type { Realm } from "../../identity/realm.ts";
import { formatScopes, parseScopes } from "../../identity/scope.ts";
import { RegistryError } from "../../oci/errors.ts";
import type { AuthenticationOptions } from "../../registry/authenticate.ts";
import { type TokenGrant, TokenIssuer } from "../../registry/exchange-token.ts";
import type { LoginRefusal, Offer } from "../../registry/logins.ts";
import type { Services } from "../../registry/ports.ts";
import { originOf, tooManyFailures } from "../authenticate.ts";
import { wholeBody } from "../body.ts";
import type { Ask, Door } from "../route.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;

export interface TokenDoorOptions {
  /** What a challenge names, by the `Host` of the request (RULES 20). */
  readonly realm: (host: string | undefined) => Realm;
  /** Takes refused logins and issued tokens, to be coalesced. */
  readonly refused: AuthenticationOptions["note"];
}

/** identity.md 2.3.2. */
const MAX_FORM = 64 * 1024;
const MAX_SCOPE_PARAMETERS = 64;
/** Not on `/v2`: this one door has no other way to be asked, and HTTP wants a challenge with every 401 (RFC 9110 §15.5.2). */
const CHALLENGE = { "WWW-Authenticate": 'Basic realm="ai-model-registry"', "Cache-Control": "no-store" };

/** Docker's token endpoint, by GET and by POST (identity.md 2.3.2): API keys and refresh tokens in, access tokens out. */
export function tokenDoors(services: Needs, { realm, refused }: TokenDoorOptions): readonly Door[] {
  const issuer = new TokenIssuer(services, { audience: () => realm(undefined).service, note: refused });
  const answer = async (c: Ask, asked: Asked): Promise<Response> => {
    const { service } = realm(c.req.header("host"));
    if (asked.service !== undefined && asked.service !== service) throw invalid("the service is not this registry");
    if (asked.offer === undefined) throw new RegistryError("UNAUTHORIZED", "log in with a name and an API key", { headers: CHALLENGE });
    const scopes = asked.scopes.length > MAX_SCOPE_PARAMETERS ? undefined : parseScopes(asked.scopes);
    if (scopes === undefined) throw invalid("a token can be asked for at most 32 scopes");
    const granted = await issuer.exchange({ offer: asked.offer, scopes, offline: asked.offline }, originOf(c));
    if ("refusal" in granted) throw refusalOf(granted);
    return c.json(shown(granted), 200, { "Cache-Control": "no-store" });
  };
  return [
    { method: "GET", path: "/auth/token", action: "open", handle: (c) => answer(c, fromQuery(c)) },
    {
      method: "POST",
      path: "/auth/token",
      action: "open",
      handle: async (c) => {
        const form = new URLSearchParams((await wholeBody(c, MAX_FORM)).toString("utf8"));
        const asked = fromForm(form);
        return "error" in asked ? c.json(asked, 400, { "Cache-Control": "no-store" }) : answer(c, asked);
      },
    },
  ];
}

interface Asked {
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  readonly offline: boolean;
  readonly offer: Offer | undefined;
}

/** RFC 6749 §5.2; containerd then asks again by GET. */
interface OauthError {
  readonly error: "unsupported_grant_type" | "invalid_request";
  readonly error_description: string;
}

function fromQuery(c: Ask): Asked {
  const header = c.req.header("authorization");
  const presented = header === undefined ? undefined : parseAuthorization(header);
  if (header !== undefined && presented?.scheme !== "basic") throw refusalOf({ refusal: "unknown", waitMilliseconds: 0 });
  return {
    service: c.req.query("service"),
    scopes: c.req.queries("scope") ?? [],
    offline: c.req.query("offline_token") === "true" || c.req.query("access_type") === "offline",
    offer: presented?.scheme === "basic" ? { kind: "api-key", name: presented.name, secret: presented.secret, by: "header" } : undefined,
  };
}

function fromForm(form: URLSearchParams): Asked | OauthError {
  const offer = offerOf(form);
  if ("error" in offer) return offer;
  return {
    service: form.get("service") ?? undefined,
    scopes: form.getAll("scope"),
    offline: form.get("access_type") === "offline" || form.get("offline_token") === "true",
    offer,
  };
}

function offerOf(form: URLSearchParams): Offer | OauthError {
  const [name, password, refreshToken] = [form.get("username"), form.get("password"), form.get("refresh_token")];
  switch (form.get("grant_type")) {
    case "password": {
      if (name === null || password === null) return badRequest("a password grant has username and password");
      return { kind: "api-key", name, secret: password, by: "form" };
    }
    case "refresh_token": {
      if (refreshToken === null) return badRequest("a refresh grant has refresh_token");
      return { kind: "refresh-token", name: undefined, secret: refreshToken, by: "form" };
    }
    case null:
      return badRequest("grant_type is missing; it is password or refresh_token");
    default:
      return { error: "unsupported_grant_type", error_description: "the grants are password and refresh_token" };
  }
}

function badRequest(why: string): OauthError {
  return { error: "invalid_request", error_description: why };
}

function invalid(message: string): RegistryError {
  return new RegistryError("INVALID", message, { headers: { "Cache-Control": "no-store" } });
}

/** The same words whatever was wrong with the credential. */
function refusalOf(refusal: LoginRefusal): RegistryError {
  if (refusal.waitMilliseconds > 0) return tooManyFailures(refusal);
  return new RegistryError("UNAUTHORIZED", "the name or the key is wrong, or the key is no longer valid", { headers: CHALLENGE });
}

/** The same string in both of its names: clients look for one or the other. */
function shown({ token, expiresIn, issuedAt, access, refreshToken }: TokenGrant): Record<string, unknown> {
  return {
    token,
    access_token: token,
    expires_in: expiresIn,
    issued_at: new Date(issuedAt).toISOString(),
    ...(access.length === 0 ? {} : { scope: formatScopes(access) }),
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
  };
}
