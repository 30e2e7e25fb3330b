import { z } from "zod";
import { stateSchema } from "../lifecycle/state.ts";
import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema, tagSchema } from "../oci/reference.ts";
import { decisionAnswer } from "./decision.ts";
import { next } from "./page.ts";
import { timeSchema } from "./time.ts";

const count = z.int().nonnegative();

/** An artifact as the native API shows it (interface.md §5). */
export const artifactAnswer = z.strictObject({
  repository: repositoryNameSchema,
  digest: digestSchema.describe("the name that it was pushed by"),
  sha512: digestSchema.describe("its other name"),
  tags: z.array(tagSchema).describe("as pushed, to those who may see untrusted content; to others as promoted"),
  promoted_tags: z.array(tagSchema).describe("where readers find it"),
  artifact_type: z.string().nullable(),
  media_type: z.string(),
  size_bytes: count.describe("distinct content of the whole closure"),
  state: stateSchema,
  sequence: z.int().positive().describe("of its last transition"),
  generation: z.int().positive().describe("one more with each push after a deletion"),
  subject: digestSchema.nullable().describe("what it is attached to"),
  pushed_by: z.string(),
  pushed_at: timeSchema,
  changed_by: z.string(),
  changed_at: timeSchema,
  reason: z.string().nullable().describe("of its last transition"),
  revocation: z
    .strictObject({ permanent: z.boolean(), everywhere: z.boolean(), reason: z.string() })
    .nullable()
    .describe("the one in force"),
  policy: z.string().nullable().describe("what decided its last promotion"),
  decision: decisionAnswer.nullable().describe("of its last promotion"),
  approvals: z
    .array(
      z.strictObject({
        by: z.string(),
        at: timeSchema,
        reason: z.string().nullable(),
        expires_at: timeSchema.nullable(),
        manifest: digestSchema
          .nullable()
          .describe("the referrer that holds the signed statement; null until what an earlier version kept is signed"),
      }),
    )
    .describe("those that count for its next promotion, one a person"),
  served_by: z.array(digestSchema).describe("other artifacts that are or were trusted and reach it"),
});

/** An artifact in a list, without what would cost a look-up of its own. */
export const listedArtifact = artifactAnswer.extend({
  decision: digestSchema.nullable().describe("the digest of the decision of its last promotion"),
  approvals: artifactAnswer.shape.approvals.max(0).describe("not looked up in lists"),
  served_by: z.array(digestSchema).max(0).describe("not looked up in lists"),
});

/** Answer of the list. */
export const artifactList = z.strictObject({ artifacts: z.array(listedArtifact), next });

/** A transition as it is told of. */
export const toldTransition = z.strictObject({
  sequence: z.int().positive(),
  state: stateSchema,
  at: timeSchema,
  actor: z.string(),
  reason: z.string().nullable(),
  statement: digestSchema,
});

/** All transitions of an artifact, oldest first, over all of its generations. */
export const artifactHistory = z.strictObject({
  repository: repositoryNameSchema,
  digest: digestSchema,
  history: z.array(
    toldTransition.extend({
      manifest: digestSchema.nullable().describe("the referrer that holds the statement, once it is written"),
      summary: digestSchema.nullable().describe("the referrer that holds the SLSA verification summary of a promotion or revocation"),
    }),
  ),
  approvals: z
    .array(
      z.strictObject({
        sequence: z.int().positive(),
        statement: digestSchema.describe("of the payload"),
        manifest: digestSchema.describe("the referrer that holds the statement"),
      }),
    )
    .describe("what was signed of approvals and their withdrawals, oldest first"),
});

/** A tag after its promoted pointer was moved or removed. */
export const promotedTagAnswer = z.strictObject({
  repository: repositoryNameSchema,
  tag: tagSchema,
  promoted: z.strictObject({ v: z.literal(1), digest: digestSchema, by: z.string(), at: count.describe("epoch milliseconds") }).nullable(),
});
