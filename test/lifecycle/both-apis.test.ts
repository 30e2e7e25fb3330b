import * as fc from "fast-check";
import { expect, test } from "vitest";
import { faultsOf } from "../support/invariants.ts";
import { differences } from "../support/lifecycle-views.ts";
import { modelFaults } from "../support/model-invariants.ts";
import { repository } from "../support/principal.ts";
import { type Act, REPOSITORIES, anAct, foretell, perform, putFiles } from "../support/registered-acts.ts";
import { RegisteredModel } from "../support/registered-model.ts";
import { foreseen, seen } from "../support/registered-views.ts";
import { type Event, befallen, expectWholeAudit, explained, stepsOf } from "../support/random-steps.ts";
import { runs } from "../support/runs.ts";
import { Transitions } from "../support/transitions.ts";

/** Does the acts at once; everybody then sees what the model says after some order of them. */
async function act(at: Transitions, model: RegisteredModel, acts: readonly Act[]): Promise<RegisteredModel> {
  const outcomes = await Promise.all(acts.map((each) => perform(at, each)));
  const view = await seen(at);
  const differing = async (next: RegisteredModel): Promise<readonly string[]> => differences(foreseen(next), view, next.isFollowing());
  return explained(model, { acts, outcomes, foretell, differing });
}

async function befall(at: Transitions, model: RegisteredModel, event: Event): Promise<RegisteredModel> {
  const next = await befallen(at, model, event);
  expect(differences(foreseen(next), await seen(at), next.isFollowing())).toEqual([]);
  return next;
}

/** What holds after each step: rows are what the records say, and every chain is whole, the predecessor's too. */
async function check(at: Transitions, model: RegisteredModel): Promise<void> {
  for (const place of model.isFollowing() ? [] : REPOSITORIES) {
    expect(await faultsOf(at.services.metadata, repository(place), at.directory)).toEqual([]);
  }
  expect(await modelFaults(at.services.metadata)).toEqual([]);
  await expectWholeAudit(at);
}

test(
  "whatever actors do by both APIs, one by one or at once, and through restarts: everybody sees one truth, and every chain holds",
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepsOf(anAct), { minLength: 5, maxLength: 40, size: "max" }), async (steps) => {
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
