import { type KeyObject, createHash, timingSafeEqual, verify } from "node:crypto";
import { dsse } from "@sigstore/core";
import type { SignedEntity } from "@sigstore/verify";
import { type Digest, digestOf } from "../oci/digest.ts";

/** What the Sigstore verifier asks of a signature. */
type SignatureContent = SignedEntity["signature"];

/** A signature with the bytes that it is over, for the Sigstore verifier and for us. */
export interface SignedContent extends SignatureContent {
  /** SHA-256 of the bytes that the signature is over. */
  readonly signed: Digest;
}

/** What a signature is over, and what log entries may name of it. */
interface Parts {
  readonly signature: Buffer;
  readonly signedBytes: Buffer;
  /** What a `dsse` or `intoto` log entry has the digest of. */
  readonly payload: Buffer;
  readonly isSignedBy: (key: KeyObject, signedBytes: Buffer, signature: Buffer) => boolean;
}

/** A DSSE envelope's one signature, over its pre-authentication encoding. */
export function dsseContent(envelope: { readonly payloadType: string; readonly payload: Buffer }, signature: Buffer): SignedContent {
  const signedBytes = dsse.preAuthEncoding(envelope.payloadType, envelope.payload);
  return contentOf({ signature, signedBytes, payload: envelope.payload, isSignedBy });
}

/**
 * A signature over a message. The digest that a bundle states of the message is of no interest: nobody compares it with anything
 * (trust.md §2.3, 2), so that log entries are held against the message itself.
 */
export function messageContent(message: Buffer, signature: Buffer): SignedContent {
  return contentOf({ signature, signedBytes: message, payload: message, isSignedBy });
}

/** A signature whose algorithm its envelope has fixed. */
export function contentOf({ signature, signedBytes, payload, isSignedBy: check }: Parts): SignedContent {
  // Asked for twice, by us as the cheapest look and by the verifier as its last.
  let signedBy: KeyObject | undefined;
  const verifySignature = (key: KeyObject): boolean => {
    if (signedBy?.equals(key) !== true && ifNotThrown(() => check(key, signedBytes, signature))) signedBy = key;
    return signedBy?.equals(key) === true;
  };
  return {
    signature,
    signed: digestOf(signedBytes),
    compareSignature: (other) => isSame(signature, other),
    compareDigest: (digest) => isDigestOf(digest, payload),
    compareSignedDigest: (digest) => isDigestOf(digest, signedBytes),
    verifySignature,
  };
}

/** The hash that belongs to a curve (Sigstore's algorithm registry), and SHA-256, which cosign has used with every curve. */
const CURVE_HASHES: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ["sha256"],
  secp384r1: ["sha384", "sha256"],
  secp521r1: ["sha512", "sha256"],
};

/** Did the key sign, by an algorithm that its type allows? The verifier of the library knows only one hash (trust.md §2.3, 11). */
function isSignedBy(key: KeyObject, signedBytes: Buffer, signature: Buffer): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ed25519") return verify(null, signedBytes, key, signature);
  if (type === "rsa") return verify("sha256", signedBytes, key, signature);
  if (type !== "ec") return false;
  return (CURVE_HASHES[details?.namedCurve ?? ""] ?? []).some((hash) => verify(hash, signedBytes, key, signature));
}

function ifNotThrown(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}

const HASH_BY_LENGTH: Readonly<Record<number, string>> = { 32: "sha256", 48: "sha384", 64: "sha512" };

function isDigestOf(digest: Buffer, bytes: Buffer): boolean {
  const hash = HASH_BY_LENGTH[digest.length];
  return hash !== undefined && isSame(createHash(hash).update(bytes).digest(), digest);
}

function isSame(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
