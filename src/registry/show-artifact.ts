import { z } from "zod";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { SHARES_REVOKED } from "../policy/promotion.ts";
import { NOTHING_WRITTEN } from "../policy/written.ts";
import { keys, under } from "../storage/keys.ts";
import { approvalStatementRecord } from "../storage/policy-records.ts";
import { type ManifestRecord, statementRecord } from "../storage/records.ts";
import { type Approval, approvalsOf } from "./approvals.ts";
import type { DecisionPlace } from "./last-decision.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";
import { rootsOf } from "./reach.ts";
import { tagsOf } from "./tags.ts";

type Needs = Pick<Services, "metadata" | "clock">;

/** An artifact as the native API shows it (interface.md §5). Times are RFC 3339. */
export interface ShownArtifact {
  readonly repository: string;
  readonly digest: Digest;
  readonly sha512: Digest;
  /** Pushed under these names, as far as the caller may see them. */
  readonly tags: readonly string[];
  readonly promoted_tags: readonly string[];
  readonly artifact_type: string | null;
  readonly media_type: string;
  readonly size_bytes: number;
  readonly state: string;
  readonly sequence: number;
  readonly generation: number;
  readonly subject: Digest | null;
  readonly pushed_by: string;
  readonly pushed_at: string;
  readonly changed_by: string;
  readonly changed_at: string;
  readonly reason: string | null;
  readonly revocation: { readonly permanent: boolean; readonly everywhere: boolean; readonly reason: string } | null;
  readonly policy: string | null;
  readonly decision: unknown;
  /** Those that count for its next promotion, one a person. */
  readonly approvals: readonly ShownApproval[];
  /** The trusted or once-trusted roots, other than itself, that reach it. */
  readonly served_by: readonly Digest[];
}

interface ShownApproval {
  readonly by: string;
  readonly at: string;
  readonly reason: string | null;
  readonly expires_at: string | null;
  /** The referrer that holds the statement. */
  readonly manifest: Digest | null;
}

/** How much of an artifact is looked up: lists leave out what would cost more than one record each. */
export interface Detail {
  /** Holders of `pull:any` and `audit` see the tags as pushed; readers those that were promoted. */
  readonly pushedTags: boolean;
  readonly full: boolean;
}

/** The record of an artifact in the words of the native API. */
export async function showArtifact(
  needs: Needs,
  repository: RepositoryName,
  record: ManifestRecord,
  detail: Detail,
): Promise<ShownArtifact> {
  const uses = await tagsOf(needs, repository, record.digest);
  const promoted = uses.filter((use) => use.promoted).map(({ tag }) => tag);
  const { revocation } = record;
  return {
    repository,
    digest: record.names[0] ?? record.digest,
    sha512: record.sha512,
    tags: detail.pushedTags ? uses.filter((use) => use.pushed).map(({ tag }) => tag) : promoted,
    promoted_tags: promoted,
    artifact_type: record.artifactType,
    media_type: record.mediaType,
    size_bytes: record.closureBytes,
    state: record.state,
    sequence: record.sequence,
    generation: record.generation,
    subject: record.subject,
    pushed_by: record.pushedBy,
    pushed_at: new Date(record.pushedAt).toISOString(),
    changed_by: record.changedBy,
    changed_at: new Date(record.changedAt).toISOString(),
    reason: record.reason,
    revocation: revocation && { permanent: revocation.permanent, everywhere: revocation.everywhere, reason: revocation.reason },
    policy: record.policy,
    decision: detail.full ? await decisionOf(needs, repository, record, detail) : record.decision,
    approvals: detail.full ? (await approvalsOf(needs, repository, record, needs.clock())).map(shownApproval) : [],
    served_by: detail.full ? [...(await rootsOf(needs, repository, record.digest))].filter((root) => root !== record.digest) : [],
  };
}

function shownApproval({ record: { by, at, reason, expiresAt, statement } }: Approval): ShownApproval {
  const expires = expiresAt === null ? null : new Date(expiresAt).toISOString();
  return { by, at: new Date(at).toISOString(), reason, expires_at: expires, manifest: statement?.manifest ?? null };
}

const requirementRecord = z.looseObject({
  met: z.boolean(),
  message: z.string(),
  accepted: z.array(z.unknown()),
  rejected: z.array(z.unknown()),
});
const decisionRecord = z.looseObject({
  decision: z.looseObject({
    allowed: z.boolean(),
    checks: z.array(z.looseObject({ id: z.string(), status: z.string(), message: z.string(), inputs: z.array(z.string()) })),
    tags: z.looseObject({ stays: z.array(z.string()) }),
    policies: z.array(z.looseObject({ requirements: z.array(requirementRecord) })).default([]),
    evidence: z.looseObject({ skipped: z.array(z.unknown()) }).default({ ...NOTHING_WRITTEN.evidence, skipped: [] }),
  }),
});

