import type { Actor } from "../audit/event.ts";
import type { CredentialRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import { credentialKeys, credentialPuts, credentialsOf, freshCredential } from "./credential-rows.ts";
import { type LiveCredential, endOf } from "./find-credential.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor">;

/** What a login leaves behind, which lives on for a while. Times are in milliseconds. */
export interface LoginKind {
  readonly kind: "session" | "refresh-token";
  readonly lifetime: number;
  readonly idle: number;
  /** Of one identity at a time; the oldest gives way. */
  readonly most: number;
}

/**
 * Makes a credential that belongs to the one which proved the login, and ends with it. What `replaced` finds ends in the same change.
 * Answers its secret.
 */
export async function createLoginCredential(
  services: Needs,
  { credential, identity, actor }: LiveCredential & { readonly actor: Actor },
  login: LoginKind,
  replaced: () => Promise<readonly CredentialRecord[]> = async () => [],
): Promise<string> {
  const { record, secret } = freshCredential(services, {
    kind: login.kind,
    identity: identity.name,
    createdBy: identity.name,
    expiresAt: Math.min(services.clock() + login.lifetime, credential.expiresAt ?? Infinity),
    idleMilliseconds: login.idle,
    parent: credential.id,
    epoch: identity.epoch,
  });
  return decideAndCommit(services, async () => {
    const removed = [...(await superseded(services, identity.name, login)), ...(await replaced())];
    const event = auditEvent(services, actor, {
      type: `auth.${login.kind}.create`,
      target: { kind: "credential", name: record.id },
      after: { identity: record.identity, expiresAt: record.expiresAt, parent: record.parent },
      ...(removed.length === 0 ? {} : { before: { removed: removed.map(({ id }) => id) } }),
    });
    return { change: { expect: [], put: credentialPuts(record), remove: removed.flatMap(credentialKeys), audit: [event] }, result: secret };
  });
}

/** Those of the same kind that have ended, and the oldest beyond the bound. */
async function superseded(services: Needs, identity: string, login: LoginKind): Promise<readonly CredentialRecord[]> {
  const now = services.clock();
  const logins = (await credentialsOf(services, identity)).filter(({ kind }) => kind === login.kind);
  const live = logins.filter((each) => endOf(each, now) === undefined);
  const ended = logins.filter((each) => endOf(each, now) !== undefined);
  return [...ended, ...live.slice(0, Math.max(0, live.length - login.most + 1))];
}
