import { z } from "zod";
import { digestSchema } from "../oci/digest.ts";
import { tagSchema } from "../oci/reference.ts";
import { scanEvidence } from "./evidence.ts";
import { timeSchema } from "./time.ts";

const checkAnswer = z.strictObject({
  id: z.string().describe("which check it is, such as closure-complete"),
  status: z.enum(["pass", "warn", "fail"]),
  message: z.string(),
  inputs: z.array(digestSchema).describe("what the check rests on"),
});

const count = z.int().nonnegative();

/** Who signed evidence that a decision took. */
export const evidenceSigner = z
  .discriminatedUnion("type", [
    z.strictObject({ type: z.literal("key"), id: z.string(), fingerprint: digestSchema }),
    z.strictObject({ type: z.literal("identity"), issuer: z.string(), subject: z.string() }),
    z.strictObject({ type: z.literal("certificate"), subject: z.string(), root: digestSchema }),
  ])
  .describe("a key of the policy, by its SHA-256; an identity that a certificate names; or the holder of a certificate below a pinned one");

const acceptedEvidence = z.strictObject({
  authority: z.string(),
  signer: evidenceSigner,
  key: digestSchema.exactOptional().describe("of the public key that verifies it, its SHA-256; decisions of earlier versions have none"),
  manifest: digestSchema,
  blob: digestSchema,
  signed: digestSchema.describe("of the signed bytes: of a DSSE envelope, of its pre-authentication encoding"),
  predicate_type: z.string().nullable(),
  signed_at: timeSchema.nullable().describe("the earliest trusted time of the signature"),
  holds_until: timeSchema.nullable().describe("when it becomes too old for the policy"),
});

const rejectedEvidence = z.strictObject({
  authority: z.string().nullable(),
  manifest: digestSchema,
  blob: digestSchema.nullable(),
  code: z.string().describe("stable"),
  message: z.string(),
});

const acceptedApproval = z.strictObject({
  person: z.string(),
  by: z.string().describe("the identity by which the person approved it"),
  manifest: digestSchema.describe("the referrer that holds the signed statement"),
  approved_at: timeSchema,
  holds_until: timeSchema.nullable().describe("when it counts no more"),
});

const judgedPolicy = z.strictObject({
  name: z.string(),
  version: z.int().positive(),
  digest: digestSchema.describe("of the policy's canonical JSON"),
  mode: z.enum(["enforce", "warn"]),
  trust_roots: z.array(digestSchema),
  updated_roots: z
    .array(
      z.strictObject({
        as: z.string().describe("the policy's name of it"),
        root_digest: digestSchema.describe("of the root metadata that the first update began with"),
        digest: digestSchema.nullable().describe("of what the last update brought"),
        updated_at: timeSchema.nullable(),
        holds_until: timeSchema.nullable(),
        status: z.enum(["fresh", "stale", "missing"]),
        counts: z.boolean().describe("may evidence rest on it?"),
      }),
    )
    .describe("the trust roots that are updated by TUF"),
  requirements: z.array(
    z.strictObject({
      name: z.string(),
      kind: z.enum(["signature", "attestation", "oms", "scan-results", "approvals"]),
      met: z.boolean(),
      message: z.string(),
      accepted: z.array(acceptedEvidence),
      approvals: z.array(acceptedApproval).exactOptional().describe("of a requirement of approvals"),
      rejected: z.array(rejectedEvidence).describe("only for those who may see untrusted content, at most 32"),
      rejected_more: count,
    }),
  ),
});

/** A promotion decision as evaluate and promote show it; `registry/` makes it from the policy. */
export const decisionAnswer = z.strictObject({
  allowed: z.boolean().describe("no check failed"),
  policy: z.string().describe("the policy that decided, with its version"),
  artifact: digestSchema,
  checks: z.array(checkAnswer),
  covers: z.array(digestSchema).describe("the evidence that becomes visible together with the artifact"),
  not_considered: z.int().nonnegative().describe("evidence that was left out by the bounds; none, for readers"),
  tags: z.strictObject({
    moves: z.array(tagSchema).describe("tags that readers will find at this artifact"),
    stays: z.array(tagSchema).describe("tags of the artifact that readers find elsewhere, and that were not named"),
  }),
  size_bytes: z.int().nonnegative().describe("distinct content of the whole closure"),
  scan: scanEvidence,
  policies: z.array(judgedPolicy).describe("the written policies that match the repository"),
  evidence: z
    .strictObject({ considered: count, not_considered: count, skipped: z.array(rejectedEvidence), skipped_more: count })
    .describe(
      "what is attached and was held against the policies, left out by their bounds, or is no evidence; for readers, what was taken",
    ),
  digest: digestSchema.describe("over all the rest: what `expected` of promote means"),
});
