import { z } from "zod";
import { PROOF_FAULTS } from "../lifecycle/proof-fault.ts";
import { stateSchema } from "../lifecycle/state.ts";
import { digestSchema } from "../oci/digest.ts";
import { LAYOUT_FAULTS } from "../oci/layout-fault.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { toldTransition } from "./artifact-answers.ts";
import { revokedAuthority } from "./authorities.ts";
import { evidenceSigner } from "./decision.ts";
import { timeSchema } from "./time.ts";

const promoted = z.int().positive().describe("of the promotion, in the history of the artifact");

/** What `securectl verify-layout --json` prints. */
export const layoutReport = z.strictObject({
  accepted: z.boolean().describe("is nothing at fault?"),
  faults: z
    .array(
      z.strictObject({
        code: z.enum(Object.keys({ ...PROOF_FAULTS, ...LAYOUT_FAULTS })),
        message: z.string(),
        about: z.string().nullable(),
      }),
    )
    .describe("every reason why it is refused"),
  repository: repositoryNameSchema.nullable(),
  digest: digestSchema
    .nullable()
    .describe("of the artifact that was exported; null when no snapshot could be believed, and when there are several"),
  artifacts: z.array(digestSchema).describe("those that were exported: each has a snapshot"),
  taken_at: timeSchema.nullable().describe("the states are those of this time"),
  expires_at: timeSchema.nullable(),
  keys: z
    .array(z.strictObject({ id: z.string(), signed_from: timeSchema.nullable(), signed_until: timeSchema.nullable(), given: z.boolean() }))
    .describe("those of the registry, oldest first; the last one signed the snapshot"),
  states: z
    .array(
      z.strictObject({
        repository: repositoryNameSchema,
        digest: digestSchema,
        state: stateSchema,
        sequence: z.int().positive(),
        statement: digestSchema,
        permanent: z.boolean().describe("was it revoked for good?"),
        history: z.array(toldTransition),
      }),
    )
    .describe("of the artifact, what it contains and what its promotion covers; of a refused layout only what is revoked for good"),
  evidence: z
    .array(z.strictObject({ digest: digestSchema, artifact_type: z.string().nullable(), covered: z.boolean() }))
    .describe("what is attached, and whether the promotion covers it: anyone may have attached the rest"),
  grounds: z
    .array(z.strictObject({ artifact: digestSchema, sequence: promoted, digest: digestSchema, present: z.boolean() }))
    .describe("what each promotion rested on: decision, policies and evidence, and whether the layout has it"),
  signers: z
    .array(
      z.strictObject({
        artifact: digestSchema,
        sequence: promoted,
        policy: z.string(),
        requirement: z.string(),
        signer: evidenceSigner,
        evidence: digestSchema.describe("the manifest that holds what was signed"),
        signed_at: timeSchema.nullable().describe("the earliest trusted time of the signature"),
        revoked_by: digestSchema.nullable().describe("the statement by which it counts no more; null where it counts"),
      }),
    )
    .describe(
      "whose evidence each promotion took, the earliest first; nobody where the layout has no decision, as of an export by a reader",
    ),
  revoked_authorities: z
    .array(
      z.strictObject({
        statement: digestSchema,
        authority: revokedAuthority,
        from: timeSchema.nullable().describe("null: nothing counts that it ever signed"),
        reason: z.string(),
        revoked_by: z.string(),
        revoked_at: timeSchema,
      }),
    )
    .nullable()
    .describe("publishers who were believed no more; null where the snapshot does not tell"),
  content: z.strictObject({ manifests: z.int(), blobs: z.int(), bytes: z.int() }).describe("what was found and has the right bytes"),
});
export type LayoutReport = z.infer<typeof layoutReport>;
