import type { AuditEvent } from "../audit/event.ts";
import { RegistryError } from "../oci/errors.ts";
import type { CredentialRecord } from "../storage/records.ts";
import { callerOf } from "./authenticate.ts";
import { credentialsOf } from "./credential-rows.ts";
import { noteUse } from "./credential-use.ts";
import { revokeCredential } from "./credentials.ts";
import { type CredentialRefusal, findById, findSession } from "./find-credential.ts";
import { type ListedCredential, withUse } from "./list-credentials.ts";
import { type LoginKind, createLoginCredential } from "./login-credential.ts";
import { type LoginRefusal, Logins, type Origin, actorOf } from "./logins.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;

const MINUTE = 60_000;
/** A session ends when nobody used it for half an hour, and after half a day in any case (identity.md §10). */
const SESSION: LoginKind = { kind: "session", idle: 30 * MINUTE, lifetime: 12 * 60 * MINUTE, most: 20 };
/** How exactly its last use is known: an idle session ends that much too early at most. */
const USE_INTERVAL = MINUTE;

/** A session in use: who it is, and when it ends whatever is done with it, in epoch milliseconds. */
export interface OpenSession {
  readonly caller: Caller;
  readonly endsAt: number;
}

/** Opens sessions with API keys: what proves a key to the API proves it here, under the same lock. */
export class SignIn {
  readonly #services: Needs;
  readonly #logins: Logins;

  constructor(services: Needs, note: (event: AuditEvent) => void) {
    this.#services = services;
    this.#logins = new Logins(services, note);
  }

  /**
   * The id of a new session, which is never one that the browser had before; that one ends in the same change. The session lives no
   * longer than the key.
   */
  async signIn(
    offered: { readonly name: string; readonly key: string },
    origin: Origin,
    before: string | undefined,
  ): Promise<string | LoginRefusal> {
    const login = await this.#logins.logIn({ kind: "api-key", name: offered.name, secret: offered.key, by: "header" }, origin);
    if ("refusal" in login) return login;
    const { credential, identity } = login;
    const actor = actorOf({ principal: identity.name, kind: identity.kind, credential: credential.id }, origin);
    return createLoginCredential(this.#services, { ...login, actor }, SESSION, () => sessionWith(this.#services, before));
  }
}

/** The session that an id opens now, with the rights that its identity has now; it counts as used, unless a page asks by itself. */
export async function useSession(
  services: Needs,
  id: string,
  origin: Origin,
  { counts = true }: { readonly counts?: boolean } = {},
): Promise<OpenSession | CredentialRefusal> {
  const found = await findSession(services, id);
  if ("refusal" in found) return found.refusal;
  if (counts) await noteUse(services, found.credential.id, origin.address, USE_INTERVAL);
  return { caller: callerOf(services, found, undefined, origin), endsAt: found.credential.expiresAt ?? 0 };
}

/** Does an id open a session now? */
export async function isSessionOpen(services: Needs, id: string): Promise<boolean> {
  return !("refusal" in (await findSession(services, id)));
}

/** The caller's own sessions that are in force, oldest first. */
export async function ownSessions(services: Needs, { principal }: Caller): Promise<readonly ListedCredential[]> {
  const sessions = (await credentialsOf(services, principal.name)).filter(({ kind }) => kind === "session");
  const found = await Promise.all(sessions.map(({ id }) => findById(services, id)));
  return Promise.all(found.flatMap((each) => ("refusal" in each ? [] : [withUse(services, each.credential)])));
}

/** Ends one of the caller's own sessions, from the next request on. Throws NOT_FOUND for any other. */
export async function endSession(services: Needs, caller: Caller, id: string): Promise<void> {
  const own = await ownSessions(services, caller);
  if (!own.some(({ record }) => record.id === id))
    throw new RegistryError("NOT_FOUND", "there is no such session of yours; it may have ended");
  await revokeCredential(services, caller, id);
}

/** Ends all of the caller's own sessions. */
export async function endSessions(services: Needs, caller: Caller): Promise<void> {
  for (const { record } of await ownSessions(services, caller)) await revokeCredential(services, caller, record.id);
}

/** Whose session it was does not matter: whoever holds the id may end it. */
async function sessionWith(services: Needs, id: string | undefined): Promise<readonly CredentialRecord[]> {
  const found = id === undefined ? undefined : await findSession(services, id);
  return found === undefined || "refusal" in found ? [] : [found.credential];
}
