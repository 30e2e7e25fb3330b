import { z } from "zod";
import { stateSchema } from "../lifecycle/state.ts";
import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { policyName } from "./policies.ts";
import { timeSchema } from "./time.ts";

const MAX_PAGE = 1_000;
const count = z.int().nonnegative();

/** Body of `POST /v1/policies/<name>/replay`. */
export const replayRequest = z.strictObject({
  policy: z.string().min(1).max(262_144).optional().describe("a document of this name, in JSON or YAML; else the policy in force"),
  version: z.int().positive().optional().describe("a version of the policy instead of the one in force"),
  repository: z.string().min(1).max(1_024).optional().describe("only of these repositories: a name, or a pattern with * and **"),
  cursor: z.string().max(1_024).optional().describe("`next` of the page before"),
  limit: z.int().min(1).max(MAX_PAGE).default(100).describe("how many artifacts are decided about at most"),
});

/** An artifact for which a policy would change something. */
const replayedArtifact = z.strictObject({
  repository: repositoryNameSchema,
  digest: digestSchema,
  state: stateSchema,
  outcome: z.enum(["would-fail", "would-pass"]).describe("it is trusted and would be refused, or is not trusted and would be promoted"),
  failed: z
    .array(z.strictObject({ id: z.string(), message: z.string(), codes: z.array(z.string()).describe("why evidence did not count") }))
    .describe("the checks that would fail, at most 8"),
  failed_more: count,
  refused: z
    .strictObject({ decision: digestSchema, at: timeSchema })
    .nullable()
    .describe("the decision by which it was refused last, since it was pushed and trusted last"),
});
/** An artifact for which a policy would change something. */
export type ReplayedArtifact = z.infer<typeof replayedArtifact>;

const replayed = z.strictObject({
  policy: z.strictObject({
    name: policyName,
    version: z.int().positive().describe("that it has, or would have"),
    digest: digestSchema,
  }),
  examined: z.strictObject({ trusted: count, others: count }).describe("how many artifacts were decided about"),
  artifacts: z.array(replayedArtifact),
});

/** Answer of `POST /v1/policies/<name>/replay`: as much as was decided in one request. */
export const replayPage = replayed.extend({ next: z.string().nullable() });

/** All pages together, as `securectl policy replay --json` prints them. */
export const policyReplay = replayed;
/** All pages together. */
export type PolicyReplay = z.infer<typeof policyReplay>;
