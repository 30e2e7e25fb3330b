import { z } from "zod";

/** A public key with which the registry signs or signed (interface.md §8); times are RFC 3339. */
export const publicKeyView = z.strictObject({
  id: z.string(),
  purpose: z.enum(["attestation", "log", "token"]),
  algorithm: z.string(),
  pem: z.string(),
  valid_from: z.string(),
  valid_until: z.string().nullable(),
});
export type PublicKeyView = z.infer<typeof publicKeyView>;
