import { type KeyObject, type PublicKeyInput, createPublicKey } from "node:crypto";
import { keyHint } from "../lifecycle/dsse.ts";
import type { Signer, SigningKeys } from "./signing-keys.ts";

/** A public key with which statements may be signed, and what a signer is called by it. */
export interface PublicSigningKey {
  readonly key: KeyObject;
  readonly named: Omit<Signer, "sign">;
}

/** Reads a public key, as PEM or as described; undefined for what is no ECDSA key on P-256. */
export function publicSigningKey(from: string | (PublicKeyInput & { readonly key: Buffer })): PublicSigningKey | undefined {
  const key = parsed(from);
  if (key?.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") return undefined;
  return {
    key,
    named: {
      keyId: keyHint(key.export({ type: "spki", format: "der" })),
      algorithm: "PKIX_ECDSA_P256_SHA_256",
      publicPem: key.export({ type: "spki", format: "pem" }),
    },
  };
}

function parsed(from: Parameters<typeof publicSigningKey>[0]): KeyObject | undefined {
  try {
    return createPublicKey(from);
  } catch {
    return undefined;
  }
}

/** Has a key sign that is kept elsewhere. What `kept` holds can still be opened, to sign that it was replaced. */
export function givenKey(given: Signer, kept: SigningKeys): SigningKeys {
  return {
    given,
    open: async (keyId) => (keyId === given.keyId ? given : kept.open(keyId)),
    make: async () => given,
    destroy: (keyId) => kept.destroy(keyId),
    destroyAllBut: (keyId) => kept.destroyAllBut(keyId),
  };
}
