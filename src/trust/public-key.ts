import { type KeyObject, createPublicKey } from "node:crypto";
import { type Digest, digestOf } from "../oci/digest.ts";

const ONE_PEM = /^-----BEGIN PUBLIC KEY-----\s[A-Za-z0-9+/=\s]{1,8192}-----END PUBLIC KEY-----\s*$/;
const CURVES: ReadonlySet<string> = new Set(["prime256v1", "secp384r1", "secp521r1"]);
const RSA_BITS = { least: 2_048, most: 8_192 };

/** The public key in a PEM text of exactly one `PUBLIC KEY`; undefined for anything else, and for a key that is not accepted here. */
export function publicKeyFrom(pem: string): KeyObject | undefined {
  if (!ONE_PEM.test(pem)) return undefined;
  try {
    const key = createPublicKey(pem);
    return isAcceptedKey(key) ? key : undefined;
  } catch {
    return undefined;
  }
}

/** Is this a key that may sign evidence: ECDSA on P-256, P-384 or P-521, Ed25519, or RSA of 2048 to 8192 bits? */
export function isAcceptedKey(key: KeyObject): boolean {
  const { namedCurve = "", modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "ec") return CURVES.has(namedCurve);
  if (key.asymmetricKeyType === "rsa") return modulusLength >= RSA_BITS.least && modulusLength <= RSA_BITS.most;
  return key.asymmetricKeyType === "ed25519";
}

/** SHA-256 over the key's SubjectPublicKeyInfo: what a key is called, whatever names are given to it. */
export function fingerprintOf(key: KeyObject): Digest {
  return digestOf(key.export({ format: "der", type: "spki" }));
}
