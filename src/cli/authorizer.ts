import { z } from "zod";
import type { Credential } from "./credential.ts";
import { CliError, EXIT } from "./failure.ts";
import { type HttpAnswer, type HttpAsk, type HttpClient, bytesBody, discard, readJson } from "./http.ts";
import { refusedBy } from "./refused.ts";

const MAX_TOKEN_ANSWER = 64 * 1024;
/** Lifetime of a token that names none (distribution-spec's token documentation), and what is taken off for clocks and slow requests. */
const DEFAULT_SECONDS = 60;
const MARGIN_SECONDS = 10;

const tokenSchema = z.object({
  token: z.string().optional(),
  access_token: z.string().optional(),
  expires_in: z.number().positive().optional(),
});

interface Token {
  readonly token: string;
  readonly goodUntil: number;
}

/** Sends requests with the credential that they need: a key at once, anything else by the Bearer challenge and a token. */
export class Authorizer {
  readonly #http: HttpClient;
  readonly #credential: Credential | undefined;
  readonly #tokens = new Map<string, Token>();

  constructor(http: HttpClient, credential: Credential | undefined) {
    this.#http = http;
    this.#credential = credential;
  }

  /** Sends a request; a challenge is answered once, with a token of that scope (empty: one without any). */
  async send(ask: HttpAsk, scope: string): Promise<HttpAnswer> {
    const cached = this.#cached(scope);
    const unasked = cached ?? this.#apiKey();
    const answer = await this.#http.send(withAuthorization(unasked, ask));
    const challenge = answer.status === 401 ? parseChallenge(answer.headers["www-authenticate"]) : undefined;
    // An API key that was refused is no better as a token, and would count as one more failed login.
    const final = unasked !== undefined && cached === undefined;
    if (challenge === undefined || final || this.#credential === undefined) return answer;
    discard(answer);
    const token = await this.#fetchToken(challenge, this.#credential, scope);
    return this.#http.send(withAuthorization(`Bearer ${token}`, ask));
  }

  #cached(scope: string): string | undefined {
    const token = this.#tokens.get(scope);
    return token !== undefined && Date.now() < token.goodUntil ? `Bearer ${token.token}` : undefined;
  }

  /** An API key needs no token. */
  #apiKey(): string | undefined {
    const credential = this.#credential;
    if (credential?.kind === "token") return `Bearer ${credential.secret}`;
    return credential?.kind === "password" && credential.secret.startsWith("amr_") ? basic(credential) : undefined;
  }

  async #fetchToken({ realm, service }: Challenge, credential: Credential, scope: string): Promise<string> {
    const answer = await this.#http.send(tokenRequest({ realm: this.#checkedRealm(realm), service, scope }, credential));
    if (answer.status !== 200) throw await refusedBy(answer);
    const said = await readJson(answer, MAX_TOKEN_ANSWER, tokenSchema);
    const token = said.token ?? said.access_token;
    if (token === undefined) throw new CliError(EXIT.authentication, "the registry's token endpoint answered without a token");
    const seconds = (said.expires_in ?? DEFAULT_SECONDS) - MARGIN_SECONDS;
    this.#tokens.set(scope, { token, goodUntil: Date.now() + seconds * 1000 });
    return token;
  }

  /** A secret goes to the registry itself and to nobody that it names. */
  #checkedRealm(realm: string): URL {
    const url = URL.parse(realm);
    if (url === null || url.origin !== this.#http.origin.origin) {
      throw new CliError(
        EXIT.authentication,
        `the registry wants its credential sent to ${realm.slice(0, 200)}, which is another host: refused`,
      );
    }
    return url;
  }
}

/** A Bearer challenge (RFC 6750 §3, distribution's token documentation). */
interface Challenge {
  readonly realm: string;
  readonly service: string | undefined;
}

/** Reads the parameters of a Bearer challenge; undefined for any other header. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  if (header === undefined || !/^bearer\s/i.test(header)) return undefined;
  const parameters = new Map(
    [...header.matchAll(/([a-z]+)="((?:[^"\\]|\\.)*)"/gi)].map(([, name = "", value = ""]) => [
      name.toLowerCase(),
      value.replaceAll(/\\(.)/g, "$1"),
    ]),
  );
  const realm = parameters.get("realm");
  return realm === undefined ? undefined : { realm, service: parameters.get("service") };
}

interface Wanted {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scope: string;
}

function tokenRequest({ realm, service, scope }: Wanted, credential: Credential): HttpAsk {
  const parameters = new URLSearchParams({ ...(service !== undefined && { service }), ...(scope !== "" && { scope }) });
  if (credential.kind !== "refresh-token") {
    const authorization = credential.kind === "password" ? basic(credential) : `Bearer ${credential.secret}`;
    return { method: "GET", path: `${realm.pathname}?${parameters.toString()}`, headers: { Authorization: authorization } };
  }
  const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: credential.secret, client_id: "securectl" });
  for (const [name, value] of parameters) form.append(name, value);
  return {
    method: "POST",
    path: realm.pathname,
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: bytesBody(Buffer.from(form.toString())),
  };
}

function withAuthorization(authorization: string | undefined, ask: HttpAsk): HttpAsk {
  return authorization === undefined ? ask : { ...ask, headers: { ...ask.headers, Authorization: authorization } };
}

/** The value of an Authorization header of the Basic scheme (RFC 7617). */
function basic({ user, secret }: { readonly user: string; readonly secret: string }): string {
  const pair = `${user}:${secret}`;
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}
