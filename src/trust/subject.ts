import { algorithmOf, digestOf, encodedOf, isDigest } from "../oci/digest.ts";
import { type Manifest, parseManifest } from "../oci/manifest.ts";

/** The artifact that evidence must be about. */
export interface Subject {
  /** Its manifest as stored: plain signatures are over these bytes. */
  readonly bytes: Buffer;
  readonly manifest: Manifest;
  /** Hex digests of the bytes, by the names that statements give the algorithms. */
  readonly digests: Readonly<Record<"sha256" | "sha512", string>>;
}

/** The artifact with this manifest. Throws MANIFEST_INVALID for what no push would have let in. */
export function subjectOf(bytes: Uint8Array, mediaType: string): Subject {
  return {
    bytes: Buffer.from(bytes),
    manifest: parseManifest(bytes, mediaType),
    digests: { sha256: encodedOf(digestOf(bytes)), sha512: encodedOf(digestOf(bytes, "sha512")) },
  };
}

/** Do these digests, hex by algorithm, name the artifact? All that are of an algorithm known here must, and there must be one. */
export function isNamedBy(subject: Subject, digests: Readonly<Record<string, unknown>>): boolean {
  const known = Object.entries(subject.digests).filter(([algorithm]) => Object.hasOwn(digests, algorithm));
  return known.length > 0 && known.every(([algorithm, hex]) => digests[algorithm] === hex);
}

/** Is this text a digest of the artifact, `<algorithm>:<hex>`? */
export function hasDigest(subject: Subject, text: string): boolean {
  return isDigest(text) && subject.digests[algorithmOf(text)] === encodedOf(text);
}
