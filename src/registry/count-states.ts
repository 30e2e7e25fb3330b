import { STATES, type State } from "../lifecycle/state.ts";
import { keys, under } from "../storage/keys.ts";
import type { Services } from "./ports.ts";

/** How far each state is counted: a look at the health of a large registry must not read all of it. */
const MAX_COUNT = 1000;

export interface StateCounts {
  readonly counts: Readonly<Record<State, number>>;
  /** False when a state has at least as many artifacts as are counted. */
  readonly complete: boolean;
}

/** How many artifacts are in each state, up to a bound. */
export async function countStates({ metadata }: Pick<Services, "metadata">): Promise<StateCounts> {
  const counts = { acquired: 0, quarantined: 0, trusted: 0, revoked: 0, deleted: 0 };
  for (const state of STATES) counts[state] = (await metadata.list(under(keys.artifactsIn(state), MAX_COUNT))).length;
  return { counts, complete: Object.values(counts).every((found) => found < MAX_COUNT) };
}
