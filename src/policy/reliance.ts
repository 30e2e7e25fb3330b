import { type SignerIdentity, signerId } from "../trust/verdict.ts";

/** Evidence that an earlier decision took: who signed it, and the earliest trusted time of that (ISO 8601). */
export interface TakenEvidence {
  readonly signer: SignerIdentity;
  readonly signedAt: string | null;
}

/** A requirement that an earlier decision found met by signed evidence. */
export interface MetRequirement {
  /** Distinct signers that it asks for. */
  readonly threshold: number;
  readonly taken: readonly TakenEvidence[];
}

/**
 * Did an earlier decision rest on evidence that counts no more: is there a requirement which what is left of its evidence does not meet? What
 * a decision did not list of its evidence is not known here, and counts for nothing.
 */
export function restsOn(requirements: readonly MetRequirement[], isRevoked: (evidence: TakenEvidence) => boolean): boolean {
  return requirements.some(({ threshold, taken }) => {
    const left = new Set(taken.filter((each) => !isRevoked(each)).map(({ signer }) => signerId(signer)));
    return taken.some(isRevoked) && left.size < threshold;
  });
}
