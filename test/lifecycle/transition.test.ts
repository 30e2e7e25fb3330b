import * as fc from "fast-check";
import { expect, test } from "vitest";
import { EVENTS, type LifecycleEvent, STATES, type State } from "../../src/lifecycle/state.ts";
import { type Circumstances, transition } from "../../src/lifecycle/transition.ts";

const PLAIN: Circumstances = { revocation: null, mayReinstate: false, servedByRoot: false };

// The table of DESIGN §2, as it is written there.
const TABLE: Record<State | "none", Record<LifecycleEvent, State | "same" | "refused">> = {
  none: { acquire: "acquired", quarantine: "refused", promote: "refused", revoke: "refused", delete: "refused" },
  acquired: { acquire: "same", quarantine: "quarantined", promote: "trusted", revoke: "revoked", delete: "deleted" },
  quarantined: { acquire: "same", quarantine: "same", promote: "trusted", revoke: "revoked", delete: "deleted" },
  trusted: { acquire: "same", quarantine: "refused", promote: "trusted", revoke: "revoked", delete: "deleted" },
  revoked: { acquire: "same", quarantine: "refused", promote: "trusted", revoke: "same", delete: "deleted" },
  deleted: { acquire: "acquired", quarantine: "refused", promote: "refused", revoke: "refused", delete: "same" },
};

const cells = Object.entries(TABLE).flatMap(([state, row]) => Object.entries(row).map(([event, cell]) => ({ state, event, cell })));

test.each(cells)("transition() of $state by $event is $cell", ({ state, event, cell }) => {
  const from = STATES.find((each) => each === state);
  const by = EVENTS.find((each) => each === event);
  if (by === undefined) throw new Error("unknown event");
  const decided = transition(from, by, PLAIN);
  expect(decided.kind === "move" ? decided.to : decided.kind).toBe(cell === "refused" ? "refuse" : cell);
});

const REVOKED: Circumstances = { ...PLAIN, revocation: { permanent: false } };
const FOR_EVER: Circumstances = { ...PLAIN, mayReinstate: true, revocation: { permanent: true } };

test.each(["acquired", "quarantined", "revoked"] as const)(
  "transition() wants reinstate to promote a revoked digest that is %s now",
  (state) => {
    expect(transition(state, "promote", REVOKED)).toMatchObject({ kind: "refuse", because: "permission" });
    expect(transition(state, "promote", { ...REVOKED, mayReinstate: true })).toEqual({ kind: "move", to: "trusted" });
  },
);

test("transition() never promotes what was revoked permanently, in no state", () => {
  fc.assert(fc.property(fc.constantFrom(...STATES), (state) => transition(state, "promote", FOR_EVER).kind === "refuse"));
});

test("transition() refuses to quarantine what a trusted root reaches, and says to revoke instead", () => {
  const decided = transition("acquired", "quarantine", { ...PLAIN, servedByRoot: true });
  expect(decided).toMatchObject({ kind: "refuse" });
  expect(JSON.stringify(decided)).toContain("revoke it instead");
});
