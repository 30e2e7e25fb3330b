/** The one algorithm of the registry's statements, by its Sigstore name: every Sigstore client accepts it (trust.md §0.3). Signatures are DER. */
type SigningAlgorithm = "PKIX_ECDSA_P256_SHA_256";

/** A private key that signs for the registry, wherever it is kept. */
export interface Signer {
  /** base64(SHA-256(SPKI)), as Sigstore clients name a key. */
  readonly keyId: string;
  readonly algorithm: SigningAlgorithm;
  /** SPKI. */
  readonly publicPem: string;
  /** The signature of some bytes; throws `SigningError` when there is none to be had. */
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

/** Where the private keys of the registry's statements are kept. All processes of a registry see the same keys. */
export interface SigningKeys {
  /** The key that the operator says is to sign, wherever it came from; undefined: keys are made here. */
  readonly given: Signer | undefined;
  /** Undefined when there is no such key here; throws `SigningError` for one that cannot be used. */
  open(keyId: string): Promise<Signer | undefined>;
  /** A new key, durable when this resolves. */
  make(): Promise<Signer>;
  /** Destroys a key that is to sign no more, if it is kept here. */
  destroy(keyId: string): Promise<void>;
  /** Destroys every key that is kept here but this one: what crashes left. */
  destroyAllBut(keyId: string): Promise<void>;
}

/** Why there is no signature, or no key, for the operator's log. */
export class SigningError extends Error {
  override readonly name = "SigningError";
}
