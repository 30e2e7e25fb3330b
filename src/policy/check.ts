import type { Digest } from "../oci/digest.ts";

/** One check of a decision: what was asked, the answer and why, and the digests that it rests on. */
export interface Check {
  readonly id: string;
  readonly status: "pass" | "warn" | "fail";
  readonly message: string;
  readonly inputs: readonly Digest[];
}

/** Something that a check finds fault with. */
export interface Fault {
  readonly digest: Digest;
  readonly problem: string;
}

/** Faults beyond these are only counted, so that no decision grows with what is wrong. */
const MAX_LISTED = 20;

/** A check that fails by every fault, with the first of them in its message and its inputs. */
export function faultCheck(id: string, fine: string, faults: readonly Fault[]): Check {
  if (faults.length === 0) return { id, status: "pass", message: fine, inputs: [] };
  return { id, status: "fail", message: listedFaults(faults), inputs: faults.map(({ digest }) => digest).slice(0, MAX_LISTED) };
}

/** Faults for a message. */
export function listedFaults(faults: readonly Fault[]): string {
  return listed(faults.map(({ digest, problem }) => `${digest} ${problem}`));
}

/** The first of many things to tell, and how many more there are. */
export function listed(things: readonly string[]): string {
  const shown = things.slice(0, MAX_LISTED).join("; ");
  const rest = things.length - MAX_LISTED;
  return rest > 0 ? `${shown}; and ${rest} more` : shown;
}
