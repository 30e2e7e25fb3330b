import type { Actor } from "../audit/event.ts";
import type { CredentialRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import { credentialKeys, credentialPuts, credentialsOf, freshCredential } from "./credential-rows.ts";
import { type LiveCredential, endOf } from "./find-credential.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor">;

const DAY = 24 * 60 * 60 * 1000;
/** identity.md 2.5: no client writes a rotated token back, so that it lives shortly instead. */
const LIFETIME = 30 * DAY;
const IDLE = 7 * DAY;
/** Logins of one identity at a time; the oldest gives way. Each `docker login` makes one, and none says when it is no longer needed. */
const MAX_LOGINS = 50;

/** Makes a refresh token that belongs to the credential which proved the login, and ends with it. Answers its secret. */
export async function createRefreshToken(services: Needs, { credential, identity }: LiveCredential, actor: Actor): Promise<string> {
  const now = services.clock();
  const fresh = freshCredential(services, {
    kind: "refresh-token",
    identity: identity.name,
    createdBy: identity.name,
    expiresAt: Math.min(now + LIFETIME, credential.expiresAt ?? Infinity),
    idleMilliseconds: IDLE,
    parent: credential.id,
    epoch: identity.epoch,
  });
  const { record, secret } = fresh;
  return decideAndCommit(services, async () => {
    const superseded = await supersededLogins(services, identity.name, now);
    const event = auditEvent(services, actor, {
      type: "auth.refresh-token.create",
      target: { kind: "credential", name: record.id },
      after: { identity: record.identity, expiresAt: record.expiresAt, parent: record.parent },
      ...(superseded.length === 0 ? {} : { before: { removed: superseded.map(({ id }) => id) } }),
    });
    const remove = superseded.flatMap(credentialKeys);
    return { change: { expect: [], put: credentialPuts(record), remove, audit: [event] }, result: secret };
  });
}

/** Refresh tokens that have ended, and the oldest beyond the bound. */
async function supersededLogins(services: Needs, identity: string, now: number): Promise<readonly CredentialRecord[]> {
  const logins = (await credentialsOf(services, identity)).filter(({ kind }) => kind === "refresh-token");
  const live = logins.filter((each) => endOf(each, now) === undefined);
  const ended = logins.filter((each) => endOf(each, now) !== undefined);
  return [...ended, ...live.slice(0, Math.max(0, live.length - MAX_LOGINS + 1))];
}
