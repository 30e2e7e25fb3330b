import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, algorithmOf, encodedOf } from "../oci/digest.ts";
import { statementTime } from "./statement.ts";

/** What the registry states of itself: each is the name of a predicate type. */
export const REGISTRY_STATEMENTS = ["policy", "trust-root", "authority-revoked"] as const;
type RegistryStatementKind = (typeof REGISTRY_STATEMENTS)[number];

/** A link of the one chain of what the registry states of itself. `at` is epoch milliseconds. */
export interface RegistryStatementFacts {
  readonly registry: string;
  readonly kind: RegistryStatementKind;
  /** What it is about, such as a policy by its name and digest. */
  readonly subjects: readonly { readonly name: string; readonly digest: Digest }[];
  readonly sequence: number;
  /** Digest of the link before; null at the first. */
  readonly previous: Digest | null;
  readonly at: number;
  readonly actor: string;
  readonly reason: string | null;
  /** What each kind says besides: JSON. */
  readonly says: Readonly<Record<string, unknown>>;
}

/** The predicate type of a kind. */
export function predicateOf(kind: RegistryStatementKind): string {
  return `https://ai-model-registry.dev/attestations/${kind}/v1`;
}

/** The in-toto statement of a change of what promotions are decided by, as canonical JSON. */
export function registryStatementPayload(facts: RegistryStatementFacts): string {
  const { registry, kind, subjects, sequence, previous, at, actor, reason, says } = facts;
  return canonicalJson({
    _type: "https://in-toto.io/Statement/v1",
    subject: subjects.map(({ name, digest }) => ({ name, digest: digestSet(digest) })),
    predicateType: predicateOf(kind),
    predicate: {
      ...says,
      registry,
      seq: sequence,
      prev: previous && digestSet(previous),
      effectiveAt: statementTime(at),
      actor,
      ...(reason === null ? {} : { reason }),
    },
  });
}

function digestSet(digest: Digest): Readonly<Record<string, string>> {
  return { [algorithmOf(digest)]: encodedOf(digest) };
}
