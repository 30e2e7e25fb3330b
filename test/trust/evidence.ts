import type { SerializedBundle } from "@sigstore/bundle";
import type { Annotations } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { type Authority, authoritySchema } from "../../src/trust/authority.ts";
import { type Candidate, type Found, type Skipped, candidatesOf } from "../../src/trust/candidate.ts";
import { type Subject, subjectOf } from "../../src/trust/subject.ts";
import { NO_TRUST_ROOT, type TrustRoot } from "../../src/trust/trust-root.ts";
import type { Grounds, Verdict } from "../../src/trust/verdict.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import { ISSUER, WORKFLOW } from "./sigstore-instance.ts";

export const BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };

/** A layer of a manifest, by its bytes. */
export interface Layer {
  readonly bytes: Buffer;
  readonly mediaType?: string;
  readonly annotations?: Annotations;
}

/** A manifest with these layers, and what a registry would have of it. */
export function manifestWith(layers: readonly Layer[], extra: object = {}): Found & { readonly bytes: Buffer } {
  const descriptors = layers.map(({ bytes, mediaType = "application/octet-stream", annotations }) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
    ...(annotations === undefined ? {} : { annotations }),
  }));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_IMAGE, config: EMPTY, layers: descriptors, ...extra }));
  const blobs = new Map(layers.map((layer) => [digestOf(layer.bytes), layer.bytes]));
  return { digest: digestOf(bytes), manifest: parseManifest(bytes, OCI_IMAGE), blobs, bytes };
}

/** The artifact that the evidence of a test is about. */
export const MODEL = manifestWith([
  { bytes: Buffer.from("weights"), annotations: { "org.opencontainers.image.title": "model.safetensors" } },
]);
export const SUBJECT: Subject = subjectOf(MODEL.bytes, OCI_IMAGE);
export const HEX = SUBJECT.digests.sha256;
export const OTHER_HEX = "f".repeat(64);

/** The one candidate in a layer; throws what it was skipped for. */
export function candidateIn(layer: Layer): Candidate {
  const { candidates, skipped } = candidatesOf(manifestWith([layer]));
  const [candidate] = candidates;
  if (candidate === undefined) throw new Error(`skipped: ${skipped[0]?.code}`);
  return candidate;
}

/** Why a layer is no candidate. */
export function skippedIn(layer: Layer): Skipped["code"] | undefined {
  return candidatesOf(manifestWith([layer])).skipped[0]?.code;
}

/** A candidate that is a bundle, given as JSON. */
export const bundled = (bundle: unknown): Candidate => candidateIn({ bytes: Buffer.from(JSON.stringify(bundle)), mediaType: BUNDLE_TYPE });

export const EMPTY_ROOT: TrustRoot = { digest: digestOf("nobody"), material: NO_TRUST_ROOT };

/** What evidence is held against, at a time. */
export function grounds(now: Date, trustRoot: TrustRoot = EMPTY_ROOT, subject: Subject = SUBJECT): Grounds {
  return { subject, trustRoots: new Map([["corp", trustRoot]]), now: now.getTime(), unsignedConfig: false };
}

/** An authority of some keys, in PEM. */
export const keyAuthority = (pems: readonly string[], wish: object = {}): Authority =>
  authoritySchema.parse({ type: "key", name: "team", keys: pems.map((pem, at) => ({ id: `key-${at}`, pem })), trustRoot: "corp", ...wish });

/** The authority of the workflow that tests sign as. */
export const workflowAuthority = (wish: object = {}): Authority =>
  authoritySchema.parse({
    type: "keyless",
    name: "release",
    trustRoot: "corp",
    identities: [{ issuer: { exact: ISSUER }, subject: { exact: WORKFLOW } }],
    ...wish,
  });

/** `ok`, or why the candidate counts for nothing. */
export function outcome(verdict: Verdict): string {
  return verdict.ok ? "ok" : verdict.code;
}

/** The outcome of a candidate. */
export const judge = (candidate: Candidate, authority: Authority, on: Grounds): string =>
  outcome(verifyCandidate(candidate, authority, on));

/** A log entry in the JSON of a bundle. */
interface EntryJson {
  logIndex?: string;
  integratedTime?: string;
  canonicalizedBody: string;
  inclusionPromise?: { signedEntryTimestamp: string };
  inclusionProof?: { hashes?: string[]; logIndex?: string; checkpoint: { envelope: string } };
}

/** A bundle in JSON, as tests change it. */
export interface BundleJson {
  mediaType: string;
  dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string }[] };
  messageSignature: { messageDigest: { algorithm: string; digest: string }; signature: string };
  verificationMaterial: {
    publicKey?: { hint: string };
    certificate?: { rawBytes: string };
    x509CertificateChain?: { certificates: { rawBytes: string }[] };
    tlogEntries: EntryJson[];
    timestampVerificationData: { rfc3161Timestamps: { signedTimestamp: string }[] };
  };
}

/** The bundle with something changed. */
export function changed(bundle: SerializedBundle, change: (copy: BundleJson) => unknown): BundleJson {
  const copy = structuredClone(bundle) as unknown as BundleJson;
  change(copy);
  return copy;
}
