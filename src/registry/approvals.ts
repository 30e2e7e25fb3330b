import { dutyOfApproving } from "../identity/duties.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Expectation, Key } from "../storage/metadata-store.ts";
import { type ApprovalRecord, approvalRecord } from "../storage/policy-records.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { ClosureWalk, NO_OVERLAY } from "./closure.ts";
import { decideAndCommit } from "./commit.ts";
import { type FoundArtifact, demand, reload, stillMeant } from "./find-artifact.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId">;

/** More approvals than any policy asks for. */
const MAX_APPROVALS = 64;

/** An approval that counts now. */
export interface Approval {
  /** As a person: whose word it is, whichever of their identities gave it. */
  readonly person: string;
  readonly record: ApprovalRecord;
  readonly expect: Expectation;
}

/**
 * Records a person's approval of an artifact, for as long as it is not pushed anew after a deletion, nor revoked. A second one of the same person
 * changes nothing. Throws DENIED for whoever put the artifact or a part of it there (identity.md 6.5).
 */
export async function approve(services: Needs, caller: Caller, artifact: FoundArtifact, reason: string | null): Promise<ManifestRecord> {
  demand(artifact.rights, "approve", "approving");
  return decideAndCommit(services, async () => {
    const now = await reload(services, artifact);
    const { repository, record } = now;
    if (record.state === "deleted") throw new RegistryError("CONFLICT", "the artifact was deleted: push it again first");
    if (record.revocation?.permanent === true)
      throw new RegistryError("CONFLICT", "the artifact was revoked permanently: nothing makes it trusted again");
    const duty = dutyOfApproving(caller.principal, { uploaders: await uploadersOf(services, repository, record) });
    if (duty.effect === "forbid") throw new RegistryError("DENIED", duty.reason);
    const person = caller.principal.countsAs;
    const before = await approvalsOf(services, repository, record);
    if (before.some((approval) => approval.person === person)) return { result: record };
    if (before.length >= MAX_APPROVALS) throw new RegistryError("CONFLICT", `there are ${MAX_APPROVALS} approvals, and more are not kept`);
    const key = keys.approval(repository, record.digest, record.generation, person);
    const value: ApprovalRecord = { v: 1, by: caller.principal.name, reason, at: services.clock() };
    const change = {
      expect: [...stillMeant(repository, now), { key, version: (await services.metadata.get(key))?.version ?? ("absent" as const) }],
      put: [{ key, value }],
      remove: [],
      audit: [
        auditEvent(services, caller.actor, {
          type: "artifact.approve",
          target: { kind: "artifact", name: repository, digest: record.digest },
          ...(reason === null ? {} : { reason }),
          after: { generation: record.generation, person },
        }),
      ],
    };
    return { change, result: record };
  });
}

/** The approvals of an artifact's generation, by person. One that was given before a revocation says nothing of what became known then. */
export async function approvalsOf(
  { metadata }: Pick<Services, "metadata">,
  repository: RepositoryName,
  { digest, generation, revocation }: Pick<ManifestRecord, "digest" | "generation" | "revocation">,
): Promise<readonly Approval[]> {
  return (await rowsOf({ metadata }, repository, { digest, generation })).filter(
    ({ record }) => revocation === null || record.at > revocation.at,
  );
}

/** The rows of approvals that a revocation has ended: whoever lifts it removes them, so that they do not count again. */
export async function staleApprovals(
  needs: Pick<Services, "metadata">,
  repository: RepositoryName,
  { digest, generation, revocation }: Pick<ManifestRecord, "digest" | "generation" | "revocation">,
): Promise<readonly Key[]> {
  const rows = await rowsOf(needs, repository, { digest, generation });
  return rows.filter(({ record }) => revocation !== null && record.at <= revocation.at).map(({ expect }) => expect.key);
}

async function rowsOf(
  { metadata }: Pick<Services, "metadata">,
  repository: RepositoryName,
  { digest, generation }: Pick<ManifestRecord, "digest" | "generation">,
): Promise<readonly Approval[]> {
  const rows = await metadata.list(under(keys.approvals(repository, digest, generation), 2 * MAX_APPROVALS));
  return rows.map(({ key, value, version }) => ({ person: String(key[4]), record: approvalRecord.parse(value), expect: { key, version } }));
}

/** Everybody who put the artifact, or a manifest that it holds, in this generation (RULES 17). */
async function uploadersOf(services: Needs, repository: RepositoryName, { digest }: ManifestRecord): Promise<readonly string[]> {
  const closure = await new ClosureWalk(services, repository, NO_OVERLAY).follow([digest], async () => true);
  return [...closure.manifests.values()].flatMap(({ record }) => record.uploaders);
}
