import { z } from "zod";
import { digestSchema } from "../oci/digest.ts";
import type { Signatory } from "../trust/distinct-signers.ts";
import { signerSchema } from "../trust/verdict.ts";
import { NO_SCAN_EVIDENCE } from "./scan-evidence.ts";

const texts = z.record(z.string(), z.string());
const scan = z.object({ scan_results: texts, scanner_versions: texts, policy_version: z.string(), source_revision: z.string() });
const acceptedEvidence = z.looseObject({
  manifest: digestSchema,
  signer: signerSchema,
  key: digestSchema.optional(),
  signed_at: z.string().nullable(),
});
const judgedPolicy = z.looseObject({
  name: z.string(),
  version: z.number(),
  digest: digestSchema,
  mode: z.string(),
  requirements: z.array(z.looseObject({ name: z.string(), accepted: z.array(acceptedEvidence) })),
});

/**
 * What a promotion decision of any version says of scans and of the evidence that it took. The first ones knew neither scans nor written
 * policies, and later ones did not tell by which key evidence verifies.
 */
export const recordedDecision = z.looseObject({
  artifact: digestSchema,
  scan: scan.default(NO_SCAN_EVIDENCE),
  policies: z.array(judgedPolicy).default([]),
});
export type RecordedDecision = z.infer<typeof recordedDecision>;

/** As much of a decision as tells whose evidence it took. */
interface TakenEvidence {
  readonly policies: readonly { readonly requirements: readonly { readonly accepted: readonly Signatory[] }[] }[];
}

/** Whose evidence a decision took, and by which keys. */
export function signersIn({ policies }: TakenEvidence): readonly Signatory[] {
  return policies.flatMap(({ requirements }) => requirements.flatMap(({ accepted }) => accepted));
}
