import type { Principal } from "./principal.ts";

/** Whose hands an artifact went through, as persons: the `countsAs` of each identity, so that nobody approves through a bot. */
export interface Hands {
  /** Everybody who put the manifest or one of its children in this generation (RULES 17). */
  readonly uploaders: readonly string[];
  /** Who approved it. */
  readonly approvers: readonly string[];
}

/** `waived` names why a duty that would have refused did not, for the record. */
export type Duty =
  | { readonly effect: "permit"; readonly waived?: "service-token" }
  | { readonly effect: "forbid"; readonly reason: string };

const PERMIT: Duty = { effect: "permit" };

/**
 * May this principal promote what went through these hands (identity.md 6.5)? How many must have approved is the policy's to say: a check of
 * its decision, which is recorded and shown whoever asks.
 */
export function dutyOfPromoting(principal: Principal, hands: Hands): Duty {
  const own = principal.kind === "service-token" ? dutyOfServiceToken(principal, hands) : dutyOfPromoter(principal, hands);
  if (own.effect === "forbid") return own;
  const approvers = approversApart(hands);
  const others = approvers.filter((person) => person !== principal.countsAs).length;
  const oneOfThem = others < approvers.length;
  return oneOfThem && others < 2 ? forbid("who approved an artifact promotes it only when two others approved it as well") : own;
}

/** May this principal approve what went through these hands (identity.md 6.5)? */
export function dutyOfApproving(principal: Principal, { uploaders }: Pick<Hands, "uploaders">): Duty {
  if (uploaders.includes(principal.countsAs)) return forbid("who uploaded an artifact never approves it; another identity has to");
  return PERMIT;
}

function dutyOfPromoter({ kind, countsAs, duties }: Principal, { uploaders }: Hands): Duty {
  if (duties === "strict" && kind === "service") return forbid("under the strict profile only an identity of a person may promote");
  return uploaders.includes(countsAs) ? forbid("who uploaded an artifact never promotes it; another identity has to") : PERMIT;
}

/** The predecessor's one token acquires and promotes the same artifact: under `standard` that is allowed, and recorded as a waiver. */
function dutyOfServiceToken({ countsAs, duties }: Principal, { uploaders }: Hands): Duty {
  if (duties === "strict") return forbid("under the strict profile the service token never promotes");
  return uploaders.includes(countsAs) ? { effect: "permit", waived: "service-token" } : PERMIT;
}

function approversApart({ uploaders, approvers }: Hands): readonly string[] {
  return [...new Set(approvers)].filter((person) => !uploaders.includes(person));
}

function forbid(reason: string): Duty {
  return { effect: "forbid", reason };
}
