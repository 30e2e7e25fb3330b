import { z } from "zod";
import type { Link } from "../audit/chain.ts";
import { auditEventSchema } from "../audit/event.ts";
import { modelEventSchema } from "../audit/model-event.ts";
import { digestSchema } from "../oci/digest.ts";
import { timeSchema } from "./time.ts";

/** Most events of one answer (RULES 32). */
const MAX_AUDIT_PAGE = 1000;

const count = z.coerce.number().int().nonnegative();

/** The parameters of `GET /v1/audit`; anything else is refused. */
export const auditQuerySchema = z.strictObject({
  after: count.optional(),
  limit: count.min(1).max(MAX_AUDIT_PAGE).optional(),
  actor: z.string().min(1).max(255).optional(),
  artifact: z.string().min(1).max(512).optional(),
  type: z.string().min(1).max(64).optional(),
});
export type AuditQuery = z.infer<typeof auditQuerySchema>;

/** An event as the native API shows it: with its place in the chain, so that whoever reads the pages can prove the chain. */
export const auditEntrySchema = auditEventSchema.extend({
  /** Exactly the instant that was hashed. */
  time: timeSchema,
  sequence: z.number().int().positive(),
  previous: digestSchema.nullable(),
  hash: digestSchema,
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;

/** The end of the chain: whoever noted it earlier can tell when a chain was cut. */
const auditHeadSchema = z.strictObject({ sequence: z.number().int().positive(), hash: digestSchema });

/** A page of the audit. `next` is the `after` of the next page; null when this one reaches the end. */
export const auditPageSchema = z.strictObject({
  events: z.array(auditEntrySchema),
  next: z.number().int().nonnegative().nullable(),
  head: auditHeadSchema.nullable(),
});
export type AuditPage = z.infer<typeof auditPageSchema>;

/** The answer of `GET /v1/audit`: to the service token without parameters it is the whole of its predecessor's chain. */
export const auditAnswer = z.union([auditPageSchema, z.array(modelEventSchema)]);

/** The answer of `GET /v1/audit/verify`: what one request checked, and where the next one goes on. */
export const auditVerificationSchema = z.strictObject({
  intact: z.boolean(),
  /** How many links were checked. */
  checked: z.number().int().nonnegative(),
  next: z.number().int().nonnegative().nullable(),
  head: auditHeadSchema.nullable(),
  /** The first sequence that does not hold, and why; null when all that was checked does. */
  broken: z.strictObject({ sequence: z.number().int().positive(), reason: z.string() }).nullable(),
});
export type AuditVerification = z.infer<typeof auditVerificationSchema>;

/** A link of the chain as the API shows it. */
export function entryOf({ sequence, previous, hash, event }: Link): AuditEntry {
  return { sequence, ...event, time: new Date(event.time).toISOString(), previous, hash };
}

/** The link that an entry shows: the inverse of `entryOf`. */
export function linkOf({ sequence, previous, hash, time, ...event }: AuditEntry): Link {
  return { sequence, previous, hash, event: { ...event, time: Date.parse(time) } };
}

/** How the API shows the end of the chain, or that it is empty. */
export function headOf(link: Link | undefined): z.infer<typeof auditHeadSchema> | null {
  return link === undefined ? null : { sequence: link.sequence, hash: link.hash };
}
