import { X509Certificate, createHash } from "node:crypto";
import { BUNDLE_V01_MEDIA_TYPE, type Bundle, assertBundleV01, envelopeFromJSON } from "@sigstore/bundle";
import { HashAlgorithm } from "@sigstore/protobuf-specs";
import { z } from "zod";
import { annotationOf } from "../oci/annotation.ts";
import type { Annotations } from "../oci/descriptor.ts";
import { JsonError, parseJson } from "../oci/json.ts";
import { checkBounds } from "./bundle.ts";
import type { LogEntry } from "./log-entries.ts";
import { Refusal } from "./reason.ts";
import { type Subject, hasDigest } from "./subject.ts";

const SIGNATURE = "dev.cosignproject.cosign/signature";
const CERTIFICATE = "dev.sigstore.cosign/certificate";
const LOG_ENTRY = "dev.sigstore.cosign/bundle";
const TIMESTAMP = "dev.sigstore.cosign/rfc3161timestamp";
const CLAIM_TYPE = "cosign container image signature";

const logEntrySchema = z.looseObject({
  SignedEntryTimestamp: z.base64(),
  Payload: z.looseObject({
    body: z.base64(),
    integratedTime: z.int().positive(),
    logIndex: z.int().nonnegative(),
    // As cosign writes it: one log has one name.
    logID: z.hex().lowercase(),
  }),
});
const bodySchema = z.looseObject({ kind: z.string(), apiVersion: z.string() });
const timestampSchema = z.looseObject({ SignedRFC3161Timestamp: z.base64() });
const claimSchema = z.looseObject({
  critical: z.looseObject({ type: z.literal(CLAIM_TYPE), image: z.looseObject({ "docker-manifest-digest": z.string() }) }),
});

/** Is this JSON a claim of cosign's simple signing, whatever it is wrong in? */
export function isSimpleSigning(value: Readonly<Record<string, unknown>>): boolean {
  return Object.hasOwn(value, "critical");
}

/** Is this JSON a DSSE envelope outside of a bundle, whatever it is wrong in? */
export function isEnvelope(value: Readonly<Record<string, unknown>>): boolean {
  return Object.hasOwn(value, "payloadType") && Object.hasOwn(value, "signatures");
}

/** The bundle that a layer of cosign's older signatures makes, over the layer itself; all else is in annotations. Throws a `Refusal`. */
export function simpleSigningBundle(payload: Buffer, annotations: Annotations): Bundle {
  const signature = Buffer.from(textIn(annotations, SIGNATURE) ?? "", "base64");
  const digest = createHash("sha256").update(payload).digest();
  return bundleOf(
    { $case: "messageSignature", messageSignature: { messageDigest: { algorithm: HashAlgorithm.SHA2_256, digest }, signature } },
    annotations,
  );
}

/** The bundle that a layer of cosign's older attestations makes, which is a DSSE envelope; all else is in annotations. Throws a `Refusal`. */
export function attestationBundle(envelope: Readonly<Record<string, unknown>>, annotations: Annotations): Bundle {
  return bundleOf({ $case: "dsseEnvelope", dsseEnvelope: ifReadable(() => envelopeFromJSON(envelope)) }, annotations);
}

/** Throws a `Refusal` unless the signed claim is cosign's, about the artifact. */
export function checkClaim(payload: Buffer, subject: Subject): void {
  const claim = claimSchema.safeParse(parse(payload));
  if (!claim.success) throw new Refusal("legacy-claim");
  if (!hasDigest(subject, claim.data.critical.image["docker-manifest-digest"])) throw new Refusal("subject-mismatch");
}

function bundleOf(content: Bundle["content"], annotations: Annotations): Bundle {
  const certificate = textIn(annotations, CERTIFICATE);
  const bundle: Bundle = {
    mediaType: BUNDLE_V01_MEDIA_TYPE,
    content,
    verificationMaterial: {
      content:
        certificate === undefined
          ? { $case: "publicKey", publicKey: { hint: "" } }
          : {
              $case: "x509CertificateChain",
              x509CertificateChain: { certificates: [{ rawBytes: ifReadable(() => new X509Certificate(certificate).raw) }] },
            },
      tlogEntries: logEntriesIn(annotations),
      timestampVerificationData: { rfc3161Timestamps: timestampsIn(annotations) },
    },
  };
  ifReadable(() => assertBundleV01(bundle));
  checkBounds(bundle);
  return bundle;
}

function logEntriesIn(annotations: Annotations): LogEntry[] {
  const text = textIn(annotations, LOG_ENTRY);
  if (text === undefined) return [];
  const { SignedEntryTimestamp, Payload } = parsed(logEntrySchema, text);
  const canonicalizedBody = Buffer.from(Payload.body, "base64");
  const { kind, apiVersion } = parsed(bodySchema, canonicalizedBody);
  return [
    {
      logIndex: String(Payload.logIndex),
      logId: { keyId: Buffer.from(Payload.logID, "hex") },
      kindVersion: { kind, version: apiVersion },
      integratedTime: String(Payload.integratedTime),
      inclusionPromise: { signedEntryTimestamp: Buffer.from(SignedEntryTimestamp, "base64") },
      inclusionProof: undefined,
      canonicalizedBody,
    },
  ];
}

function timestampsIn(annotations: Annotations): { signedTimestamp: Buffer }[] {
  const text = textIn(annotations, TIMESTAMP);
  if (text === undefined) return [];
  return [{ signedTimestamp: Buffer.from(parsed(timestampSchema, text).SignedRFC3161Timestamp, "base64") }];
}

/** cosign writes an empty text or `null` for what there is not. */
function textIn(annotations: Annotations, key: string): string | undefined {
  const text = annotationOf(annotations, key);
  return text === "" || text === "null" ? undefined : text;
}

function parsed<Output>(schema: z.ZodType<Output>, text: string | Buffer): Output {
  const result = schema.safeParse(parse(text));
  if (!result.success) throw new Refusal("malformed-legacy-signature");
  return result.data;
}

function parse(text: string | Buffer): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) throw new Refusal("malformed-legacy-signature");
    throw error;
  }
}

function ifReadable<Result>(read: () => Result): Result {
  try {
    return read();
  } catch {
    throw new Refusal("malformed-legacy-signature");
  }
}
