import { dutyOfApproving } from "../identity/duties.ts";
import type { AskingPolicy } from "../lifecycle/approval.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { TrustPolicy } from "../policy/document.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { ApprovalRecord } from "../storage/policy-records.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { type ApprovalServices, type ApprovalStatement, approvalChange } from "./approval-statements.ts";
import { type Approval, MAX_APPROVALS, counts, everyApprovalOf } from "./approvals.ts";
import { ClosureWalk, NO_OVERLAY } from "./closure.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import { type FoundArtifact, demand, reload } from "./find-artifact.ts";
import type { Caller } from "./ports.ts";
import { policiesFor } from "./policies-in-force.ts";
import { signApproval } from "./sign-approval.ts";

/** How often one person may approve one generation: each time is a statement for ever. */
const MAX_TIMES = 8;
const SECOND = 1_000;

/**
 * Signs a person's approval of an artifact. It counts until it is withdrawn or expires, the artifact is revoked, or deleted and pushed anew.
 * While it does, a second one of the same person changes nothing. Throws DENIED for whoever put the artifact or a part of it there
 * (identity.md 6.5).
 */
export async function approve(
  services: ApprovalServices,
  caller: Caller,
  artifact: FoundArtifact,
  reason: string | null,
): Promise<ManifestRecord> {
  demand(artifact.rights, "approve", "approving");
  return decideAndCommit(services, async () => {
    const now = await reload(services, artifact);
    await refuseApproval(services, caller, now);
    const { repository, record } = now;
    const before = await everyApprovalOf(services, repository, record);
    const own = before.find(({ person }) => person === caller.principal.countsAs);
    const at = services.clock();
    const asked = await approvalsAskedFor(services, repository);
    if (own !== undefined && counts(own.record, record, at) && !isTooOld(own.record, asked.maxAge, at)) return { result: record };
    demandRoom(before, own);
    return decideApproval(services, caller, { now, own, reason, at, asked });
  });
}

/** Signs that a person takes an approval back. Throws CONFLICT where there is none of this person that could count. */
export async function withdrawApproval(
  services: ApprovalServices,
  caller: Caller,
  artifact: FoundArtifact,
  reason: string | null,
): Promise<ManifestRecord> {
  demand(artifact.rights, "approve", "withdrawing an approval");
  const { countsAs: person } = caller.principal;
  const { repository, record } = artifact;
  // Nothing can name what has no statement yet.
  await signApproval(services, { repository, artifact: record.digest, generation: record.generation, person });
  return decideAndCommit(services, async () => {
    const now = await reload(services, artifact);
    const own = (await everyApprovalOf(services, repository, now.record)).find((each) => each.person === person);
    const at = services.clock();
    if (now.record.state === "deleted" || own?.record.statement === undefined || !counts(own.record, now.record, at)) {
      throw new RegistryError("CONFLICT", "there is no approval of yours that counts: nothing is to be withdrawn");
    }
    return decideWithdrawal(services, caller, { now, own, withdraws: own.record.statement, reason, at });
  });
}

/** Throws where the caller may not approve the artifact as it is now, whatever its rights. */
export async function refuseApproval(
  services: Pick<ApprovalServices, "metadata">,
  { principal }: Caller,
  { repository, record }: FoundArtifact,
): Promise<void> {
  if (record.state === "deleted") throw new RegistryError("CONFLICT", "the artifact was deleted: push it again first");
  if (record.revocation?.permanent === true)
    throw new RegistryError("CONFLICT", "the artifact was revoked permanently: nothing makes it trusted again");
  const duty = dutyOfApproving(principal, { uploaders: await uploadersOf(services, repository, record) });
  if (duty.effect === "forbid") throw new RegistryError("DENIED", duty.reason);
}

/** Everybody who put the artifact, or a manifest that it holds, in this generation (RULES 17). */
async function uploadersOf(
  services: Pick<ApprovalServices, "metadata">,
  repository: RepositoryName,
  { digest }: ManifestRecord,
): Promise<readonly string[]> {
  const closure = await new ClosureWalk(services, repository, NO_OVERLAY).follow([digest], async () => true);
  return [...closure.manifests.values()].flatMap(({ record }) => record.uploaders);
}

