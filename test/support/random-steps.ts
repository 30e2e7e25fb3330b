import * as fc from "fast-check";
import { expect } from "vitest";
import { collectGarbage } from "../../src/jobs/collect-garbage.ts";
import { finishRevocationsEverywhere } from "../../src/registry/revoke-everywhere.ts";
import { verifyAudit } from "../../src/registry/verify-audit.ts";
import type { Transitions } from "./transitions.ts";

/** Acts that are done at once, or what befalls the registry itself: its jobs run, or it is stopped and started. */
export type Step<Act> = { readonly acts: readonly Act[] } | { readonly event: Event };
export type Event = "jobs" | "restart";

/** Any step of such acts. */
export function stepsOf<Act>(anAct: fc.Arbitrary<Act>): fc.Arbitrary<Step<Act>> {
  return fc.oneof(
    { weight: 8, arbitrary: fc.record({ acts: fc.tuple(anAct) }) },
    { weight: 4, arbitrary: fc.record({ acts: fc.array(anAct, { minLength: 2, maxLength: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ event: fc.constantFrom<Event>("jobs", "restart") }) },
  );
}

/** What a registry that is told about by a model was seen to do. */
export interface Done<Model, Act> {
  readonly acts: readonly Act[];
  /** What came of each. */
  readonly outcomes: readonly unknown[];
  readonly foretell: (model: Model, act: Act) => unknown;
  /** In what the registry differs, afterwards, from what a model says. */
  readonly differing: (model: Model) => Promise<readonly string[]>;
}

/** The model after acts that were done at once: some order of them explains what came of each and what is seen afterwards. */
export async function explained<Model extends { clone(): Model }, Act>(
  model: Model,
  { acts, outcomes, foretell, differing }: Done<Model, Act>,
): Promise<Model> {
  const wrong: string[][] = [];
  for (const order of orders(acts)) {
    const next = model.clone();
    const foretold = new Map(order.map((each) => [each, foretell(next, each)]));
    const said = acts.flatMap((each, n) =>
      foretold.get(each) === outcomes[n]
        ? []
        : [`${JSON.stringify(each)}: ${String(outcomes[n])} instead of ${String(foretold.get(each))}`],
    );
    const found = [...said, ...(await differing(next))];
    if (found.length === 0) return next;
    wrong.push(found.slice(0, 20));
  }
  expect(wrong).toEqual([]);
  return model;
}

function orders<T>(items: readonly T[]): readonly (readonly T[])[] {
  if (items.length <= 1) return [items];
  return items.flatMap((item, at) => orders(items.filter((_, other) => other !== at)).map((rest) => [item, ...rest]));
}

/** So much (ms) that no link is too young to be collected, nor any old enough not to be renewed. */
const GRACE = 60_000;

/** Lets an event befall the registry, and tells a copy of the model. */
export async function befallen<Model extends { clone(): Model; followEverywhere(): void; collect(): void }>(
  at: Transitions,
  model: Model,
  event: Event,
): Promise<Model> {
  const next = model.clone();
  if (event === "restart") await at.restart();
  else {
    await finishRevocationsEverywhere(at.services);
    const { services } = at;
    await collectGarbage({ ...services, settings: { ...services.settings, collectGrace: -GRACE } });
    next.followEverywhere();
    next.collect();
  }
  return next;
}

/** The chain of the audit is whole, to its end. */
export async function expectWholeAudit(at: Transitions): Promise<void> {
  for (let next: number | undefined = 0; next !== undefined;) {
    const proof = await verifyAudit(at.services, next);
    expect(proof.broken).toBeUndefined();
    next = proof.next;
  }
}
