import { z } from "zod";
import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf, digestSchema } from "../oci/digest.ts";
import { matchesText, textMatchSchema } from "./authority.ts";
import type { Signatory } from "./distinct-signers.ts";
import type { SignerIdentity } from "./verdict.ts";

const sha256 = digestSchema.refine((digest) => digest.startsWith("sha256:"), "must be a sha256 digest");
const issuer = z.strictObject({ exact: z.string().min(1).max(1_024) });

/** Who is to be believed no more: the holder of a key, identities of an issuer, or holders of certificates below a root or any. */
export const revokedAuthoritySchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("key"), fingerprint: sha256.describe("SHA-256 of the key's SubjectPublicKeyInfo") }),
  z.strictObject({ type: z.literal("identity"), issuer, subject: textMatchSchema }),
  z.strictObject({
    type: z.literal("certificate"),
    root: sha256.exactOptional().describe("SHA-256 of the pinned certificate; without it, whichever certificate a policy pins"),
    subject: textMatchSchema,
  }),
]);
/** Who is to be believed no more. */
export type RevokedAuthority = z.infer<typeof revokedAuthoritySchema>;

/** A revocation of an authority that holds. */
export interface AuthorityRevocation {
  readonly authority: RevokedAuthority;
  /** From which time on (epoch, ms); null: whenever it signed. */
  readonly from: number | null;
  /** Digest of the statement that says so. */
  readonly statement: Digest;
}

/** Is this signer the one, or one of those, that a revocation is about? A key is revoked by itself and in certificates. */
export function isRevokedSigner(authority: RevokedAuthority, { signer, key }: Signatory): boolean {
  switch (authority.type) {
    case "key":
      return key === authority.fingerprint || (signer.type === "key" && signer.fingerprint === authority.fingerprint);
    case "identity":
      return signer.type === "identity" && signer.issuer === authority.issuer.exact && matchesText(authority.subject, signer.subject);
    case "certificate":
      return signer.type === "certificate" && isHolder(authority, signer);
  }
}

/** Policies may pin several certificates on the way to one holder's. */
function isHolder(
  { root, subject }: Extract<RevokedAuthority, { type: "certificate" }>,
  holder: Extract<SignerIdentity, { type: "certificate" }>,
): boolean {
  return (root === undefined || holder.root === root) && matchesText(subject, holder.subject);
}

/**
 * The revocation by which a signature counts no more; undefined where it does. One from before the time from which a revocation holds counts,
 * but only where a trusted time (ISO 8601) shows that it is: whoever has the key can write any other.
 */
export function revocationOf(
  revocations: readonly AuthorityRevocation[],
  signatory: Signatory,
  signedAt: string | null,
): AuthorityRevocation | undefined {
  return revocations.find(
    ({ authority, from }) =>
      isRevokedSigner(authority, signatory) && (from === null || signedAt === null || !(Date.parse(signedAt) < from)),
  );
}

/** The one signer that a revocation is about; undefined where it may be about several. */
export function onlySigner(authority: RevokedAuthority): SignerIdentity | undefined {
  if (authority.type === "key") return { type: "key", fingerprint: authority.fingerprint };
  if (!("exact" in authority.subject)) return undefined;
  const subject = authority.subject.exact;
  if (authority.type === "identity") return { type: "identity", issuer: authority.issuer.exact, subject };
  return authority.root === undefined ? undefined : { type: "certificate", root: authority.root, subject };
}

/** Does a revocation leave nothing to another one of the same authority? */
export function isAsWide(
  one: Pick<AuthorityRevocation, "authority" | "from">,
  other: Pick<AuthorityRevocation, "authority" | "from">,
): boolean {
  const isSame = canonicalJson(one.authority) === canonicalJson(other.authority);
  return isSame && (one.from === null || (other.from !== null && one.from <= other.from));
}

/** What a statement about an authority has as its subject: a key by its own digest, others by that of their description. */
export function authorityDigest(authority: RevokedAuthority): Digest {
  return authority.type === "key" ? authority.fingerprint : digestOf(canonicalJson(authority));
}
