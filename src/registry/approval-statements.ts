import type { Actor } from "../audit/event.ts";
import { type ApprovalFacts, approvalLabel, approvalPayload } from "../lifecycle/approval.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Change, Expectation, Put } from "../storage/metadata-store.ts";
import { type ApprovalRecord, type ApprovalStatementRecord, approvalStatementRecord } from "../storage/policy-records.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { type Approval, statementContent } from "./approvals.ts";
import { auditEvent } from "./audit-event.ts";
import { type ExpectedArtifact, stillMeant } from "./find-artifact.ts";
import { publishOwnBlobs } from "./own-blobs.ts";
import type { Services } from "./ports.ts";
import { addStatements, rootsOf } from "./reach.ts";
import { giveWay } from "./right-of-way.ts";
import { statementSigner } from "./sign.ts";
import { storedStatement } from "./statement-rows.ts";

/** What signing approvals needs. */
export type ApprovalServices = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "settings" | "signing" | "log">;

/** The statement that a record of an approval names. */
export type ApprovalStatement = NonNullable<ApprovalRecord["statement"]>;

/** What is to be said of an approval; its place among the others and the artifact come besides. */
type SaidOfApproval = Pick<
  ApprovalFacts,
  "verdict" | "actor" | "person" | "at" | "givenAt" | "expiresAt" | "reason" | "policies" | "withdraws"
>;

/** A person's word that is about to be kept. */
export interface StatedApproval {
  readonly repository: RepositoryName;
  readonly artifact: ExpectedArtifact;
  readonly said: SaidOfApproval;
  /** What is kept of this person already. */
  readonly own: Approval | undefined;
  /** What is kept from now on. */
  readonly value: (statement: ApprovalStatement) => ApprovalRecord;
  readonly audit: { readonly type: string; readonly actor: Actor };
}

/**
 * The change that keeps what a person says, with its signed statement, which every root shows that shows the artifact. Like a transition it
 * puts the repository's record, so that no other change of what roots reach comes in between. Throws UNAVAILABLE when the signing key
 * cannot be used.
 */
export async function approvalChange(services: ApprovalServices, stated: StatedApproval): Promise<Change> {
  const { repository, artifact, said, own, value, audit } = stated;
  const { record } = artifact;
  const way = await giveWay(services, repository);
  const place = keys.repository(repository);
  const holder = await services.metadata.get(place);
  if (holder === undefined) throw new RegistryError("INTERNAL");
  const written = await write(services, repository, record, said);
  const roots = await rootsOf(services, repository, record.digest);
  const contents = statementContent(repository, written.statement);
  const key = keys.approval(repository, record.digest, record.generation, said.person);
  return {
    expect: [
      ...stillMeant(repository, artifact),
      { key: place, version: holder.version },
      own?.expect ?? { key, version: "absent" },
      way,
      ...written.expect,
    ],
    put: [
      { key: place, value: holder.value },
      { key, value: value(written.statement) },
      ...written.put,
      ...[...roots].flatMap((root) => addStatements(repository, root, contents).put),
    ],
    remove: [],
    audit: [
      auditEvent(services, audit.actor, {
        type: audit.type,
        target: { kind: "artifact", name: repository, digest: record.digest },
        ...(said.reason === null ? {} : { reason: said.reason }),
        after: { generation: record.generation, person: said.person, statement: written.statement.digest },
      }),
    ],
  };
}

interface Written {
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
  readonly statement: ApprovalStatement;
}

/** The statement of what a person says, after all that was said before. */
async function write(
  services: ApprovalServices,
  repository: RepositoryName,
  artifact: ManifestRecord,
  said: SaidOfApproval,
): Promise<Written> {
  const last = await lastStatement(services, repository, artifact.digest);
  const sequence = (last?.sequence ?? 0) + 1;
  const payload = approvalPayload({
    registry: services.settings.publicUrl,
    repository,
    subject: { sha256: artifact.digest, sha512: artifact.sha512 },
    generation: artifact.generation,
    sequence,
    previous: last?.digest ?? null,
    ...said,
  });
  const signer = await statementSigner(services);
  const stored = storedStatement({ repository, artifact, bundle: await signer.bundle(payload), label: approvalLabel(said) });
  const blobs = await publishOwnBlobs(services, repository, stored.blobs);
  const statement = { digest: digestOf(payload), manifest: stored.manifest, bundle: stored.bundle };
  const record: ApprovalStatementRecord = { v: 1, payload, ...statement };
  const key = keys.approvalStatement(repository, artifact.digest, sequence);
  return {
    expect: [signer.unchanged, { key, version: "absent" }, ...stored.expect, ...blobs.expect],
    put: [...blobs.put, ...stored.put, { key, value: record }],
    statement,
  };
}

async function lastStatement(
  { metadata }: ApprovalServices,
  repository: RepositoryName,
  artifact: Digest,
): Promise<{ readonly sequence: number; readonly digest: Digest } | undefined> {
  const [last] = await metadata.list({ ...under(keys.approvalStatements(repository, artifact), 1), reverse: true });
  return last && { sequence: Number(last.key[3]), digest: approvalStatementRecord.parse(last.value).digest };
}
