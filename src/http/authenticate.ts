import { coversCatalog, liveRightsOn, namespacesWith, registryRights, rightsOn } from "../identity/authorize.ts";
import { parseAuthorization } from "../identity/authorization.ts";
import { formatChallenge } from "../identity/challenge.ts";
import type { Permission } from "../identity/permission.ts";
import type { Principal } from "../identity/principal.ts";
import type { Realm } from "../identity/realm.ts";
import { CATALOG_SCOPE, allows, scopeFor } from "../identity/scope.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { warningHeader } from "../oci/warning.ts";
import { auditEvent } from "../registry/audit-event.ts";
import { type AuthenticationOptions, Authenticator } from "../registry/authenticate.ts";
import type { LoginRefusal, Origin } from "../registry/logins.ts";
import type { Caller, Services } from "../registry/ports.ts";
import { type RefusedRequest, noteRefusedRequest } from "../registry/refused-request.ts";
import type { Gatekeeper } from "./app.ts";
import { setHeaders } from "./headers.ts";
import { addressKey } from "./limits.ts";
import { isFromThisMachine } from "./local-reader.ts";
import type { Action, Ask } from "./route.ts";
import { holdToStanding } from "./standing.ts";
import { SessionGate } from "./ui/session-gate.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;
type Asked = Exclude<Action, "open" | "session">;

export interface GatekeeperOptions {
  /** What a challenge names, by the `Host` of the request (RULES 20). */
  readonly realm: (host: string | undefined) => Realm;
  /** The predecessor's single token, for `/v1`; undefined when it is off. */
  readonly serviceToken: string | undefined;
  /** Is the registry for this machine alone, so that its programs read registered records without a credential (RULES 19)? */
  readonly isLocal: boolean;
  /** Without a service token, may programs of this machine change registered records too? */
  readonly insecureDevMode: boolean;
  /** Takes refused logins and requests, to be coalesced. */
  readonly refused: AuthenticationOptions["note"];
}

const DAY = 24 * 60 * 60 * 1000;
/** How long before its end a credential is warned about. */
const WARNED_BEFORE = 3 * DAY;
/** How many namespaces a refusal names at most. */
const MAX_NAMED = 20;

/** The gatekeeper of all doors: tells who knocks, and turns away who may not do what the door is for (identity.md 2.3). */
export function createGatekeeper(services: Needs, options: GatekeeperOptions): Gatekeeper {
  return new Gate(services, options);
}

/** Where a request comes from. */
export function originOf(c: Ask): Origin {
  const address = c.get("address");
  return { address, addressBlock: addressKey(address), userAgent: c.req.header("user-agent"), requestId: c.get("requestId") };
}

/** What is answered to a login under a lock. An upload that was admitted never gets a 429, which some clients do not survive (8.1). */
export function tooManyFailures({ waitMilliseconds }: LoginRefusal): RegistryError {
  const seconds = Math.ceil(waitMilliseconds / 1000);
  return new RegistryError("TOO_MANY_REQUESTS", `too many failed logins from this address; try again in ${seconds} s`, {
    headers: { "Retry-After": String(seconds) },
  });
}

class Gate implements Gatekeeper {
  readonly #services: Needs;
  readonly #options: GatekeeperOptions;
  readonly #authenticator: Authenticator;
  readonly #sessions: SessionGate;

  constructor(services: Needs, options: GatekeeperOptions) {
    this.#services = services;
    this.#options = options;
    const audience = (): string => options.realm(undefined).service;
    this.#authenticator = new Authenticator(services, { audience, serviceToken: options.serviceToken, note: options.refused });
    const refused = (caller: Caller, refusal: RefusedRequest): void =>
      noteRefusedRequest({ ...services, refusals: { note: options.refused } }, caller, refusal);
    this.#sessions = new SessionGate(services, { realm: options.realm, originOf, refused });
  }

  async admit(c: Ask, action: Asked | "session", repository: RepositoryName | undefined): Promise<Caller> {
    if (action === "session") return this.#sessions.admit(c);
    const caller = await this.#admitByHeader(c, action, repository);
    holdToStanding(c, this.#services, caller);
    return caller;
  }

  async #admitByHeader(c: Ask, action: Asked, repository: RepositoryName | undefined): Promise<Caller> {
    const header = c.req.header("authorization");
    if (header === undefined) return this.#withoutCredential(c, action, repository);
    const presented = parseAuthorization(header);
    const authenticated = presented && (await this.#authenticator.authenticate(presented, originOf(c), c.req.path.startsWith("/v1/")));
    if (authenticated !== undefined && "caller" in authenticated) {
      this.#warn(c, authenticated.expiresAt);
      this.#authorize(c, authenticated.caller, action, repository);
      return authenticated.caller;
    }
    const waits = authenticated !== undefined && authenticated.waitMilliseconds > 0;
    if (waits && c.req.method !== "PATCH" && c.req.method !== "PUT") throw tooManyFailures(authenticated);
    if (isPredecessors(action)) throw forbidden("forbidden: invalid service token");
    throw this.#unauthorized(c, "the credential is not valid; log in again", scopeOf(action, repository), "invalid_token");
  }

  /**
   * A bare request is how most clients begin: no failure, and no look-up (identity.md §0.4). The predecessor's doors are for programs of
   * this machine too: to read (RULES 19), and to change things where the operator gave up on security.
   */
  #withoutCredential(c: Ask, action: Asked, repository: RepositoryName | undefined): Caller {
    if (!isPredecessors(action)) throw this.#unauthorized(c, "authentication required", scopeOf(action, repository));
    const { isLocal, insecureDevMode, serviceToken } = this.#options;
    const isHere = isLocal && isFromThisMachine(c);
    if (isHere && action.registered === "read") return this.#authenticator.withoutIdentity("local-reader", originOf(c));
    if (serviceToken !== undefined || action.registered === "read") throw forbidden("forbidden: invalid service token");
    if (isHere && insecureDevMode) return this.#authenticator.withoutIdentity("service-token", originOf(c));
    throw forbidden("no service token configured — mutating operations disabled (set INSECURE_DEV_MODE=true for development)");
  }

