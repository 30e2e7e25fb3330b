import { z } from "zod";
import { ERRORS } from "../oci/errors.ts";
import { decisionAnswer } from "./decision.ts";

/** An error as the native API answers it (RFC 9457). */
export const problem = z.looseObject({
  type: z.literal("about:blank"),
  title: z.string().describe("the status in words"),
  status: z.int().min(400).max(599),
  code: z.enum(Object.keys(ERRORS).map((code) => code.toLowerCase())).describe("stable; what programs tell errors by"),
  detail: z.string().describe("which rule was broken, and the remedy"),
  errors: z
    .array(z.strictObject({ pointer: z.string().describe("RFC 6901; empty for the whole"), code: z.string() }))
    .optional()
    .describe("what does not fit the schema, at most 20"),
  decision: decisionAnswer.optional().describe("where a promotion is refused, or is not what was expected"),
});

/** A promotion that the policy refuses, with the decision. */
export const refusedPromotion = problem.extend({ decision: decisionAnswer });

/** An error in the predecessor's JSON; its other errors are plain text. Whoever accepts `application/json` gets JSON always. */
export const predecessorError = z.looseObject({ error: z.string() });

/** A promotion that the policy refuses, at the predecessor's door. */
export const predecessorRefusal = predecessorError.extend({ decision: decisionAnswer.optional() });
