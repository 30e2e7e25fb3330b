import { z } from "zod";
import { jsonValueSchema } from "../audit/event.ts";
import { stateSchema } from "../lifecycle/state.ts";
import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { timeSchema } from "./time.ts";

const MAX_AGE = 31_536_000;

/** Query of `GET /v1/artifacts/<ref>/snapshot`. */
export const snapshotRequest = z.strictObject({
  max_age: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_AGE)
    .optional()
    .describe("seconds: one that was signed longer ago is signed anew, though nothing has changed"),
});

/** Answer of `GET /v1/artifacts/<ref>/snapshot`. */
export const snapshotAnswer = z.strictObject({
  repository: repositoryNameSchema,
  digest: digestSchema.describe("the sha256 of the artifact"),
  taken_at: timeSchema,
  expires_at: timeSchema,
  snapshot: jsonValueSchema.describe("a Sigstore bundle: where the chains end, signed with the key that signs now"),
  chains: z
    .array(
      z.strictObject({
        digest: digestSchema.describe("whose chain it is: the artifact, what it contains, or what its promotion covers"),
        state: stateSchema,
        links: z.array(
          z.strictObject({
            sequence: z.int().positive(),
            statement: digestSchema.describe("of the payload"),
            manifest: digestSchema.nullable().describe("the referrer that holds the signed statement, once it is written"),
            payload: z.string().exactOptional().describe("of a first link that is not written yet: the snapshot alone vouches for it"),
            summary: z
              .strictObject({ manifest: digestSchema, listed: z.boolean().describe("not that of a revocation which was lifted") })
              .nullable()
              .describe("the SLSA verification summary of a promotion or revocation"),
          }),
        ),
      }),
    )
    .describe("by digest, the links of each oldest first"),
});
export type SnapshotAnswer = z.infer<typeof snapshotAnswer>;
