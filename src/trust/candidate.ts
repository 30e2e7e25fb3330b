import type { Bundle } from "@sigstore/bundle";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import type { Manifest } from "../oci/manifest.ts";
import { fileNameOf } from "./artifact-files.ts";
import { MAX_EVIDENCE_BYTES, isBundleLike, parseEvidence, readBundle } from "./bundle.ts";
import { attestationBundle, isEnvelope, isSimpleSigning, simpleSigningBundle } from "./cosign-legacy.ts";
import { type NotationEnvelope, isCose, isJws, readCose, readJws } from "./notation-envelope.ts";
import { type Reason, Refusal } from "./reason.ts";

/** The most referrers of one artifact that are considered as evidence, and the most layers of one manifest. */
export const MAX_REFERRERS = 256;
export const MAX_EVIDENCE_LAYERS = 64;
/** The most files of an artifact that are looked at as signatures of itself. */
const MAX_OWN_SIGNATURES = 4;

/** How a candidate is packed, as policies name it. */
export const EVIDENCE_FORMATS = ["bundle", "cosign-legacy", "notation"] as const;
type EvidenceFormat = (typeof EVIDENCE_FORMATS)[number];

/** Where something that may be evidence was found, and how it is packed. */
export interface FoundCandidate {
  readonly format: EvidenceFormat;
  /** The manifest and the blob that it was found in. */
  readonly manifest: Digest;
  readonly blob: Digest;
  /** SHA-256 over all that the claim is read from: the same for the same claim, wherever it is attached. */
  readonly id: Digest;
}

/** Something that may be evidence, read but not verified: who made it and whether it is true is open. */
export interface Candidate extends FoundCandidate {
  readonly claim: Claim;
}

/** What the signature of a candidate is over. */
export type Claim =
  /** The artifact's manifest or a statement, whichever the bundle has. */
  | { readonly type: "bundle"; readonly bundle: Bundle; /** The artifact's file that it is. */ readonly ownFile: string | undefined }
  /** The payload, which names the artifact. */
  | { readonly type: "simple-signing"; readonly bundle: Bundle; readonly payload: Buffer }
  | { readonly type: "notation"; readonly envelope: NotationEnvelope };

/** What was found and is no candidate, and why. */
export interface Skipped {
  readonly manifest: Digest;
  /** Undefined when it is about the manifest as a whole. */
  readonly blob: Digest | undefined;
  readonly code: Reason;
  readonly message: string;
}

/** A manifest that may hold evidence, with those of its blobs that `evidenceLayers` names and that the repository has. */
export interface Found {
  readonly digest: Digest;
  readonly manifest: Manifest;
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

/** What a manifest holds: some of its layers are candidates, the others are told with a reason. */
export interface Read {
  readonly candidates: readonly Candidate[];
  readonly skipped: readonly Skipped[];
}

/** The layers of a referrer or legacy tag that may be evidence: the first 64, those that are not too large to be read. */
export function evidenceLayers({ layers, blobs }: Manifest): readonly Descriptor[] {
  return [...layers, ...blobs].slice(0, MAX_EVIDENCE_LAYERS).filter(({ size }) => size <= MAX_EVIDENCE_BYTES);
}

/** Files of an artifact that may be its own signature, as model signing makes one: at most 4, by the endings that its bundles have. */
export function ownSignatureLayers({ layers, blobs }: Manifest): readonly Descriptor[] {
  return [...layers, ...blobs]
    .filter((layer) => layer.size <= MAX_EVIDENCE_BYTES && /\.(?:sig|sigstore|sigstore\.json)$/.test(nameOf(layer) ?? ""))
    .slice(0, MAX_OWN_SIGNATURES);
}

/** Reads the evidence in a referrer or legacy tag, each layer by what is in it and never by what it is called (trust.md §3). Never throws. */
export function candidatesOf(found: Found): Read {
  const { digest, manifest } = found;
  const layers = [...manifest.layers, ...manifest.blobs];
  const read = readLayers(found, layers.slice(0, MAX_EVIDENCE_LAYERS), readLayer);
  if (layers.length <= MAX_EVIDENCE_LAYERS) return read;
  return { ...read, skipped: [...read.skipped, skippedFor(digest, undefined, new Refusal("too-many-layers"))] };
}

/** Reads those files of an artifact that are Sigstore bundles about itself; other files are none of our business. Never throws. */
export function ownCandidatesOf(artifact: Found): Read {
  return readLayers(artifact, ownSignatureLayers(artifact.manifest), (bytes, layer) => ({
    format: "bundle",
    claim: { type: "bundle", bundle: readBundle(parseEvidence(bytes)), ownFile: nameOf(layer) },
  }));
}

type ReadOne = (bytes: Buffer, layer: Descriptor) => Pick<Candidate, "format" | "claim">;

function readLayers({ digest, blobs }: Found, layers: readonly Descriptor[], readOne: ReadOne): Read {
  const candidates: Candidate[] = [];
  const skipped: Skipped[] = [];
  for (const layer of layers) {
    try {
      const read = readOne(bytesOf(layer, blobs), layer);
      candidates.push({ ...read, manifest: digest, blob: layer.digest, id: idOf(read, layer) });
    } catch (error) {
      skipped.push(skippedFor(digest, layer.digest, error));
    }
  }
  return { candidates, skipped };
}

/** Several layers of cosign's older signatures have the same bytes, and differ in their annotations alone. */
function idOf({ format, claim }: ReturnType<ReadOne>, { digest, annotations }: Descriptor): Digest {
  return digestOf(JSON.stringify([format, digest, annotations ?? null, claim.type === "bundle" ? (claim.ownFile ?? null) : null]));
}

function bytesOf({ digest, size }: Descriptor, blobs: Found["blobs"]): Buffer {
  if (size > MAX_EVIDENCE_BYTES) throw new Refusal("too-large");
  const bytes = blobs.get(digest);
  if (bytes === undefined) throw new Refusal("blob-missing");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readLayer(bytes: Buffer, { annotations }: Descriptor): Pick<Candidate, "format" | "claim"> {
  if (isCose(bytes)) return { format: "notation", claim: { type: "notation", envelope: readCose(bytes) } };
  const value = parseEvidence(bytes);
  if (isBundleLike(value)) return { format: "bundle", claim: { type: "bundle", bundle: readBundle(value), ownFile: undefined } };
  if (isJws(value)) return { format: "notation", claim: { type: "notation", envelope: readJws(value) } };
  if (isSimpleSigning(value)) {
    return {
      format: "cosign-legacy",
      claim: { type: "simple-signing", bundle: simpleSigningBundle(bytes, annotations ?? {}), payload: bytes },
    };
  }
  if (!isEnvelope(value)) throw new Refusal("unknown-format");
  return { format: "cosign-legacy", claim: { type: "bundle", bundle: attestationBundle(value, annotations ?? {}), ownFile: undefined } };
}

function nameOf(layer: Descriptor): string | undefined {
  try {
    return fileNameOf(layer);
  } catch {
    return undefined;
  }
}

function skippedFor(manifest: Digest, blob: Digest | undefined, error: unknown): Skipped {
  const { code, message } = error instanceof Refusal ? error : new Refusal("malformed");
  return { manifest, blob, code, message };
}
