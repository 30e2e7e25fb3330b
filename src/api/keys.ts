import { z } from "zod";
import { timeSchema } from "./time.ts";

/** A public key with which the registry signs or signed (interface.md §8). */
export const publicKeyView = z.strictObject({
  id: z.string(),
  purpose: z.enum(["attestation", "log", "token"]),
  algorithm: z.string(),
  pem: z.string(),
  valid_from: timeSchema,
  valid_until: timeSchema.nullable(),
});
export type PublicKeyView = z.infer<typeof publicKeyView>;

/** Answer of `GET /v1/keys`. */
export const publicKeyList = z.strictObject({ keys: z.array(publicKeyView) });
