import type { LifecycleEvent, State } from "./state.ts";

/** What the table needs to know besides state and event. */
export interface Circumstances {
  /** A revocation in the chain, of this generation or an earlier one, that was not lifted (RULES 12). */
  readonly revocation: { readonly permanent: boolean } | null;
  /** Does whoever asks hold `reinstate`? */
  readonly mayReinstate: boolean;
  /** Does a trusted root other than itself reach the artifact (RULES 5)? */
  readonly servedByRoot: boolean;
}

/** `move`: into a state, by a new statement. `same`: nothing to write. `refuse`: with the rule and the remedy. */
export type Transition =
  | { readonly kind: "move"; readonly to: State }
  | { readonly kind: "same" }
  | { readonly kind: "refuse"; readonly because: "state" | "permission"; readonly reason: string };

type Cell = "same" | State | "refused";

/** The table of DESIGN §2; `none` is a digest that the repository never had. */
const TABLE: Readonly<Record<State | "none", Readonly<Record<LifecycleEvent, Cell>>>> = {
  none: { acquire: "acquired", quarantine: "refused", promote: "refused", revoke: "refused", delete: "refused" },
  acquired: { acquire: "same", quarantine: "quarantined", promote: "trusted", revoke: "revoked", delete: "deleted" },
  quarantined: { acquire: "same", quarantine: "same", promote: "trusted", revoke: "revoked", delete: "deleted" },
  trusted: { acquire: "same", quarantine: "refused", promote: "trusted", revoke: "revoked", delete: "deleted" },
  revoked: { acquire: "same", quarantine: "refused", promote: "trusted", revoke: "same", delete: "deleted" },
  deleted: { acquire: "acquired", quarantine: "refused", promote: "refused", revoke: "refused", delete: "same" },
};

const REMEDY: Readonly<Record<State | "none", string>> = {
  none: "there is no such artifact: push it first",
  acquired: "",
  quarantined: "",
  trusted: "a trusted artifact cannot be quarantined: revoke it instead",
  revoked: "a revoked artifact cannot be quarantined: promote it anew (needs reinstate) or delete it",
  deleted: "the artifact was deleted: push it again first",
};

/** Which state an event leads to, or why not (DESIGN §2, RULES 5 and 12). */
export function transition(state: State | undefined, event: LifecycleEvent, circumstances: Circumstances): Transition {
  const from = state ?? "none";
  const cell = TABLE[from][event];
  if (cell === "same") return { kind: "same" };
  if (cell === "refused") return { kind: "refuse", because: "state", reason: REMEDY[from] };
  if (event === "quarantine" && circumstances.servedByRoot) {
    return { kind: "refuse", because: "state", reason: "a trusted artifact contains this one: revoke it instead of quarantining it" };
  }
  return event === "promote" ? promotion(circumstances) : { kind: "move", to: cell };
}

function promotion({ revocation, mayReinstate }: Circumstances): Transition {
  if (revocation?.permanent === true) {
    return { kind: "refuse", because: "state", reason: "it was revoked permanently: push a corrected artifact, which has another digest" };
  }
  if (revocation !== null && !mayReinstate) {
    return {
      kind: "refuse",
      because: "permission",
      reason: "it was revoked: promoting it again needs the permission reinstate besides promote",
    };
  }
  return { kind: "move", to: "trusted" };
}