function demandRoom(before: readonly Approval[], own: Approval | undefined): void {
  if (own === undefined && before.length >= MAX_APPROVALS)
    throw new RegistryError("CONFLICT", `${MAX_APPROVALS} people have approved it, and more approvals are not kept`);
  if (own !== undefined && own.record.times >= MAX_TIMES)
    throw new RegistryError("CONFLICT", `you have approved it ${MAX_TIMES} times: push it again after a deletion, or leave it to others`);
}

/** The policies in force that ask for approvals, and the least age (ms) at which one of them lets an approval count no more. */
interface Asked {
  readonly policies: readonly AskingPolicy[];
  readonly maxAge: number;
  readonly expect: readonly Expectation[];
}

async function approvalsAskedFor(services: ApprovalServices, repository: RepositoryName): Promise<Asked> {
  const { policies, expect } = await policiesFor(services, repository);
  const asking = policies.map((policy) => ({ policy, ages: agesIn(policy.document) })).filter(({ ages }) => ages.length > 0);
  return {
    policies: asking.map(({ policy: { name, version, digest } }) => ({ name, version, digest })),
    maxAge: Math.min(...asking.flatMap(({ ages }) => ages), Number.POSITIVE_INFINITY),
    expect,
  };
}

/** Until which age (ms) each requirement of approvals lets one count. */
function agesIn({ spec }: TrustPolicy): readonly number[] {
  return spec.require.flatMap(({ evidence }) =>
    evidence.kind === "approvals" ? [(evidence.maxAgeSeconds ?? Number.POSITIVE_INFINITY) * SECOND] : [],
  );
}

function isTooOld({ at }: ApprovalRecord, maxAge: number, now: number): boolean {
  return now >= at + maxAge;
}

interface Approving {
  readonly now: FoundArtifact;
  readonly own: Approval | undefined;
  readonly reason: string | null;
  readonly at: number;
  readonly asked: Asked;
}

async function decideApproval(
  services: ApprovalServices,
  caller: Caller,
  { now, own, reason, at, asked }: Approving,
): Promise<Decided<ManifestRecord>> {
  const { name: actor, countsAs: person } = caller.principal;
  const { repository, record } = now;
  const expiresAt = Number.isFinite(asked.maxAge) ? Math.floor((at + asked.maxAge) / SECOND) * SECOND : null;
  const times = (own?.record.times ?? 0) + 1;
  const said = {
    verdict: "approved",
    actor,
    person,
    at,
    givenAt: at,
    expiresAt,
    reason,
    policies: asked.policies,
    withdraws: null,
  } as const;
  const change = await approvalChange(services, {
    repository,
    artifact: now,
    said,
    own,
    value: (statement) => ({ v: 1, by: actor, reason, at, expiresAt, times, statement }),
    audit: { type: "artifact.approve", actor: caller.actor },
  });
  return { change: { ...change, expect: [...change.expect, ...asked.expect] }, result: record };
}

interface Withdrawing extends Pick<Approving, "now" | "reason" | "at"> {
  readonly own: Approval;
  readonly withdraws: ApprovalStatement;
}

async function decideWithdrawal(
  services: ApprovalServices,
  caller: Caller,
  { now, own, withdraws, reason, at }: Withdrawing,
): Promise<Decided<ManifestRecord>> {
  const { name: actor, countsAs: person } = caller.principal;
  const { repository, record } = now;
  const taken = { policies: [], expiresAt: null, withdraws: withdraws.digest };
  const change = await approvalChange(services, {
    repository,
    artifact: now,
    said: { verdict: "withdrawn", actor, person, at, givenAt: at, reason, ...taken },
    own,
    value: () => ({ ...own.record, withdrawn: true }),
    audit: { type: "artifact.withdraw-approval", actor: caller.actor },
  });
  return { change, result: record };
}
