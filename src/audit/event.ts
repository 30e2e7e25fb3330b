import { z } from "zod";

/** Who acted, from where and with what: the same for every event of a request. */
const actorSchema = z.strictObject({
  principal: z.string().max(255),
  kind: z.enum(["human", "service", "anonymous", "system", "service-token", "local-reader"]),
  /** The id of the credential, never the credential. */
  credential: z.string().max(64).optional(),
  address: z.string().max(64).optional(),
  userAgent: z.string().max(256).optional(),
  requestId: z.string().max(64).optional(),
});
export type Actor = z.infer<typeof actorSchema>;

/** Any JSON value. */
export const jsonValueSchema = z.json();

/** One thing that happened (identity.md §11). `time` is epoch milliseconds, `type` a dotted name such as `artifact.promote`. */
export const auditEventSchema = z.strictObject({
  id: z.string().max(64),
  time: z.number().int().nonnegative(),
  type: z.string().regex(/^[a-z]+(?:[.-][a-z]+)*$/),
  actor: actorSchema,
  outcome: z.enum(["allow", "deny", "error"]),
  target: z
    .strictObject({
      kind: z.enum(["artifact", "blob", "tag", "upload", "repository", "namespace", "identity", "credential", "policy", "registry"]),
      name: z.string().max(512),
      digest: z.string().max(140).optional(),
      tag: z.string().max(128).optional(),
    })
    .optional(),
  reason: z.string().max(1024).optional(),
  before: z.record(z.string(), jsonValueSchema).optional(),
  after: z.record(z.string(), jsonValueSchema).optional(),
  /** How many like it this one stands for (coalesced refusals and reads). */
  count: z.number().int().positive().optional(),
});
export type AuditEvent = z.infer<typeof auditEventSchema>;
