import { z } from "zod";
import { jsonValueSchema } from "../audit/event.ts";
import { digestSchema } from "../oci/digest.ts";
import { timeSchema } from "./time.ts";

/** What a policy or a trust root is called. */
export const policyName = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/);

/** Body of `PUT /v1/policies/<name>`; what it has to be like is in `schemas/trust-policy.schema.json`. */
export const policyDocument = z
  .record(z.string(), jsonValueSchema)
  .describe("a TrustPolicy as schemas/trust-policy.schema.json describes it; in YAML with Content-Type application/yaml; at most 256 KiB");

/** Query of `GET /v1/policies/<name>`. */
export const showPolicyRequest = z.strictObject({ version: z.coerce.number().int().positive().optional() });

/** A version of a written promotion policy. */
export const policyView = z.strictObject({
  name: policyName,
  version: z.int().positive(),
  digest: digestSchema.describe("of the document's canonical JSON (RFC 8785)"),
  in_force: z.boolean().describe("is it what promotions are decided by now?"),
  changed_by: z.string(),
  changed_at: timeSchema,
  document: policyDocument.describe("with every default filled in"),
});
export type PolicyView = z.infer<typeof policyView>;

/** Answer of `PUT` and `DELETE /v1/policies/<name>`. */
export const policyVersionView = policyView.omit({ document: true });

/** Answer of `GET /v1/policies`: those in force. */
export const policyList = z.strictObject({ policies: z.array(policyView) });

/** Body of `PUT /v1/trust-roots/<name>`. */
export const trustRootDocument = z.record(z.string(), jsonValueSchema).describe("a Sigstore trusted root, in its JSON form, at most 1 MiB");

const metadataVersion = z.int().positive();
/** How a TUF client came by a trusted root. */
const trustRootUpdate = z.strictObject({
  root_digest: digestSchema.describe("of the root metadata that the client began with, as policies name it"),
  updated_at: timeSchema.describe("when it was fetched"),
  expires_at: timeSchema.describe("when the first of the roles' metadata expires"),
  versions: z
    .strictObject({ root: metadataVersion, timestamp: metadataVersion, snapshot: metadataVersion, targets: metadataVersion })
    .describe("of the roles' metadata: none of them ever falls"),
});

/** A Sigstore trusted root that policies may name. */
export const trustRootView = z.strictObject({
  name: policyName,
  digest: digestSchema.describe("of its bytes, as policies name it"),
  size: z.int().nonnegative(),
  added_by: z.string(),
  added_at: timeSchema.nullable().describe("null for what comes with the registry"),
  tuf: trustRootUpdate.nullable().describe("for what an update brought, which policies name by it"),
});
export type TrustRootView = z.infer<typeof trustRootView>;

/** Answer of `GET /v1/trust-roots`. */
export const trustRootList = z.strictObject({ trust_roots: z.array(trustRootView) });

/** Query of `GET /v1/trust-roots/<name>`. */
export const showTrustRootRequest = z.strictObject({ digest: digestSchema });

/** Body of `PUT /v1/trust-roots/<name>/update`. */
export const updateTrustRootRequest = trustRootUpdate.extend({
  trusted_root: z.string().min(1).max(1_048_576).describe("the document as it was fetched, byte for byte"),
});

/** Query of `DELETE /v1/trust-roots/<name>`. */
export const endTrustRootRequest = z.strictObject({ digest: digestSchema.optional().describe("this one of the name alone") });

/** Answer of `DELETE /v1/trust-roots/<name>`. */
export const endedTrustRoots = z.strictObject({
  name: policyName,
  digests: z.array(digestSchema).describe("of the trust roots that policies may name by it no more; their documents stay"),
});
