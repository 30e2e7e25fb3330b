import type { Actor, AuditEvent } from "../audit/event.ts";
import { RegistryError } from "../oci/errors.ts";
import type { CredentialRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { callerOf } from "./authenticate.ts";
import { decideAndCommit } from "./commit.ts";
import { credentialKeys, credentialPuts, credentialsOf, freshCredential } from "./credential-rows.ts";
import { noteUse } from "./credential-use.ts";
import { revokeCredential } from "./credentials.ts";
import { type CredentialRefusal, type LiveCredential, endOf, findById, findSession } from "./find-credential.ts";
import { type ListedCredential, withUse } from "./list-credentials.ts";
import { type LoginRefusal, Logins, type Origin, actorOf } from "./logins.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;

const MINUTE = 60_000;
/** A session ends when nobody used it for so long, and after so long in any case (identity.md §10). */
const IDLE = 30 * MINUTE;
const LIFETIME = 12 * 60 * MINUTE;
/** How exactly its last use is known: an idle session ends that much too early at most. */
const USE_INTERVAL = MINUTE;
/** Sessions of one identity at a time; the oldest gives way. */
const MAX_SESSIONS = 20;

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
    return "refusal" in login ? login : this.#open(login, origin, before);
  }

  async #open({ credential, identity }: LiveCredential, origin: Origin, before: string | undefined): Promise<string> {
    const services = this.#services;
    const now = services.clock();
    const { record, secret } = freshCredential(services, {
      kind: "session",
      identity: identity.name,
      createdBy: identity.name,
      expiresAt: Math.min(now + LIFETIME, credential.expiresAt ?? Infinity),
      idleMilliseconds: IDLE,
      parent: credential.id,
      epoch: identity.epoch,
    });
    const actor: Actor = actorOf({ principal: identity.name, kind: identity.kind, credential: credential.id }, origin);
    return decideAndCommit(services, async () => {
      const removed = [...(await superseded(services, identity.name)), ...(await sessionWith(services, before))];
      const event = auditEvent(services, actor, {
        type: "auth.session.create",
        target: { kind: "credential", name: record.id },
        after: { identity: record.identity, expiresAt: record.expiresAt, parent: record.parent },
        ...(removed.length === 0 ? {} : { before: { removed: removed.map(({ id }) => id) } }),
      });
      return {
        change: { expect: [], put: credentialPuts(record), remove: removed.flatMap(credentialKeys), audit: [event] },
        result: secret,
      };
    });
  }
}

/** The session that an id opens now, with the rights that its identity has now; it counts as used. */
export async function useSession(services: Needs, id: string, origin: Origin): Promise<OpenSession | CredentialRefusal> {
  const found = await findSession(services, id);
  if ("refusal" in found) return found.refusal;
  await noteUse(services, found.credential.id, origin.address, USE_INTERVAL);
  return { caller: callerOf(services, found, undefined, origin), endsAt: found.credential.expiresAt ?? 0 };
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

/** Sessions that have ended, and the oldest beyond the bound. */
async function superseded(services: Needs, identity: string): Promise<readonly CredentialRecord[]> {
  const now = services.clock();
  const sessions = (await credentialsOf(services, identity)).filter(({ kind }) => kind === "session");
  const live = sessions.filter((each) => endOf(each, now) === undefined);
  const ended = sessions.filter((each) => endOf(each, now) !== undefined);
  return [...ended, ...live.slice(0, Math.max(0, live.length - MAX_SESSIONS + 1))];
}

/** Whose session it was does not matter: whoever holds the id may end it. */
async function sessionWith(services: Needs, id: string | undefined): Promise<readonly CredentialRecord[]> {
  const found = id === undefined ? undefined : await findSession(services, id);
  return found === undefined || "refusal" in found ? [] : [found.credential];
}
