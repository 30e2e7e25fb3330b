import { z } from "zod";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { REASONS, type Reason } from "./reason.ts";
import type { Subject } from "./subject.ts";
import type { TrustRoots } from "./trust-root.ts";

/** What evidence is held against, besides the authority. */
export interface Grounds {
  readonly subject: Subject;
  readonly trustRoots: TrustRoots;
  /** The current time, in milliseconds since the epoch. */
  readonly now: number;
  /** Model signing knows nothing of an artifact's config: whether one that is more than empty may go unsigned. */
  readonly unsignedConfig: boolean;
}

/** Who signed: a key, an identity or the holder of a certificate, whatever names a policy gives them (trust.md §0, 8). */
export type Signer =
  | { readonly type: "key"; /** The policy's name of it. */ readonly id: string; readonly fingerprint: Digest }
  | { readonly type: "identity"; readonly issuer: string; readonly subject: string }
  | { readonly type: "certificate"; readonly subject: string; /** SHA-256 of the pinned certificate. */ readonly root: Digest };

/** What evidence says of the artifact: that it is signed, something else about it, or which files it has. */
type EvidenceVerdictKind = "signature" | "attestation" | "oms";

/** What a signer is told from others by. */
export type SignerIdentity = Exclude<Signer, { type: "key" }> | Omit<Extract<Signer, { type: "key" }>, "id">;

/** Evidence that counts. The same evidence, authority, trust roots and time always give the same. */
export interface Verified {
  readonly ok: true;
  readonly kind: EvidenceVerdictKind;
  readonly signer: Signer;
  /** SHA-256 of the public key that verifies it, be it the signer's own or that of a certificate. */
  readonly key: Digest;
  /** Of the in-toto statement; null for signatures that are none. */
  readonly predicateType: string | null;
  /** Of the in-toto statement, JSON of others: at most 64 deep. */
  readonly predicate: unknown;
  /** SHA-256 of the bytes that the signature is over: of a DSSE envelope its pre-authentication encoding. */
  readonly signed: Digest;
  /** The earliest trusted time at which the signature existed, in ISO 8601; null when nothing trusted tells. */
  readonly at: string | null;
}

/** Evidence that counts for nothing, and why. */
interface Refused {
  readonly ok: false;
  readonly code: Reason;
  /** For people: at most a few hundred characters, none of them from the evidence. */
  readonly message: string;
}

export type Verdict = Verified | Refused;

/** What reads and verifies evidence: to be raised with whatever changes a verdict, so that nobody relies on those of an earlier one. */
export const VERIFIER = "2: bundle 5.0.1, core 4.0.1, protobuf-specs 0.5.2, verify 4.1.3";

const reasons = Object.keys(REASONS).filter((code): code is Reason => Object.hasOwn(REASONS, code));
/** A signer as it is written down. */
export const signerSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("key"), id: z.string(), fingerprint: digestSchema }),
  z.strictObject({ type: z.literal("identity"), issuer: z.string(), subject: z.string() }),
  z.strictObject({ type: z.literal("certificate"), subject: z.string(), root: digestSchema }),
]);
/** The code of a reason. */
export const reasonSchema = z.enum(reasons);
/** A verdict as it is written down. */
export const verdictSchema: z.ZodType<Verdict> = z.discriminatedUnion("ok", [
  z.strictObject({
    ok: z.literal(true),
    kind: z.enum(["signature", "attestation", "oms"]),
    signer: signerSchema,
    key: digestSchema,
    predicateType: z.string().nullable(),
    predicate: z.unknown(),
    signed: digestSchema,
    at: z.string().nullable(),
  }),
  z.strictObject({ ok: z.literal(false), code: reasonSchema, message: z.string() }),
]);

/** By what a signer is looked up: equal for two signatures in one name. Thresholds count what `bySigner` tells apart. */
export function signerId(signer: SignerIdentity): string {
  switch (signer.type) {
    case "key":
      return `key:${signer.fingerprint}`;
    case "identity":
      return `identity:${JSON.stringify([signer.issuer, signer.subject])}`;
    case "certificate":
      return `certificate:${JSON.stringify([signer.root, signer.subject])}`;
  }
}