  /** A person who pushes by hand sees it; pipelines have it in their logs (distribution-spec §Warnings). */
  #warn(c: Ask, expiresAt: number | null): void {
    const left = expiresAt === null ? Infinity : expiresAt - this.#services.clock();
    if (left > WARNED_BEFORE) return;
    const days = Math.ceil(left / DAY);
    setHeaders(c.env.outgoing, { Warning: warningHeader(`the credential expires in ${days === 1 ? "a day" : `${days} days`}: renew it`) });
  }

  #authorize(c: Ask, caller: Caller, action: Asked, repository: RepositoryName | undefined): void {
    const { principal } = caller;
    if (action === "credential" || isPredecessors(action)) return;
    if (action === "catalog") {
      if (!coversCatalog(principal)) throw this.#insufficient(c, CATALOG_SCOPE);
      return;
    }
    if (typeof action === "object") return this.#demand(caller, action, repository);
    this.#authorizeIn(c, caller, action, repository);
  }

  #authorizeIn(c: Ask, caller: Caller, action: "pull" | "push" | "delete", repository: RepositoryName | undefined): void {
    const { principal } = caller;
    if (repository === undefined) throw new TypeError(`a door for ${action} needs a repository`);
    if (allows(rightsOn(principal, repository), action)) return;
    if (allows(liveRightsOn(principal, repository), action)) throw this.#insufficient(c, scopeFor(action, repository));
    // What is shown is decided by `serve`, which answers as if nothing were there (protocol.md §3).
    if (action === "pull") return;
    this.#deny(caller, action, refusalOf(principal, action, repository), repository);
  }

  #demand(caller: Caller, { permission, on }: Extract<Asked, { permission: Permission }>, repository: RepositoryName | undefined): void {
    const { principal } = caller;
    if (on === "registry") {
      if (registryRights(principal).has(permission)) return;
      return this.#deny(caller, permission, missing(principal, permission));
    }
    if (repository === undefined) throw new TypeError(`a door for ${permission} needs a repository`);
    if (!rightsOn(principal, repository).has(permission)) this.#deny(caller, permission, missing(principal, permission), repository);
  }

  #deny({ actor }: Caller, permission: Permission, message: string, repository?: RepositoryName): never {
    const target = repository === undefined ? {} : { target: { kind: "repository", name: repository } as const };
    const said = { type: "auth.denied", outcome: "deny", reason: `lacks ${permission}`, ...target } as const;
    this.#options.refused(auditEvent(this.#services, actor, said));
    throw new RegistryError("DENIED", message);
  }

  /** The identity could have the scope: its client gets it and comes again. */
  #insufficient(c: Ask, scope: string): RegistryError {
    return this.#unauthorized(c, "the token does not cover this; get one for the scope of the challenge", scope, "insufficient_scope");
  }

  #unauthorized(c: Ask, message: string, scope: string | undefined, error?: "invalid_token" | "insufficient_scope"): RegistryError {
    const { realm, service } = this.#options.realm(c.req.header("host"));
    return new RegistryError("UNAUTHORIZED", message, {
      headers: { "WWW-Authenticate": formatChallenge({ realm, service, scope, error }) },
    });
  }
}

/** Is the door one of the predecessor's? */
function isPredecessors(action: Asked): action is Extract<Asked, { registered: unknown }> {
  return typeof action === "object" && "registered" in action;
}

/** In the predecessor's words, which are the same for every failure. */
function forbidden(error: string): RegistryError {
  return new RegistryError("DENIED", error, { detail: { error } });
}

function scopeOf(action: Asked, repository: RepositoryName | undefined): string | undefined {
  if (action === "catalog") return CATALOG_SCOPE;
  if (typeof action === "object" || action === "credential" || repository === undefined) return undefined;
  return scopeFor(action, repository);
}

/** Why a push or a deletion is final: the same whether the repository exists or not. */
function refusalOf(principal: Principal, action: "push" | "delete", repository: RepositoryName): string {
  const verb = action === "push" ? "push to" : "delete in";
  const where = namespacesWith(principal, action);
  const listed = where === "*" ? "all namespaces" : named(where);
  const remedy = "an operator makes another namespace with `securectl namespace create NAME --owner IDENTITY`";
  return `you may not ${verb} ${repository}: you may ${verb} ${listed}; ${remedy}`;
}

function named(namespaces: readonly string[]): string {
  if (namespaces.length === 0) return "no namespace";
  const more = namespaces.length > MAX_NAMED ? ` and ${namespaces.length - MAX_NAMED} more` : "";
  return `${namespaces.length === 1 ? "the namespace" : "the namespaces"} ${namespaces.slice(0, MAX_NAMED).join(", ")}${more}`;
}

function missing({ access }: Principal, permission: Permission): string {
  const remedy = access === undefined ? "an operator can grant a role that has it" : "an access token may lack it; come with an API key";
  return `this needs the permission ${permission}; ${remedy}`;
}
