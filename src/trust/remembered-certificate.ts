import { ASN1Obj, X509Certificate } from "@sigstore/core";

/**
 * A certificate of the Sigstore library that works out each answer once. The verifier encodes the same certificates again, and checks the same
 * signatures of the same authorities, at every look; but a certificate does not change, and so neither does what it answers.
 */
export class RememberedCertificate extends X509Certificate {
  readonly #issuers = new WeakMap<X509Certificate, boolean>();
  #publicKey: Buffer | undefined;

  /** Reads a certificate in DER, which nobody else may write to; throws errors of the library. */
  static override parse(der: Buffer<ArrayBuffer>): RememberedCertificate {
    return RememberedCertificate.of(X509Certificate.parse(der));
  }

  static of({ root }: X509Certificate): RememberedCertificate {
    return new RememberedCertificate(root);
  }

  override get publicKey(): Buffer {
    return (this.#publicKey ??= super.publicKey);
  }

  override verify(issuer: X509Certificate = this): boolean {
    const known = this.#issuers.get(issuer);
    if (known !== undefined) return known;
    const isIssuer = super.verify(issuer);
    this.#issuers.set(issuer, isIssuer);
    return isIssuer;
  }

  override equals(other: X509Certificate): boolean {
    // Where the signatures differ, so do the certificates, without encoding them.
    return this === other || (this.signatureValue.equals(other.signatureValue) && super.equals(other));
  }

  /** The verifier takes an extension out of the copy, for which it need not be encoded and read again. */
  override clone(): X509Certificate {
    return new X509Certificate(copyOf(this.root));
  }
}

function copyOf({ tag, value, subs }: ASN1Obj): ASN1Obj {
  return new ASN1Obj(tag, value, subs.map(copyOf));
}
