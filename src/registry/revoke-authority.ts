import { z } from "zod";
import type { AuditEvent } from "../audit/event.ts";
import { statementTime } from "../lifecycle/statement.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type RevokedAuthority, authorityDigest, isAsWide, revokedAuthoritySchema } from "../trust/revoked-authority.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Expectation, Put } from "../storage/metadata-store.ts";
import type { RevokedAuthorityRecord } from "../storage/policy-records.ts";
import { askForJob } from "./asked-jobs.ts";
import { auditEvent } from "./audit-event.ts";
import { type KnownRevocation, MAX_REVOCATIONS, authorityRevocations, findRevocation } from "./authority-revocations.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import type { Caller } from "./ports.ts";
import { type SaidOfRegistry, type StatingServices, stated } from "./registry-statements.ts";

/** The job that looks at what rested on revoked authorities. */
export const FOLLOW_AUTHORITIES = "follow-authorities";
/** How far (ms) a time may lie ahead: clocks differ. */
const AHEAD = 300_000;
const SECOND = 1_000;

/** Who is to be believed no more, as somebody says it. */
export interface WantedRevocation {
  /** JSON of others. */
  readonly authority: unknown;
  /** From which time on (epoch, ms); null: whenever it signed. */
  readonly from: number | null;
  readonly reason: string;
}

/**
 * Has the evidence of a publisher's key or identity count no more, under whichever policy, from the next decision on, in every worker; a
 * signed statement says so, and a job looks at the artifacts that rested on it (trust.md §7.4). What is revoked as widely already is not
 * revoked again. Throws INVALID for what is no authority, and CONFLICT when there are too many.
 */
export async function revokeAuthority(services: StatingServices, caller: Caller, wanted: WantedRevocation): Promise<KnownRevocation> {
  const authority = parsed(wanted.authority);
  // Statements tell whole seconds.
  const from = wanted.from === null ? null : Math.floor(wanted.from / SECOND) * SECOND;
  if (from !== null && from < 0)
    throw new RegistryError("INVALID", "from lies before 1970: leave it out, and nothing counts that it ever signed");
  if (from !== null && from > services.clock() + AHEAD)
    throw new RegistryError("INVALID", "from lies in the future: leave it out, or name a time");
  const statement = await decideAndCommit(services, async () => decideRevocation(services, caller, { ...wanted, from, authority }));
  askForJob(services.metadata, FOLLOW_AUTHORITIES);
  const found = await findRevocation(services, statement);
  if (found === undefined) throw new RegistryError("CONFLICT", "it was lifted in the meantime");
  return found;
}

function parsed(authority: unknown): RevokedAuthority {
  const { data, error } = revokedAuthoritySchema.safeParse(authority);
  if (data !== undefined) return data;
  const told = error.issues.slice(0, 4).map(({ path, message }) => `authority.${z.core.toDotPath(path)}: ${message}`);
  throw new RegistryError("INVALID", `the authority is invalid: ${told.join("; ")}`);
}

interface ParsedRevocation extends WantedRevocation {
  readonly authority: RevokedAuthority;
}

async function decideRevocation(
  services: StatingServices,
  caller: Caller,
  { authority, from, reason }: ParsedRevocation,
): Promise<Decided<Digest>> {
  const epoch = await policyEpoch(services);
  const known = await authorityRevocations(services);
  const before = known.find((each) => isAsWide(each, { authority, from }));
  if (before !== undefined) return { result: before.statement };
  if (known.length >= MAX_REVOCATIONS) {
    throw new RegistryError(
      "CONFLICT",
      `${MAX_REVOCATIONS} authorities are revoked, and more are not kept: lift those that no policy names any more`,
    );
  }
  const at = services.clock();
  const by = caller.principal.name;
  const says = { state: "revoked", authority, ...(from === null ? {} : { from: statementTime(from) }) };
  const { change, statement } = await stated(services, saidOf(authority, { at, actor: by, reason, says }), (made): Change => {
    const record: RevokedAuthorityRecord = { v: 1, authority, from, reason, by, at, bundle: made.bundle, followed: null };
    const key = keys.revokedAuthority(made.statement);
    return {
      expect: [epoch.expect, { key, version: "absent" }],
      put: [epoch.put, { key, value: record }],
      remove: [],
      audit: [eventOf(services, caller, { type: "authority.revoke", authority, reason, after: { statement: made.statement, from } })],
    };
  });
  return { change, result: statement };
}

/**
 * Lets the evidence of a revoked authority count again from the next decision on. What was revoked or quarantined because of it stays so.
 * Answers the statement that says so. Throws NOT_FOUND when no revocation of this statement holds.
 */
export async function liftAuthority(
  services: StatingServices,
  caller: Caller,
  statement: Digest,
  reason: string,
): Promise<KnownRevocation> {
  return decideAndCommit(services, async () => {
    const epoch = await policyEpoch(services);
    const revocation = await findRevocation(services, statement);
    if (revocation === undefined) throw new RegistryError("NOT_FOUND", "no authority is revoked by this statement");
    const { authority, version } = revocation;
    const key = keys.revokedAuthority(statement);
    const says = { state: "lifted", authority, lifts: statement };
    const said = saidOf(authority, { at: services.clock(), actor: caller.principal.name, reason, says });
    const { change } = await stated(services, said, (made): Change => ({
      expect: [epoch.expect, { key, version }],
      put: [epoch.put],
      remove: [key],
      audit: [
        eventOf(services, caller, { type: "authority.lift", authority, reason, after: { statement: made.statement, lifts: statement } }),
      ],
    }));
    return { change, result: revocation };
  });
}

function saidOf(authority: RevokedAuthority, said: Pick<SaidOfRegistry, "at" | "actor" | "reason" | "says">): SaidOfRegistry {
  return { kind: "authority-revoked", subjects: [{ name: authority.type, digest: authorityDigest(authority) }], ...said };
}

/** What every decision expects: raised, it voids those that were taken before and are not committed. */
async function policyEpoch({ metadata, clock }: StatingServices): Promise<{ readonly expect: Expectation; readonly put: Put }> {
  const key = keys.policyEpoch();
  const entry = await metadata.get(key);
  return { expect: { key, version: entry?.version ?? "absent" }, put: { key, value: { at: clock() } } };
}

interface ToldOfAuthority extends Pick<AuditEvent, "type"> {
  readonly authority: RevokedAuthority;
  readonly reason: string;
  readonly after: Readonly<Record<string, string | number | null>>;
}

function eventOf(services: StatingServices, { actor }: Caller, { type, authority, reason, after }: ToldOfAuthority): AuditEvent {
  const target = { kind: "registry", name: "authority", digest: authorityDigest(authority) } as const;
  return auditEvent(services, actor, { type, target, reason, after: { ...after, authority: JSON.stringify(authority) } });
}
