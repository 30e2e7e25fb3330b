import * as fc from "fast-check";
import { expect, test } from "vitest";
import { collectGarbage } from "../../src/jobs/collect-garbage.ts";
import { finishRevocationsEverywhere } from "../../src/registry/revoke-everywhere.ts";
import { verifyAudit } from "../../src/registry/verify-audit.ts";
import { faultsOf } from "../support/invariants.ts";
import { differences } from "../support/lifecycle-views.ts";
import { modelFaults } from "../support/model-invariants.ts";
import { repository } from "../support/principal.ts";
import { type Act, REPOSITORIES, anAct, foretell, perform, putFiles } from "../support/registered-acts.ts";
import { RegisteredModel } from "../support/registered-model.ts";
import { foreseen, seen } from "../support/registered-views.ts";
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
async function act(at: Transitions, model: RegisteredModel, acts: readonly Act[]): Promise<RegisteredModel> {
  const outcomes = await Promise.all(acts.map((each) => perform(at, each)));
  const view = await seen(at);
  const wrong: string[][] = [];
  for (const order of orders(acts)) {
    const next = model.clone();
    const foretold = new Map(order.map((each) => [each, foretell(next, each)]));
    const said = acts.flatMap((each, n) =>
      foretold.get(each) === outcomes[n] ? [] : [`${JSON.stringify(each)}: ${outcomes[n]} instead of ${foretold.get(each)}`],
    );
    const found = [...said, ...differences(foreseen(next), view, next.isFollowing())];
    if (found.length === 0) return next;
    wrong.push(found.slice(0, 20));
  }
  expect(wrong).toEqual([]);
  return model;
}

/** So much (ms) that no link is too young to be collected, nor any old enough not to be renewed. */
const GRACE = 60_000;

async function befall(at: Transitions, model: RegisteredModel, event: "jobs" | "restart"): Promise<RegisteredModel> {
  const next = model.clone();
  if (event === "restart") await at.restart();
  else {
    await finishRevocationsEverywhere(at.services);
    const { services } = at;
    await collectGarbage({ ...services, settings: { ...services.settings, collectGrace: -GRACE } });
    next.followEverywhere();
    next.collect();
  }
  expect(differences(foreseen(next), await seen(at), next.isFollowing())).toEqual([]);
  return next;
}

/** What holds after each step: rows are what the records say, and every chain is whole, the predecessor's too. */
async function check(at: Transitions, model: RegisteredModel): Promise<void> {
  for (const place of model.isFollowing() ? [] : REPOSITORIES) {
    expect(await faultsOf(at.services.metadata, repository(place), at.directory)).toEqual([]);
  }
  expect(await modelFaults(at.services.metadata)).toEqual([]);
  expect((await verifyAudit(at.services, 0)).broken).toBeUndefined();
}

test(
  "whatever actors do by both APIs, one by one or at once, and through restarts: everybody sees one truth, and every chain holds",
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(aStep, { minLength: 5, maxLength: 40, size: "max" }), async (steps) => {
        await using at = await Transitions.start();
        await putFiles(at);
        let model = new RegisteredModel();
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
