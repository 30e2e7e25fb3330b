import {
  BUNDLE_V01_MEDIA_TYPE,
  BUNDLE_V02_MEDIA_TYPE,
  BUNDLE_V03_LEGACY_MEDIA_TYPE,
  BUNDLE_V03_MEDIA_TYPE,
  type Bundle,
  bundleFromJSON,
} from "@sigstore/bundle";
import { JsonError, parseJson } from "../oci/json.ts";
import { Refusal } from "./reason.ts";

/** The most bytes that one piece of evidence may have. */
export const MAX_EVIDENCE_BYTES = 1_048_576;
/** The most log entries, timestamps and certificates that one bundle may have, of each. */
const MAX_PROOFS = 8;
const MAX_DEPTH = 32;

const MEDIA_TYPES: ReadonlySet<unknown> = new Set([
  BUNDLE_V01_MEDIA_TYPE,
  BUNDLE_V02_MEDIA_TYPE,
  BUNDLE_V03_LEGACY_MEDIA_TYPE,
  BUNDLE_V03_MEDIA_TYPE,
]);
/** Members of which a bundle has exactly one: a reader that took another one would verify something else. */
const CONTENTS = ["messageSignature", "dsseEnvelope"];
const KEYS = ["publicKey", "x509CertificateChain", "certificate"];

/** JSON out of evidence: an object, or a `Refusal`. */
export function parseEvidence(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  if (bytes.length > MAX_EVIDENCE_BYTES) throw new Refusal("too-large");
  try {
    const value = parseJson(bytes, { maxDepth: MAX_DEPTH });
    if (isObject(value)) return value;
  } catch (error) {
    if (error instanceof JsonError) throw new Refusal("malformed-json");
    throw error;
  }
  throw new Refusal("unknown-format");
}

/** Has this JSON the form that only Sigstore bundles have, whatever it is wrong in? */
export function isBundleLike(value: Readonly<Record<string, unknown>>): boolean {
  return Object.hasOwn(value, "verificationMaterial") || MEDIA_TYPES.has(value["mediaType"]);
}

/** Reads a Sigstore bundle v0.1 to v0.3 with at most 8 log entries, timestamps and certificates each; throws a `Refusal`. */
export function readBundle(value: Readonly<Record<string, unknown>>): Bundle {
  const material = value["verificationMaterial"];
  if (!MEDIA_TYPES.has(value["mediaType"]) || !isObject(material) || !hasOne(value, CONTENTS) || !hasOne(material, KEYS)) {
    throw new Refusal("malformed-bundle");
  }
  const bundle = decode(isChained(value, material) ? { ...value, mediaType: BUNDLE_V02_MEDIA_TYPE } : value);
  checkBounds(bundle);
  // The oldest version may come without a proof, and the library takes one without a checkpoint for whole.
  if (bundle.verificationMaterial.tlogEntries.some(hasPartOfProof)) throw new Refusal("malformed-bundle");
  return bundle;
}

function hasPartOfProof({ inclusionProof }: Bundle["verificationMaterial"]["tlogEntries"][number]): boolean {
  return inclusionProof !== undefined && (inclusionProof.checkpoint as object | undefined) === undefined;
}

/** Throws a `Refusal` when a bundle has more proofs than are looked at. */
export function checkBounds({ verificationMaterial: { tlogEntries, timestampVerificationData, content } }: Bundle): void {
  if (tlogEntries.length > MAX_PROOFS) throw new Refusal("too-many-log-entries");
  const timestamps = timestampVerificationData?.rfc3161Timestamps.length ?? 0;
  const certificates = content.$case === "x509CertificateChain" ? content.x509CertificateChain.certificates.length : 1;
  if (timestamps > MAX_PROOFS || certificates > MAX_PROOFS) throw new Refusal("malformed-bundle");
}

/** Version 0.3 knows no chains, but cosign and model signing write them into it (trust.md §2.3, 12). */
function isChained(value: Readonly<Record<string, unknown>>, material: Readonly<Record<string, unknown>>): boolean {
  return value["mediaType"] !== BUNDLE_V01_MEDIA_TYPE && isSet(material["x509CertificateChain"]);
}

function decode(value: unknown): Bundle {
  try {
    return bundleFromJSON(value);
  } catch {
    // Errors of many classes, some of them TypeErrors of the runtime (trust.md §2.3, 13).
    throw new Refusal("malformed-bundle");
  }
}

function hasOne(value: Readonly<Record<string, unknown>>, members: readonly string[]): boolean {
  return members.filter((member) => isSet(value[member])).length === 1;
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
