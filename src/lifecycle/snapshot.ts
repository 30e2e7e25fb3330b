import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, encodedOf } from "../oci/digest.ts";
import type { State } from "./state.ts";
import { hostOf, statementTime } from "./statement.ts";

export const SNAPSHOT_PREDICATE = "https://ai-model-registry.dev/attestations/trust-snapshot/v1";

/** The last link of a chain, and the summaries that were signed along it. */
export interface ChainHead {
  /** The canonical name of the manifest whose chain it is. */
  readonly artifact: Digest;
  readonly state: State;
  readonly sequence: number;
  /** Digest of the last link's payload. */
  readonly statement: Digest;
  /** Is there a permanent revocation in the chain? */
  readonly permanent: boolean;
  /** Bundles of the verification summaries, by the sequence of their link. */
  readonly summaries: readonly { readonly sequence: number; readonly bundle: Digest }[];
}

/** What the registry had stated of itself by some time, and who was believed no more by that. */
export interface ToldOfRegistry {
  /** The last link of its chain; null where there is none. */
  readonly last: { readonly sequence: number; readonly statement: Digest } | null;
  /** Statements of the revocations of authorities that hold. */
  readonly revokedAuthorities: readonly Digest[];
}

/** Where the chains of an artifact and of what belongs to it ended at some time. Times are epoch milliseconds. */
export interface SnapshotFacts {
  readonly registry: string;
  readonly repository: string;
  readonly subject: { readonly sha256: Digest; readonly sha512: Digest };
  /** The last link of the chain of keys, that of the key which signs the snapshot. */
  readonly key: { readonly sequence: number; readonly statement: Digest };
  readonly heads: readonly ChainHead[];
  readonly told: ToldOfRegistry;
  readonly takenAt: number;
  readonly expiresAt: number;
}

/**
 * The statement that tells how far chains go (trust.md §9), as canonical JSON. A chain alone shows that nothing is missing in its middle;
 * that nothing is missing at its end, and no chain as a whole, only this can show.
 */
export function snapshotPayload(facts: SnapshotFacts): string {
  const { registry, repository, subject, takenAt, expiresAt } = facts;
  return canonicalJson({
    _type: "https://in-toto.io/Statement/v1",
    subject: [
      {
        name: `${hostOf(registry)}/${repository}`,
        digest: { sha256: encodedOf(subject.sha256), sha512: encodedOf(subject.sha512) },
      },
    ],
    predicateType: SNAPSHOT_PREDICATE,
    predicate: { registry, repository, takenAt: statementTime(takenAt), expires: statementTime(expiresAt), ...headsOf(facts) },
  });
}

/** What a snapshot says, whenever it is taken: while this is the same, so may the snapshot be. */
export function headsOf({ repository, key, heads, told }: Pick<SnapshotFacts, "repository" | "key" | "heads" | "told">): object {
  return {
    registryStatements: told.last && { seq: told.last.sequence, statement: told.last.statement },
    revokedAuthorities: told.revokedAuthorities.toSorted(),
    keys: { seq: key.sequence, statement: key.statement },
    subjects: Object.fromEntries(
      heads.map(({ artifact, state, sequence, statement, permanent, summaries }) => [
        `${repository}@${artifact}`,
        { state, seq: sequence, statement, permanent, summaries: summaries.map((each) => ({ seq: each.sequence, bundle: each.bundle })) },
      ]),
    ),
  };
}
