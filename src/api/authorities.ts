import { z } from "zod";
import { jsonValueSchema } from "../audit/event.ts";
import { digestSchema } from "../oci/digest.ts";
import { timeSchema } from "./time.ts";

const text = z.string().min(1).max(1_024);
const reason = z.string().min(1).max(1_024);
const count = z.int().nonnegative();

/** How a text is compared. */
const match = z.union([
  z.strictObject({ exact: text }),
  z.strictObject({ glob: text.describe("covers the whole text: * for a part of one segment, ** for anything; at most 16 of them") }),
]);

/** A publisher who is believed no more. */
export const revokedAuthority = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("key"), fingerprint: digestSchema.describe("SHA-256 of the key's SubjectPublicKeyInfo") }),
  z.strictObject({ type: z.literal("identity"), issuer: z.strictObject({ exact: text }), subject: match }),
  z.strictObject({
    type: z.literal("certificate"),
    root: digestSchema.exactOptional().describe("SHA-256 of the pinned certificate; without it, whichever certificate a policy pins"),
    subject: match,
  }),
]);

/** Body of `POST /v1/revoked-authorities`. */
export const revokeAuthorityRequest = z.strictObject({
  authority: revokedAuthority,
  from: z.iso
    .datetime()
    .optional()
    .describe("evidence that a trusted time shows to be from before counts; without it nothing does that the authority ever signed"),
  reason,
});

/** An authority that is revoked. */
export const revokedAuthorityView = z.strictObject({
  statement: digestSchema.describe("of the signed statement: its name among the revoked ones, and an input of the revocations that follow"),
  authority: revokedAuthority,
  from: timeSchema.nullable(),
  reason: z.string(),
  revoked_by: z.string(),
  revoked_at: timeSchema,
  bundle: jsonValueSchema.describe("the statement, as a Sigstore bundle"),
  followed: z
    .strictObject({ revoked: count, quarantined: count, kept: count })
    .nullable()
    .describe("what became of the artifacts that it had signed evidence of; null while they are looked at"),
});
export type RevokedAuthorityView = z.infer<typeof revokedAuthorityView>;

/** Answer of `GET /v1/revoked-authorities`: those that hold. */
export const revokedAuthorityList = z.strictObject({ revoked_authorities: z.array(revokedAuthorityView) });

/** Body of `DELETE /v1/revoked-authorities/<statement>`. */
export const liftAuthorityRequest = z.strictObject({ reason });

/** Answer of `DELETE /v1/revoked-authorities/<statement>`. */
export const liftedAuthority = z.strictObject({ statement: digestSchema, authority: revokedAuthority });
