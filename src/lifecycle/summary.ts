import { z } from "zod";
import { canonicalJson } from "../oci/canonical-json.ts";
import type { Digest } from "../oci/digest.ts";
import { type StatementLabel, hostOf } from "./statement.ts";

export const SUMMARY_PREDICATE = "https://slsa.dev/verification_summary/v1";
const RESULT = "dev.ai-model-registry.verification.result";
/** What decides a revocation: whoever has the right, by hand. */
const REVOCATION = "built-in/revocation@1";
/** An own level may not begin with `SLSA_`. */
const LEVELS = { PASSED: "AI_MODEL_REGISTRY_TRUSTED", FAILED: "FAILED" } as const;

/** A verification summary (SLSA VSA v1) of a promotion or a revocation: the form in which tools that know no registry of ours ask for it. */
export interface Summary {
  readonly payload: string;
  readonly label: StatementLabel;
}

const linkSchema = z.object({
  subject: z.array(z.unknown()),
  predicate: z.object({
    registry: z.string(),
    repository: z.string(),
    state: z.string(),
    effectiveAt: z.string(),
    policy: z.unknown().optional(),
    inputs: z.array(z.unknown()),
  }),
});

const RESULTS: ReadonlyMap<string, "PASSED" | "FAILED"> = new Map([
  ["trusted", "PASSED"],
  ["revoked", "FAILED"],
]);

/** The summary that goes with a link of an artifact's chain, given its payload; undefined for one that neither promotes nor revokes. */
export function summaryOf(link: string, artifact: Digest): Summary | undefined {
  const { subject, predicate } = linkSchema.parse(JSON.parse(link));
  const result = RESULTS.get(predicate.state);
  if (result === undefined) return undefined;
  const payload = canonicalJson({
    _type: "https://in-toto.io/Statement/v1",
    subject,
    predicateType: SUMMARY_PREDICATE,
    predicate: {
      verifier: { id: predicate.registry },
      timeVerified: predicate.effectiveAt,
      resourceUri: `oci://${hostOf(predicate.registry)}/${predicate.repository}@${artifact}`,
      policy: predicate.policy ?? { uri: REVOCATION },
      inputAttestations: predicate.inputs,
      verificationResult: result,
      verifiedLevels: [LEVELS[result]],
    },
  });
  const at = Date.parse(predicate.effectiveAt);
  return { payload, label: { predicateType: SUMMARY_PREDICATE, at, annotations: { [RESULT]: result } } };
}

const permanentSchema = z.object({ predicate: z.object({ permanent: z.boolean().exactOptional() }) });

/** Is this the payload of a link that revokes for good? Its summary is listed for ever, whatever follows (trust.md §7.2). */
export function isPermanent(link: string): boolean {
  return permanentSchema.parse(JSON.parse(link)).predicate.permanent === true;
}
