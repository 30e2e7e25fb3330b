import { z } from "zod";
import { digestSchema } from "../oci/digest.ts";
import { tagSchema } from "../oci/reference.ts";
import { scanEvidence } from "./evidence.ts";

const checkAnswer = z.strictObject({
  id: z.string().describe("which check it is, such as closure-complete"),
  status: z.enum(["pass", "warn", "fail"]),
  message: z.string(),
  inputs: z.array(digestSchema).describe("what the check rests on"),
});

/** A promotion decision as evaluate and promote show it; `registry/` makes it from the policy. */
export const decisionAnswer = z.strictObject({
  allowed: z.boolean().describe("no check failed"),
  policy: z.string().describe("the policy that decided, with its version"),
  artifact: digestSchema,
  checks: z.array(checkAnswer),
  covers: z.array(digestSchema).describe("the evidence that becomes visible together with the artifact"),
  not_considered: z.int().nonnegative().describe("evidence that was left out by the bounds"),
  tags: z.strictObject({
    moves: z.array(tagSchema).describe("tags that readers will find at this artifact"),
    stays: z.array(tagSchema).describe("tags of the artifact that readers find elsewhere, and that were not named"),
  }),
  size_bytes: z.int().nonnegative().describe("distinct content of the whole closure"),
  scan: scanEvidence,
  digest: digestSchema.describe("over all the rest: what `expected` of promote means"),
});
