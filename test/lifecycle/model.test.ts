import * as fc from "fast-check";
import { expect, test } from "vitest";
import { collectGarbage } from "../../src/jobs/collect-garbage.ts";
import { finishRevocationsEverywhere } from "../../src/registry/revoke-everywhere.ts";
import { verifyAudit } from "../../src/registry/verify-audit.ts";
import { faultsOf } from "../support/invariants.ts";
import { type Act, CONTENTS, PLACES, WHATS, anAct, foretell, perform } from "../support/lifecycle-acts.ts";
import { differences, foldersForeseen, foldersSeen, foreseen, seen } from "../support/lifecycle-views.ts";
import { repository } from "../support/principal.ts";
import { ReferenceModel } from "../support/reference-model.ts";
import { runs } from "../support/runs.ts";
import { Transitions } from "../support/transitions.ts";

/** Acts that are done at once, or what befalls the registry itself: its jobs run, or it is stopped and started. */
type Step = { readonly acts: readonly Act[] } | { readonly event: "jobs" | "restart" };

const aStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ acts: fc.tuple(anAct) }) },
  { weight: 4, arbitrary: fc.record({ acts: fc.array(anAct, { minLength: 2, maxLength: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ event: fc.constantFrom("jobs" as const, "restart" as const) }) },
);

function orders<T>(items: readonly T[]): readonly (readonly T[])[] {
  if (items.length <= 1) return [items];
  return items.flatMap((item, at) => orders(items.filter((_, other) => other !== at)).map((rest) => [item, ...rest]));
}

/** Does the acts at once, and finds an order in which the model says the same of each and shows everybody the same afterwards. */
async function act(at: Transitions, model: ReferenceModel, acts: readonly Act[]): Promise<ReferenceModel> {
  const outcomes = await Promise.all(acts.map((each) => perform(at, each)));
  const view = await seen(at);
  const wrong: string[][] = [];
  for (const order of orders(acts)) {
    const next = model.clone();
    const foretold = new Map(order.map((each) => [each, foretell(next, each)]));
    const said = acts.flatMap((each, n) =>
      foretold.get(each) === outcomes[n] ? [] : [`${each.kind}: ${String(outcomes[n])} instead of ${String(foretold.get(each))}`],
    );
    // While other repositories have not followed a revocation everywhere, a branch may be denied that another way leads to as well.
    const found = [...said, ...differences(await foreseen(at, next), view, next.isFollowing())];
    if (found.length === 0) return next;
    wrong.push(found.slice(0, 20));
  }
  expect(wrong).toEqual([]);
  return model;
}

/** So much (ms) that no link is too young to be collected, nor any old enough not to be renewed. */
const GRACE = 60_000;

async function befall(at: Transitions, model: ReferenceModel, event: "jobs" | "restart"): Promise<ReferenceModel> {
  if (event === "restart") await at.restart();
  else {
    await finishRevocationsEverywhere(at.services);
    const { services } = at;
    await collectGarbage({ ...services, settings: { ...services.settings, collectGrace: -GRACE } });
  }
  const next = model.clone();
  if (event === "jobs") {
    next.followEverywhere();
    next.collect();
  }
  expect(differences(await foreseen(at, next), await seen(at), next.isFollowing())).toEqual([]);
  return next;
}

/** What holds after each step: the rows are what the records say, the folders what the model says, every chain of statements is whole, and so is the audit's. */
async function check(at: Transitions, model: ReferenceModel): Promise<void> {
  for (const place of model.isFollowing() ? [] : PLACES) {
    expect(await faultsOf(at.services.metadata, repository(place), at.directory)).toEqual([]);
    expect(await foldersSeen(at, place)).toBe(foldersForeseen(model, place));
  }
  for (let next: number | undefined = 0; next !== undefined;) {
    const proof = await verifyAudit(at.services, next);
    expect(proof.broken).toBeUndefined();
    next = proof.next;
  }
}

/** One repository holds everything, untrusted. */
async function prepare(at: Transitions, model: ReferenceModel): Promise<void> {
  const acts: Act[] = [
    ...CONTENTS.map((content): Act => ({ kind: "pushBlob", who: "alice", place: "models/a", content })),
    ...WHATS.map((what): Act => ({ kind: "push", who: "alice", place: "models/a", what, tags: [] })),
  ];
  for (const each of acts) expect(await perform(at, each)).toBe(foretell(model, each));
}

test(
  "whatever actors do, one by one or at once, and through restarts: everybody sees what the design says, and every chain holds",
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(aStep, { minLength: 5, maxLength: 30, size: "max" }), async (steps) => {
        await using at = await Transitions.start();
        let model = new ReferenceModel();
        await prepare(at, model);
        for (const step of steps) {
          model = "acts" in step ? await act(at, model, step.acts) : await befall(at, model, step.event);
          await check(at, model);
        }
      }),
      { numRuns: runs(5) },
    );
  },
  runs(120_000),
);
