import * as fc from "fast-check";
import { expect, test } from "vitest";
import { STATES } from "../../src/lifecycle/state.ts";
import { countStatesOnce } from "../../src/registry/count-states.ts";
import { countedMetadata } from "../../src/registry/counted-metadata.ts";
import { stateHistory } from "../../src/registry/state-history.ts";
import { keys } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { NO_QUOTA } from "../support/limits.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";
import { v7 } from "../support/uuid.ts";

const DAY = 86_400_000;
const DAYS = 6;

/** A manifest gets a state on a day, or its row goes. */
const act = fc.record({
  name: fc.integer({ min: 0, max: 4 }),
  state: fc.constantFrom(...STATES),
  statement: fc.boolean(),
  isGone: fc.boolean(),
});
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;

async function make(metadata: MetadataStore, { name, state, statement, isGone }: Act, day: number): Promise<void> {
  const key = ["manifest", "models/a", `${name}-${String(statement)}`] as const;
  const event = { id: v7(), time: 0, type: "test.change", actor: { principal: "a", kind: "service" }, outcome: "allow" } as const;
  const value = { statement, state, subject: null, size: 0, changedAt: day * DAY + 5 };
  const outcome = await metadata.commit({ expect: [], put: isGone ? [] : [{ key, value }], remove: isGone ? [key] : [], audit: [event] });
  if (outcome !== "committed") throw new Error(outcome);
}

const NOTHING = { acquired: 0, quarantined: 0, trusted: 0, revoked: 0, deleted: 0 };

/** What is there, counted from its rows. */
function counted(rows: ReadonlyMap<string, Act>): Record<string, number> {
  const counts: Record<string, number> = { ...NOTHING };
  for (const { state, statement } of rows.values()) if (!statement) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

test("each day's counts are what there was at its end, whatever changed on it and later", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(act, { maxLength: 5 }), { minLength: DAYS, maxLength: DAYS }), async (days) => {
      await using world = await temporaryMetadata();
      const metadata = countedMetadata(world.metadata, { quota: NO_QUOTA });
      const rows = new Map<string, Act>();
      const expected: object[] = [];
      for (const [day, acts] of days.entries()) {
        for (const each of acts) {
          // A row that is removed goes on the day of its last change, which is when its manifest was.
          const at = `${each.name}-${String(each.statement)}`;
          if (each.isGone) continue;
          await make(metadata, each, 100 + day);
          rows.set(at, each);
        }
        expected.push({ at: (100 + day) * DAY, counts: counted(rows) });
      }
      const history = await stateHistory({ metadata, clock: () => (100 + DAYS) * DAY - 1 }, DAYS);
      expect(history).toEqual(expected);
    }),
    { numRuns: 25 },
  );
}, 60_000);

test("many changes at a time are all counted", async () => {
  await using world = await temporaryMetadata();
  const metadata = countedMetadata(world.metadata, { quota: NO_QUOTA });
  const names = Array.from({ length: 20 }, (_, name) => name);
  await Promise.all(names.map((name) => make(metadata, { name, state: "acquired", statement: false, isGone: false }, 7)));
  const [today] = await stateHistory({ metadata, clock: () => 7 * DAY }, 1);
  expect(today).toEqual({ at: 7 * DAY, counts: { ...NOTHING, acquired: 20 } });
});

test("a row that is removed counts no more", async () => {
  await using world = await temporaryMetadata();
  const metadata = countedMetadata(world.metadata, { quota: NO_QUOTA });
  const one = { name: 1, state: "trusted", statement: false, isGone: false } as const;
  await make(metadata, one, 7);
  await make(metadata, { ...one, isGone: true }, 7);
  expect((await stateHistory({ metadata, clock: () => 7 * DAY }, 1))[0]?.counts).toEqual(NOTHING);
});

test("what an earlier version kept is counted once, and was there on every day that is shown", async () => {
  await using world = await temporaryMetadata();
  const one = { name: 1, state: "trusted", statement: false, isGone: false } as const;
  await make(world.metadata, one, 1);
  await countStatesOnce(world);
  const metadata = countedMetadata(world.metadata, { quota: NO_QUOTA });
  await make(metadata, { ...one, state: "revoked" }, 9);
  await countStatesOnce({ metadata });
  const history = await stateHistory({ metadata, clock: () => 9 * DAY }, 3);
  expect(history.map(({ counts }) => [counts.trusted, counts.revoked])).toEqual([
    [1, 0],
    [1, 0],
    [0, 1],
  ]);
  expect(await metadata.get(keys.stateTotal())).toBeDefined();
});
