import { type Signatory, bySigner } from "../trust/distinct-signers.ts";

/** Evidence that an earlier decision took: who signed it, and the earliest trusted time of that (ISO 8601). */
export interface TakenEvidence extends Signatory {
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
    const left = bySigner(taken.filter((each) => !isRevoked(each)));
    return taken.some(isRevoked) && left.length < threshold;
  });
}
