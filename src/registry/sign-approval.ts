import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Change } from "../storage/metadata-store.ts";
import { type ApprovalRecord, approvalRecord } from "../storage/policy-records.ts";
import { type ApprovalServices, approvalChange } from "./approval-statements.ts";
import { type Approval, counts } from "./approvals.ts";
import { decideAndCommit } from "./commit.ts";
import { type FoundManifest, findManifest } from "./serving.ts";
import { SYSTEM } from "./system-actor.ts";

/** Whose approval of what. */
export interface ApprovalAt {
  readonly repository: RepositoryName;
  readonly artifact: Digest;
  readonly generation: number;
  readonly person: string;
}

/**
 * Signs an approval that an earlier version kept without a signature; false when there is nothing to sign, or it counts no more. What it
 * says took effect then is of now, since a key vouches for nothing from before its time; when it was given is said besides.
 */
export async function signApproval(services: ApprovalServices, at: ApprovalAt): Promise<boolean> {
  return decideAndCommit(services, async () => {
    const key = keys.approval(at.repository, at.artifact, at.generation, at.person);
    const entry = await services.metadata.get(key);
    const found = entry && (await findManifest(services, at.repository, at.artifact));
    if (entry === undefined || found === undefined) return { result: false };
    const record = approvalRecord.parse(entry.value);
    if (!isToBeSigned(record, found, { now: services.clock(), generation: at.generation })) return { result: false };
    const own: Approval = { person: at.person, record, expect: { key, version: entry.version } };
    return { change: await changeOf(services, at, found, own), result: true };
  });
}

function isToBeSigned(
  record: ApprovalRecord,
  { record: artifact }: FoundManifest,
  { now, generation }: { readonly now: number; readonly generation: number },
): boolean {
  const isOfNow = artifact.generation === generation && artifact.state !== "deleted";
  return record.statement === undefined && isOfNow && counts(record, artifact, now);
}

async function changeOf(
  services: ApprovalServices,
  { repository, person }: ApprovalAt,
  artifact: FoundManifest,
  own: Approval,
): Promise<Change> {
  const { by: actor, at: givenAt, reason } = own.record;
  const said = { verdict: "approved", actor, person, givenAt, at: services.clock(), expiresAt: null, reason } as const;
  return approvalChange(services, {
    repository,
    artifact,
    said: { ...said, policies: [], withdraws: null },
    own,
    value: (statement) => ({ ...own.record, statement }),
    audit: { type: "approval.sign", actor: SYSTEM },
  });
}
