import * as fc from "fast-check";
import { expect, test } from "vitest";
import { faultsOf } from "../support/invariants.ts";
import { type Act, CONTENTS, PLACES, WHATS, anAct, foretell, perform } from "../support/lifecycle-acts.ts";
import { differences, foldersForeseen, foldersSeen, foreseen, seen } from "../support/lifecycle-views.ts";
import { repository } from "../support/principal.ts";
import { ReferenceModel } from "../support/reference-model.ts";
import { type Event, befallen, expectWholeAudit, explained, stepsOf } from "../support/random-steps.ts";
import { runs } from "../support/runs.ts";
import { Transitions } from "../support/transitions.ts";

/** Does the acts at once; everybody then sees what the model says after some order of them. */
async function act(at: Transitions, model: ReferenceModel, acts: readonly Act[]): Promise<ReferenceModel> {
  const outcomes = await Promise.all(acts.map((each) => perform(at, each)));
  const view = await seen(at);
  // While other repositories have not followed a revocation everywhere, a branch may be denied that another way leads to as well.
  const differing = async (next: ReferenceModel): Promise<readonly string[]> =>
    differences(await foreseen(at, next), view, next.isFollowing());
  return explained(model, { acts, outcomes, foretell, differing });
}

async function befall(at: Transitions, model: ReferenceModel, event: Event): Promise<ReferenceModel> {
  const next = await befallen(at, model, event);
  expect(differences(await foreseen(at, next), await seen(at), next.isFollowing())).toEqual([]);
  return next;
}

/** What holds after each step: the rows are what the records say, the folders what the model says, every chain of statements is whole, and so is the audit's. */
async function check(at: Transitions, model: ReferenceModel): Promise<void> {
  for (const place of model.isFollowing() ? [] : PLACES) {
    expect(await faultsOf(at.services.metadata, repository(place), at.directory)).toEqual([]);
    expect(await foldersSeen(at, place)).toBe(foldersForeseen(model, place));
  }
  await expectWholeAudit(at);
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
      fc.asyncProperty(fc.array(stepsOf(anAct), { minLength: 5, maxLength: 30, size: "max" }), async (steps) => {
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
