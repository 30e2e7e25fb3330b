import { z } from "zod";
import { stateSchema } from "../lifecycle/state.ts";
import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema, tagSchema } from "../oci/reference.ts";
import { scanEvidence } from "./evidence.ts";

/** The native API for any artifact (interface.md §5): bodies and answers. */
const MAX_LIST = 1_000;
const reason = z.string().min(1).max(1024);
const tags = z.array(tagSchema).max(100);
const digests = z.array(digestSchema).max(MAX_LIST);

/** Body of quarantine. */
export const quarantineRequest = z.strictObject({ reason: reason.optional() });

/** Body of approve. */
export const approveRequest = z.strictObject({ reason: reason.optional() });

/** Query of DELETE on an approval. */
export const withdrawRequest = z.strictObject({ reason: reason.optional() });

/** Query of a recorded decision. */
export const decisionRequest = z.strictObject({
  digest: digestSchema.describe("as the statement of the promotion names it, first among what it rested on"),
});

/** Body of revoke: the reason is what every door shows, so that there is one when none was given. */
export const revokeRequest = z.strictObject({
  reason: reason.default("no reason was given"),
  permanent: z.boolean().default(false),
  everywhere: z.boolean().default(false),
});

const promotion = z.strictObject({
  reason: reason.optional(),
  tags: tags.default([]),
  covers: digests.default([]),
  evidence: digests.default([]),
  ...scanEvidence.shape,
});

/** Body of evaluate; with a policy, in JSON or YAML, it tells what that one would decide instead of those in force. */
export const evaluateRequest = promotion.extend({ policy: z.string().min(1).max(262_144).optional() });

/** Body of promote. */
export const promoteRequest = promotion.extend({ expected: digestSchema.optional() });

/** Query of the list. */
export const listRequest = z.strictObject({
  repository: repositoryNameSchema.optional(),
  state: stateSchema.optional(),
  cursor: z.string().max(1024).optional(),
  limit: z.coerce.number().int().min(1).max(MAX_LIST).default(100),
});

/** Query of DELETE. */
export const deleteRequest = z.strictObject({ reason: reason.optional() });

/** Body of PUT on a tag's promoted pointer; that of DELETE has no digest. */
export const promotedTagRequest = z.strictObject({ digest: digestSchema, reason: reason.optional() });
export const removePromotedTagRequest = z.strictObject({ reason: reason.optional() });
