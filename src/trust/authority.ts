import { X509Certificate } from "node:crypto";
import { z } from "zod";
import { isGlob, matchesGlob } from "./glob.ts";
import { publicKeyFrom } from "./public-key.ts";

/** A name within one policy: of an authority, a key or a trust root. */
export const trustNameSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "must be 1 to 63 of a-z, 0-9 and -, and neither begin nor end with -");

const textSchema = z.string().min(1).max(1_024);
const timeSchema = z.iso.datetime("must be a time in UTC, such as 2026-03-01T00:00:00Z");

/** How a text is compared: with another one, or with a pattern that covers all of it. */
export const textMatchSchema = z.union([
  z.strictObject({ exact: textSchema }),
  z.strictObject({
    glob: z.string().refine(isGlob, "must be 1 to 1024 characters with at most 16 wildcards: * (part of one segment) or ** (anything)"),
  }),
]);
/** How a text is compared: with another one, or with a pattern that covers all of it. */
export type TextMatch = z.infer<typeof textMatchSchema>;

/** Does the whole text match? */
export function matchesText(match: TextMatch, text: string): boolean {
  return "exact" in match ? match.exact === text : matchesGlob(match.glob, text);
}

/** Log entries that must prove the signature, each in another log; `ignore`: those that are there are not even looked at. */
const tlogSchema = z.union([z.literal("ignore"), z.int().min(1).max(4)], "must be ignore, or 1 to 4");
const timestampsSchema = z.int().max(4);

const keySchema = z.strictObject({
  id: trustNameSchema,
  pem: z
    .string()
    .max(16_384)
    .refine(
      (pem) => publicKeyFrom(pem) !== undefined,
      "must be one PEM public key: ECDSA P-256, P-384 or P-521, Ed25519, or RSA of 2048 to 8192 bits",
    ),
  validFrom: timeSchema.optional(),
  validUntil: timeSchema.optional(),
  revokedAt: timeSchema.optional(),
});
/** A public key that an authority signs with. */
export type AuthorityKey = z.infer<typeof keySchema>;

const keyAuthoritySchema = z
  .strictObject({
    type: z.literal("key"),
    name: trustNameSchema,
    keys: z.array(keySchema).min(1).max(16),
    trustRoot: trustNameSchema.optional(),
    tlog: tlogSchema.default("ignore"),
    timestamps: timestampsSchema.min(0).default(0),
  })
  .refine(({ trustRoot, tlog, timestamps }) => trustRoot !== undefined || (tlog === "ignore" && timestamps === 0), {
    path: ["trustRoot"],
    error: "must name the trust root that logs and timestamps are checked by",
  })
  // Without a trusted time nobody could tell whether a signature is from before or after (trust.md §2.3, 7).
  .refine(({ keys, timestamps }) => timestamps > 0 || keys.every((key) => !isLimited(key)), {
    path: ["timestamps"],
    error: "must be at least 1 where a key has validFrom, validUntil or revokedAt, as nothing else tells when it signed",
  });

function isLimited({ validFrom, validUntil, revokedAt }: AuthorityKey): boolean {
  return validFrom !== undefined || validUntil !== undefined || revokedAt !== undefined;
}

const identitySchema = z.strictObject({
  issuer: z.strictObject({ exact: textSchema }),
  subject: textMatchSchema,
  /** Extensions of the certificate by object identifier, each with the text it must have. */
  extensions: z.record(z.string().regex(/^\d+(?:\.\d+){3,31}$/, "must be an object identifier"), textSchema).optional(),
});
const keylessAuthoritySchema = z.strictObject({
  type: z.literal("keyless"),
  name: trustNameSchema,
  trustRoot: trustNameSchema,
  identities: z.array(identitySchema).min(1).max(64),
  tlog: tlogSchema.default(1),
  ctlog: z.int().min(0).max(2).default(1),
  // A certificate that is valid for minutes says nothing without a trusted time (trust.md §2.3, 10).
  timestamps: timestampsSchema.min(1, "must be at least 1: the certificate is valid for minutes only").default(1),
});

const certificateSchema = z.string().max(16_384).refine(isCertificate, "must be one PEM certificate");

const distinguishedNameSchema = z
  .record(z.string().regex(/^(?:[A-Za-z]{1,32}|\d+(?:\.\d+){2,31})$/, "must be the name of an attribute, such as CN or O"), textSchema)
  .refine((attributes) => Object.keys(attributes).length > 0, "must name at least one attribute");

const x509AuthoritySchema = z
  .strictObject({
    type: z.literal("x509"),
    name: trustNameSchema,
    /** The certificates that chains must end in. */
    roots: z.array(certificateSchema).min(1).max(16),
    /** Attributes that the subject of the signer's certificate must have, each exactly once and with this text. */
    identities: z
      .array(z.strictObject({ subject: distinguishedNameSchema }))
      .min(1)
      .max(64),
    /** For timestamps only. */
    trustRoot: trustNameSchema.optional(),
    timestamps: timestampsSchema.min(0).default(0),
  })
  .refine(({ trustRoot, timestamps }) => trustRoot !== undefined || timestamps === 0, {
    path: ["trustRoot"],
    error: "must name the trust root that timestamps are checked by",
  });

function isCertificate(pem: string): boolean {
  if (!/^-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*$/.test(pem)) return false;
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

/**
 * Who may sign (trust.md §4): the holders of some keys, identities that certificates of a Sigstore trust root name, or holders of
 * certificates below pinned roots.
 */
export const authoritySchema = z.discriminatedUnion("type", [keyAuthoritySchema, keylessAuthoritySchema, x509AuthoritySchema]);
/** Who may sign. */
export type Authority = z.infer<typeof authoritySchema>;
/** The holders of some keys. */
export type KeyAuthority = z.infer<typeof keyAuthoritySchema>;
/** Identities that certificates of a Sigstore trust root name. */
export type KeylessAuthority = z.infer<typeof keylessAuthoritySchema>;
/** Holders of certificates below pinned roots, as Notation and the certificate method of model signing have them. */
export type X509Authority = z.infer<typeof x509AuthoritySchema>;
