import { STATES } from "../lifecycle/state.ts";
import { keys, under } from "../storage/keys.ts";
import { DAY, NO_STATES, type StateCounts, countStates, stateCountsIn } from "./count-states.ts";
import type { Services } from "./ports.ts";

/** How many artifacts were in each state at the end of a day. */
export interface StatesOfDay {
  /** The day's first moment, in epoch milliseconds. */
  readonly at: number;
  readonly counts: StateCounts;
}

/**
 * The states over the last days, oldest first: of the counts now each day's changes are taken back, so that it takes one row a day, however
 * many artifacts there are.
 */
export async function stateHistory(
  { metadata, clock }: Pick<Services, "metadata" | "clock">,
  days: number,
): Promise<readonly StatesOfDay[]> {
  const today = Math.floor(clock() / DAY);
  const first = today - days + 1;
  const changes = new Map<number, StateCounts>();
  // What a clock that went wrong wrote for later days counts for today.
  for (const { key, value } of await metadata.list(under(keys.stateDays(), 2 * days, [first - 1]))) {
    const day = Math.min(today, Number(key[1]));
    changes.set(day, sumOf(changes.get(day) ?? NO_STATES, stateCountsIn(value), 1));
  }
  let counts = await countStates({ metadata });
  const history: StatesOfDay[] = [];
  for (let day = today; day >= first; day -= 1) {
    history.push({ at: day * DAY, counts });
    counts = sumOf(counts, changes.get(day) ?? NO_STATES, -1);
  }
  return history.toReversed();
}

function sumOf(one: StateCounts, other: StateCounts, sign: 1 | -1): StateCounts {
  return { ...one, ...Object.fromEntries(STATES.map((state) => [state, one[state] + sign * other[state]])) };
}
