/** Why a proof is refused: stable, for scripts. */
export const PROOF_FAULTS = {
  "snapshot-missing": "there is no snapshot that says where the chains end",
  "snapshot-ambiguous": "there are several snapshots that say different things",
  "snapshot-expired": "the snapshot may be relied on no longer",
  "snapshot-too-old": "the snapshot is older than was asked for",
  "snapshot-from-future": "the snapshot was taken later than it is now by this clock",
  "key-chain-broken": "the statements about the registry's keys do not make a chain",
  "key-untrusted": "no key that you trust leads to the one that signed the snapshot",
  "key-out-of-range": "a statement took effect when the key that signed it did not sign",
  "chain-missing": "nothing is left of a chain that the snapshot names",
  "statement-missing": "a statement of a chain is not there",
  "statement-unexpected": "the registry signed this, but the snapshot does not name it",
  "chain-forked": "the registry signed two different statements for one place of a chain",
  "chain-broken": "a statement does not say what its place in the chain demands",
  "wrong-subject": "a statement is attached to something that it is not about",
  "authority-missing": "the revocation of a publisher that the snapshot names is not there",
  "summary-missing": "a verification summary that the snapshot names is not there",
  "summary-hidden": "the summary of a revocation that stands is not attached to its artifact",
  forged: "this claims to be the registry's own, and is not signed with its key",
  "state-mismatch": "the chain leads to another state than the snapshot says",
  "trusted-after-permanent-revocation": "something was made trusted after it had been revoked for good: it stays revoked",
} as const;
export type ProofFaultCode = keyof typeof PROOF_FAULTS;

/** Something that makes a proof worthless, and what it is about: an artifact, a statement or a manifest. */
export interface ProofFault {
  readonly code: ProofFaultCode;
  readonly about: string;
}
