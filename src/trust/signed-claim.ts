import type { Bundle } from "@sigstore/bundle";
import type { Claim } from "./candidate.ts";
import { checkClaim } from "./cosign-legacy.ts";
import { checkSubject, readStatement } from "./in-toto.ts";
import { notationClaim } from "./notation.ts";
import { MODEL_SIGNING, checkFiles } from "./oms.ts";
import { Refusal } from "./reason.ts";
import { type SignedContent, dsseContent, messageContent } from "./signed-content.ts";
import type { Proofs } from "./sigstore.ts";
import type { Grounds, Verified } from "./verdict.ts";

/** The predicate type of cosign's signatures, which state nothing besides. */
export const COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1";

/** A claim about the artifact, of which nobody has yet looked at the signature. */
export interface SignedClaim {
  readonly content: SignedContent;
  /** The certificates that came with it, the signer's first; undefined when it is signed with a plain key. */
  readonly chain: readonly Buffer[] | undefined;
  /** Which key to try first: whatever the sender wrote. */
  readonly hint: string | undefined;
  readonly proofs: Proofs;
  readonly says: Pick<Verified, "kind" | "predicateType" | "predicate">;
  /** What is worth looking at only when the signature holds; throws a `Refusal`. */
  readonly checkRest: () => void;
}

const NO_MORE = (): void => undefined;

/** What a candidate claims; throws a `Refusal` when it is not about the artifact. */
export function claimAbout(claim: Claim, grounds: Grounds): SignedClaim {
  switch (claim.type) {
    case "bundle":
      return bundleClaim(claim, grounds);
    case "simple-signing":
      checkClaim(claim.payload, grounds.subject);
      return messageClaim(claim.bundle, claim.payload);
    case "notation":
      return notationClaim(claim.envelope, grounds);
  }
}

function bundleClaim({ bundle, ownFile }: Extract<Claim, { type: "bundle" }>, grounds: Grounds): SignedClaim {
  const { content } = bundle;
  if (content.$case === "messageSignature") return messageClaim(bundle, grounds.subject.bytes);
  const { payloadType, payload, signatures } = content.dsseEnvelope;
  const statement = readStatement({ payloadType, payload });
  const { predicateType, predicate } = statement;
  const common = { ...materialOf(bundle), content: dsseContent({ payloadType, payload }, signatures[0]?.sig ?? Buffer.alloc(0)) };
  if (predicateType === MODEL_SIGNING) {
    const checkRest = (): void => checkFiles(statement, { ...grounds, ownFile });
    return { ...common, says: { kind: "oms", predicateType, predicate }, checkRest };
  }
  checkSubject(statement, grounds.subject);
  const kind = predicateType === COSIGN_SIGN ? "signature" : "attestation";
  return { ...common, says: { kind, predicateType, predicate }, checkRest: NO_MORE };
}

function messageClaim(bundle: Bundle, message: Buffer): SignedClaim {
  if (bundle.content.$case !== "messageSignature") throw new Refusal("malformed-bundle");
  return {
    ...materialOf(bundle),
    content: messageContent(message, bundle.content.messageSignature.signature),
    says: { kind: "signature", predicateType: null, predicate: null },
    checkRest: NO_MORE,
  };
}

function materialOf({ verificationMaterial }: Bundle): Pick<SignedClaim, "chain" | "hint" | "proofs"> {
  const { content, tlogEntries, timestampVerificationData } = verificationMaterial;
  const timestamps = (timestampVerificationData?.rfc3161Timestamps ?? []).map(({ signedTimestamp }) => signedTimestamp);
  const hint = content.$case === "publicKey" ? content.publicKey.hint : undefined;
  return { chain: chainOf(content), hint, proofs: { logEntries: tlogEntries, timestamps } };
}

function chainOf(content: Bundle["verificationMaterial"]["content"]): readonly Buffer[] | undefined {
  switch (content.$case) {
    case "publicKey":
      return undefined;
    case "certificate":
      return [content.certificate.rawBytes];
    case "x509CertificateChain":
      return content.x509CertificateChain.certificates.map(({ rawBytes }) => rawBytes);
  }
}
