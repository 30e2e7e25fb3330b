import { type KeyObject, constants, verify } from "node:crypto";
import { z } from "zod";
import { JsonError, parseJson } from "../oci/json.ts";
import { CONTENT_TYPE, type NotationAlgorithm, type NotationEnvelope } from "./notation-envelope.ts";
import { Refusal } from "./reason.ts";
import type { SignedClaim } from "./signed-claim.ts";
import { contentOf } from "./signed-content.ts";
import { hasDigest } from "./subject.ts";
import type { Grounds } from "./verdict.ts";

const PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json";
const SCHEME = "io.cncf.notary.signingScheme";
const EXPIRY = "io.cncf.notary.expiry";
/** The scheme in which a certificate signs; in the other one the signer vouches for its own time, which no authority here may. */
const X509 = "notary.x509";
/** Attributes that change what a signature means: known here, and worthless unless marked critical. */
const CRITICAL = [SCHEME, EXPIRY];

const payloadSchema = z.looseObject({
  targetArtifact: z.looseObject({ mediaType: z.string(), digest: z.string(), size: z.int().nonnegative() }),
});

/** What a Notation signature claims; throws a `Refusal` when it is not about the artifact, or no longer meant to hold. */
export function notationClaim(envelope: NotationEnvelope, { subject, now }: Grounds): SignedClaim {
  checkAttributes(envelope, now);
  const { mediaType, digest, size } = targetIn(envelope.payload);
  if (!hasDigest(subject, digest) || size !== subject.bytes.length || mediaType !== subject.manifest.mediaType)
    throw new Refusal("subject-mismatch");
  const { signature, signedBytes, payload, chain, timestamp } = envelope;
  return {
    content: contentOf({ signature, signedBytes, payload, isSignedBy: (key) => isSignedBy(key, envelope) }),
    chain,
    hint: undefined,
    proofs: { logEntries: [], timestamps: timestamp === undefined ? [] : [responseOf(timestamp)] },
    says: { kind: "signature", predicateType: null, predicate: null },
    checkRest: () => undefined,
  };
}

function checkAttributes({ attributes, critical }: NotationEnvelope, now: number): void {
  if (critical.some((name) => !CRITICAL.includes(name))) throw new Refusal("unknown-critical-attribute");
  // What is critical and missing, or there and not critical, other readers take otherwise.
  if (CRITICAL.some((name) => critical.includes(name) !== attributes.has(name))) throw new Refusal("malformed-notation");
  if (attributes.get(CONTENT_TYPE) !== PAYLOAD_TYPE) throw new Refusal("payload-type");
  if (attributes.get(SCHEME) !== X509) throw new Refusal("unsupported-format");
  const expiry = attributes.get(EXPIRY);
  if (typeof expiry === "number" && now >= expiry) throw new Refusal("signature-expired");
}

function targetIn(payload: Buffer): z.infer<typeof payloadSchema>["targetArtifact"] {
  const parsed = payloadSchema.safeParse(parse(payload));
  if (!parsed.success) throw new Refusal("malformed-payload");
  return parsed.data.targetArtifact;
}

function parse(payload: Buffer): unknown {
  try {
    return parseJson(payload);
  } catch (error) {
    if (error instanceof JsonError) throw new Refusal("malformed-payload");
    throw error;
  }
}

/** The one algorithm that goes with each key (Notary Project, Algorithm Selection). */
const BY_CURVE: Readonly<Record<string, NotationAlgorithm>> = { prime256v1: "ES256", secp384r1: "ES384", secp521r1: "ES512" };
const BY_RSA_BITS: Readonly<Record<number, NotationAlgorithm>> = { 2048: "PS256", 3072: "PS384", 4096: "PS512" };

function isSignedBy(key: KeyObject, { algorithm, signedBytes, signature }: NotationEnvelope): boolean {
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {};
  const hash = `sha${algorithm.slice(2)}`;
  if (key.asymmetricKeyType === "ec" && BY_CURVE[namedCurve ?? ""] === algorithm) {
    return verify(hash, signedBytes, { key, dsaEncoding: "ieee-p1363" }, signature);
  }
  if (key.asymmetricKeyType === "rsa" && BY_RSA_BITS[modulusLength ?? 0] === algorithm) {
    const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
    return verify(hash, signedBytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
  }
  return false;
}

/** A bare RFC 3161 token as the response that it came in: status granted, then the token. */
function responseOf(token: Buffer): Buffer {
  const granted = Buffer.from([0x30, 0x03, 0x02, 0x01, 0x00]);
  const length = Buffer.from((granted.length + token.length).toString(16).padStart(6, "0"), "hex");
  // In as few bytes as it takes (X.690 §10.1); a token has always more than 127.
  const digits = length.subarray(length.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.from([0x30, 0x80 | digits.length]), digits, granted, token]);
}