/**
 * A decision about an artifact that was recorded, by its digest: that of any promotion in its history, and for whoever sees what is not trusted
 * those that refused as well. Throws NOT_FOUND.
 */
export async function showDecision(
  { metadata }: Pick<Needs, "metadata">,
  { repository, artifact, decision: digest }: DecisionPlace,
  detail: Pick<Detail, "pushedTags">,
): Promise<unknown> {
  const entry = await metadata.get(keys.decision(repository, artifact, digest));
  const decision = entry && decisionRecord.parse(entry.value).decision;
  if (decision !== undefined && (decision.allowed || detail.pushedTags)) return shownDecision(decision, detail);
  throw new RegistryError("NOT_FOUND", "no decision of this digest was recorded about the artifact, or none that you may see");
}

async function decisionOf({ metadata }: Needs, repository: RepositoryName, record: ManifestRecord, detail: Detail): Promise<unknown> {
  if (record.decision === null) return null;
  const entry = await metadata.get(keys.decision(repository, record.digest, record.decision));
  return entry === undefined ? null : shownDecision(decisionRecord.parse(entry.value).decision, detail);
}

const WITHHELD = "what it is about is shown to who may read untrusted content";

/**
 * For readers without what it says of artifacts and tags that are hidden from them. What was not taken as evidence is attached to the artifact
 * and hidden, too: not even how much that was is told, nor why it did not do.
 */
function shownDecision(decision: z.infer<typeof decisionRecord>["decision"], { pushedTags }: Pick<Detail, "pushedTags">): unknown {
  if (pushedTags) return decision;
  const checks = decision.checks.map((check) => {
    if (check.id === SHARES_REVOKED) return { ...check, message: WITHHELD, inputs: [] };
    return check.id.startsWith("policy/") && check.status !== "pass" ? { ...check, message: WITHHELD } : check;
  });
  const policies = decision.policies.map((policy) => ({ ...policy, requirements: policy.requirements.map(shownRequirement) }));
  const considered = policies.flatMap(({ requirements }) => requirements.flatMap(({ accepted }) => accepted)).length;
  const evidence = { considered, not_considered: 0, skipped: [], skipped_more: 0 };
  return { ...decision, checks, policies, evidence, not_considered: 0, tags: { ...decision.tags, stays: [] } };
}

function shownRequirement(requirement: z.infer<typeof requirementRecord>): z.infer<typeof requirementRecord> {
  return { ...requirement, message: requirement.met ? requirement.message : WITHHELD, rejected: [], rejected_more: 0 };
}

/** A link of an artifact's chain as history shows it. */
export interface ShownLink {
  readonly sequence: number;
  readonly state: string;
  readonly at: string;
  readonly actor: string;
  readonly reason: string | null;
  readonly statement: Digest;
  readonly manifest: Digest | null;
  /** The referrer that holds the SLSA summary of a promotion or revocation. */
  readonly summary: Digest | null;
}

const PAGE = 1000;

/** All transitions of an artifact, oldest first, over all of its generations. */
export async function artifactHistory({ metadata }: Needs, repository: RepositoryName, artifact: Digest): Promise<readonly ShownLink[]> {
  const links: ShownLink[] = [];
  for (;;) {
    const last = links.at(-1);
    const page = await metadata.list(under(keys.statements(repository, artifact), PAGE, last === undefined ? [] : [last.sequence]));
    for (const { key, value } of page) {
      const { state, at, actor, reason, digest, manifest, summary } = statementRecord.parse(value);
      links.push({
        sequence: Number(key[3]),
        state,
        at: new Date(at).toISOString(),
        actor,
        reason,
        statement: digest,
        manifest,
        summary: summary?.manifest ?? null,
      });
    }
    if (page.length < PAGE) return links;
  }
}

/** A signed statement of an approval, or of its withdrawal. */
export interface ShownApprovalStatement {
  readonly sequence: number;
  readonly statement: Digest;
  readonly manifest: Digest;
}

/** What was signed of an artifact's approvals, oldest first, over all of its generations. */
export async function approvalHistory(
  needs: Needs,
  repository: RepositoryName,
  artifact: Digest,
): Promise<readonly ShownApprovalStatement[]> {
  const shown: ShownApprovalStatement[] = [];
  for await (const { key, value } of rowsOf(needs, [under(keys.approvalStatements(repository, artifact), PAGE)])) {
    const { digest, manifest } = approvalStatementRecord.parse(value);
    shown.push({ sequence: Number(key[3]), statement: digest, manifest });
  }
  return shown;
}
