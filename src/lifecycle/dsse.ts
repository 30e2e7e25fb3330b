import { createHash } from "node:crypto";
import { canonicalJson } from "../oci/canonical-json.ts";

/** The type of in-toto statements, as payloads of envelopes and as layers. */
export const IN_TOTO = "application/vnd.in-toto+json";
/** The type of Sigstore bundles, as artifacts and as layers. */
export const SIGSTORE_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";

/** What a DSSE signature of an in-toto statement is made over (DSSE v1, "PAE"). */
export function preAuthEncoding(payload: string): Uint8Array {
  return new TextEncoder().encode(`DSSEv1 ${IN_TOTO.length} ${IN_TOTO} ${Buffer.byteLength(payload)} ${payload}`);
}

/** How Sigstore clients name a public key; `spki` is DER. */
export function keyHint(spki: Uint8Array): string {
  return createHash("sha256").update(spki).digest("base64");
}

/**
 * A signed statement as a Sigstore bundle v0.3 (trust.md §5.3). The signature has no key id: cosign finds none in a bundle where it has
 * one (trust.md §0.7).
 */
export function sigstoreBundle(payload: string, signature: Uint8Array, keyId: string): Uint8Array {
  const bundle = {
    mediaType: SIGSTORE_BUNDLE,
    verificationMaterial: { publicKey: { hint: keyId } },
    dsseEnvelope: {
      payload: Buffer.from(payload).toString("base64"),
      payloadType: IN_TOTO,
      signatures: [{ sig: Buffer.from(signature).toString("base64") }],
    },
  };
  return new TextEncoder().encode(canonicalJson(bundle));
}
