import { hash } from "node:crypto";
import { z } from "zod";

/** The algorithms of image-spec §Registered algorithms that this registry accepts, with the length of their hex encoding. */
const ENCODED_LENGTH = { sha256: 64, sha512: 128 } as const;

export type DigestAlgorithm = keyof typeof ENCODED_LENGTH;

/** A checked content digest, `<algorithm>:<lower-case hex>`. */
export type Digest = string & z.$brand<"Digest">;

/** Is this text a digest of an algorithm that this registry accepts (image-spec §Digests)? */
export function isDigest(text: string): text is Digest {
  const colon = text.indexOf(":");
  const algorithm = text.slice(0, colon);
  if (!isDigestAlgorithm(algorithm)) return false;
  const encoded = text.slice(colon + 1);
  return encoded.length === ENCODED_LENGTH[algorithm] && /^[0-9a-f]+$/.test(encoded);
}

/** Is this the name of an algorithm that this registry accepts? */
export function isDigestAlgorithm(text: string): text is DigestAlgorithm {
  return Object.hasOwn(ENCODED_LENGTH, text);
}

/** The same as an expression without anchors: for what is published of the API. */
export const DIGEST_PATTERN = Object.entries(ENCODED_LENGTH)
  .map(([algorithm, length]) => `${algorithm}:[0-9a-f]{${length}}`)
  .join("|");

export const digestSchema = z
  .custom<Digest>((value) => typeof value === "string" && isDigest(value), {
    error: "must be a digest: sha256:<64 lower-case hex digits> or sha512:<128>",
  })
  .register(z.globalRegistry, { type: "string", pattern: `^(?:${DIGEST_PATTERN})$` });

/** The algorithm that a digest names. */
export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith("sha512:") ? "sha512" : "sha256";
}

/** The hex part of a digest. */
export function encodedOf(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}

/** The digest that an algorithm and a hex encoding make; throws a `TypeError` when they make none. */
export function digestFrom(algorithm: DigestAlgorithm, encoded: string): Digest {
  const digest = `${algorithm}:${encoded}`;
  if (!isDigest(digest)) throw new TypeError(`not a digest of ${algorithm}`);
  return digest;
}

/** The digest of some bytes held in memory. */
export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = "sha256"): Digest {
  return digestFrom(algorithm, hash(algorithm, bytes));
}
