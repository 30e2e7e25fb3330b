import { z } from "zod";
import { jsonValueSchema } from "../audit/event.ts";
import { timeSchema } from "./time.ts";

/** A public key with which the registry signs or signed (interface.md §8). What it signed counts from `valid_from` to `valid_until`, both included. */
export const publicKeyView = z.strictObject({
  id: z.string(),
  purpose: z.enum(["attestation", "log", "token"]),
  algorithm: z.string(),
  pem: z.string(),
  valid_from: timeSchema,
  valid_until: timeSchema.nullable(),
  statement: jsonValueSchema
    .exactOptional()
    .describe("of an attestation key: the Sigstore bundle of the statement that names it, signed by the key before, or by itself"),
});
export type PublicKeyView = z.infer<typeof publicKeyView>;

/** Answer of `GET /v1/keys`. */
export const publicKeyList = z.strictObject({ keys: z.array(publicKeyView) });

/** Body of `POST /v1/keys/rotate`. */
export const rotateSigningKeyRequest = z.strictObject({ reason: z.string().min(1).max(1024).optional() });
