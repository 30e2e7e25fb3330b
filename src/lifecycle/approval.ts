import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, algorithmOf, encodedOf } from "../oci/digest.ts";
import { type StatementLabel, hostOf, statementTime } from "./statement.ts";

export const APPROVAL_PREDICATE = "https://ai-model-registry.dev/attestations/approval/v1";

/** A policy in force that asks for approvals. */
export interface AskingPolicy {
  readonly name: string;
  readonly version: number;
  readonly digest: Digest;
}

/** A person's word for an artifact, or that it is taken back. Times are epoch milliseconds. */
export interface ApprovalFacts {
  readonly registry: string;
  readonly repository: string;
  readonly subject: { readonly sha256: Digest; readonly sha512: Digest };
  readonly verdict: "approved" | "withdrawn";
  /** Which pushing of the artifact it is about: it says nothing of what is pushed after a deletion. */
  readonly generation: number;
  /** Place among the statements of approvals of this artifact, and digest of the one before; null at the first. */
  readonly sequence: number;
  readonly previous: Digest | null;
  /** The identity that says so, and the person that it counts as. */
  readonly actor: string;
  readonly person: string;
  /** When the statement was made. */
  readonly at: number;
  /** When the word was given; earlier where it was signed later. */
  readonly givenAt: number;
  readonly expiresAt: number | null;
  readonly reason: string | null;
  /** Those that asked for it then. */
  readonly policies: readonly AskingPolicy[];
  /** Digest of the approval that is withdrawn. */
  readonly withdraws: Digest | null;
}

/** The in-toto statement of an approval, or of its withdrawal, as canonical JSON. */
export function approvalPayload(facts: ApprovalFacts): string {
  const { subject, reason, expiresAt, withdraws, givenAt, at } = facts;
  return canonicalJson({
    _type: "https://in-toto.io/Statement/v1",
    subject: [
      {
        name: `${hostOf(facts.registry)}/${facts.repository}`,
        digest: { sha256: encodedOf(subject.sha256), sha512: encodedOf(subject.sha512) },
      },
    ],
    predicateType: APPROVAL_PREDICATE,
    predicate: {
      registry: facts.registry,
      repository: facts.repository,
      generation: facts.generation,
      verdict: facts.verdict,
      seq: facts.sequence,
      prev: facts.previous && digestSet(facts.previous),
      effectiveAt: statementTime(at),
      ...(givenAt === at ? {} : { givenAt: statementTime(givenAt) }),
      ...(expiresAt === null ? {} : { expiresAt: statementTime(expiresAt) }),
      actor: facts.actor,
      person: facts.person,
      ...(reason === null ? {} : { reason }),
      policies: facts.policies.map(({ name, version, digest }) => ({ uri: `${name}@${version}`, digest: digestSet(digest) })),
      ...(withdraws === null ? {} : { withdraws: digestSet(withdraws) }),
    },
  });
}

function digestSet(digest: Digest): Readonly<Record<string, string>> {
  return { [algorithmOf(digest)]: encodedOf(digest) };
}

/** The label of an approval's statement among the referrers of its artifact. */
export function approvalLabel({ verdict, person, at }: Pick<ApprovalFacts, "verdict" | "person" | "at">): StatementLabel {
  const annotations = { "dev.ai-model-registry.approval.verdict": verdict, "dev.ai-model-registry.approval.person": person };
  return { predicateType: APPROVAL_PREDICATE, at, annotations };
}

/** What became of an approval since it was given. Times are epoch milliseconds. */
export interface GivenApproval {
  readonly at: number;
  readonly expiresAt: number | null;
  readonly isWithdrawn: boolean;
}

/** When an approval is looked at, and since when the artifact has been revoked, if it is. */
export interface ApprovalMoment {
  readonly now: number;
  readonly revokedAt: number | null;
}

/**
 * Does an approval of the present generation count? Not when it was taken back, nor from the second on in which it expires; and one that
 * was given before a revocation says nothing of what became known then.
 */
export function isStanding({ at, expiresAt, isWithdrawn }: GivenApproval, { now, revokedAt }: ApprovalMoment): boolean {
  return !isWithdrawn && (expiresAt === null || now < expiresAt) && (revokedAt === null || at > revokedAt);
}
