/** Fields of evidence that may be anything, or may be missing, and why nothing follows from them. Any other change must refuse the evidence. */
export const NEUTRAL: readonly { readonly field: RegExp; readonly of: RegExp; readonly why: string }[] = [
  {
    field: /envelope\/mediaType$/,
    of: /./,
    why: "the versions differ in what a bundle must have besides, not in what it means; only the four that exist are read",
  },
  {
    field: /verificationMaterial\/publicKey(?:\/hint)?$/,
    of: /by a key$/,
    why: "which keys may have signed is in the policy; the sender's word on it is not read",
  },
  { field: /signatures\/0\/keyid$/, of: /./, why: "the same" },
  {
    field: /messageSignature\/messageDigest\/(?:algorithm|digest)$/,
    of: /^a signature/,
    why: "the signature is held against the manifest itself, whatever digest the bundle states",
  },
  {
    field: /verificationMaterial\/(?:timestampVerificationData|tlogEntries)$/,
    of: /by a (?:key|certificate)$/,
    why: "this authority asks for no proofs, and there are none",
  },
  {
    field: /inclusionProof\/(?:rootHash|treeSize)$/,
    of: /by an identity/,
    why: "the log's root and size are those of the checkpoint, which the log signed",
  },
  {
    field: /inclusionProof$/,
    of: /in version 0\.1$/,
    why: "in this version the log's promise is enough",
  },
  {
    field: /(?:header|envelope\/1)\/io\.cncf\.notary\.signingAgent$/,
    of: /Notation/,
    why: "which program signed is not signed, and not read",
  },
  {
    field: /(?:x5c|1\/33|certificates)\/1(?:\/rawBytes)?$/,
    of: /certificate$|Notation/,
    why: "it is the pinned certificate, which the policy has",
  },
  {
    field: /annotations\/dev\.cosignproject\.cosign\/signature$/,
    of: /attestation/,
    why: "the signature of an attestation is in its envelope",
  },
];
