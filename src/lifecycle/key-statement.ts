import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, algorithmOf, encodedOf } from "../oci/digest.ts";
import { hostOf, statementTime } from "./statement.ts";

export const KEY_PREDICATE = "https://ai-model-registry.dev/attestations/signing-key/v1";

/** A link of the chain of the keys that sign statements. `at` is epoch milliseconds. */
export interface KeyFacts {
  readonly registry: string;
  /** By its id, which is the hash of its SPKI in base64. */
  readonly key: { readonly keyId: string; readonly algorithm: string; readonly publicPem: string };
  readonly sequence: number;
  /** Digest of the statement that named the key before; null at the first. */
  readonly previous: Digest | null;
  readonly at: number;
  readonly actor: string;
  readonly reason: string | null;
  /** The key that signs this: the one before, or the key itself when there is none that could. */
  readonly signedBy: string;
}

/** The in-toto statement that a key signs for the registry from now on, as canonical JSON. */
export function keyStatementPayload({ registry, key, sequence, previous, at, actor, reason, signedBy }: KeyFacts): string {
  return canonicalJson({
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: hostOf(registry), digest: { sha256: Buffer.from(key.keyId, "base64").toString("hex") } }],
    predicateType: KEY_PREDICATE,
    predicate: {
      registry,
      seq: sequence,
      prev: previous && { [algorithmOf(previous)]: encodedOf(previous) },
      effectiveAt: statementTime(at),
      actor,
      ...(reason === null ? {} : { reason }),
      key: { id: key.keyId, algorithm: key.algorithm, pem: key.publicPem },
      signedBy,
    },
  });
}
