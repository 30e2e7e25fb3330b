import { isStanding } from "../lifecycle/approval.ts";
import { statementConfig } from "../lifecycle/statement.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type Content, keys, under } from "../storage/keys.ts";
import type { Expectation, Key } from "../storage/metadata-store.ts";
import { type ApprovalRecord, type ApprovalStatementRecord, approvalRecord, approvalStatementRecord } from "../storage/policy-records.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;
type Approved = Pick<ManifestRecord, "digest" | "generation" | "revocation">;

/** People who may have approved a generation: more than any policy asks for. */
export const MAX_APPROVALS = 64;
const PAGE = 256;

/** An approval, whether it counts or not. */
export interface Approval {
  /** As a person: whose word it is, whichever of their identities gave it. */
  readonly person: string;
  readonly record: ApprovalRecord;
  readonly expect: Expectation;
}

/** The approvals of an artifact's generation that count now (epoch, ms), by person. */
export async function approvalsOf(needs: Needs, repository: RepositoryName, artifact: Approved, now: number): Promise<readonly Approval[]> {
  return (await everyApprovalOf(needs, repository, artifact)).filter(({ record }) => counts(record, artifact, now));
}

/** Does an approval of this generation count now (epoch, ms)? */
export function counts({ at, expiresAt, withdrawn }: ApprovalRecord, { revocation }: Pick<Approved, "revocation">, now: number): boolean {
  return isStanding({ at, expiresAt, isWithdrawn: withdrawn === true }, { now, revokedAt: revocation?.at ?? null });
}

/** The rows of approvals that a revocation has ended: whoever lifts it removes them, so that they do not count again. */
export async function staleApprovals(needs: Needs, repository: RepositoryName, artifact: Approved): Promise<readonly Key[]> {
  const { revocation } = artifact;
  const rows = await everyApprovalOf(needs, repository, artifact);
  return rows.filter(({ record }) => revocation !== null && record.at <= revocation.at).map(({ expect }) => expect.key);
}

/** The approvals of an artifact's generation, those that count no more among them. */
export async function everyApprovalOf(
  { metadata }: Needs,
  repository: RepositoryName,
  { digest, generation }: Pick<Approved, "digest" | "generation">,
): Promise<readonly Approval[]> {
  const rows = await metadata.list(under(keys.approvals(repository, digest, generation), 2 * MAX_APPROVALS));
  return rows.map(({ key, value, version }) => ({ person: String(key[4]), record: approvalRecord.parse(value), expect: { key, version } }));
}

/** What all statements about the approvals of an artifact consist of, those of earlier generations among them. */
export async function approvalContents(needs: Needs, repository: RepositoryName, artifact: Digest): Promise<readonly Content[]> {
  const contents: Content[] = [];
  for await (const { value } of rowsOf(needs, [under(keys.approvalStatements(repository, artifact), PAGE)])) {
    contents.push(...statementContent(repository, approvalStatementRecord.parse(value)));
  }
  return contents;
}

/** What one of them consists of, as content of its repository. */
export function statementContent(
  repository: RepositoryName,
  { manifest, bundle }: Pick<ApprovalStatementRecord, "manifest" | "bundle">,
): readonly Content[] {
  return [
    { kind: "manifest", digest: manifest },
    { kind: "blob", digest: digestOf(statementConfig(repository)) },
    { kind: "blob", digest: bundle },
  ];
}
