import { z } from "zod";
import { STATES, type State, stateSchema } from "../lifecycle/state.ts";
import { keys, under } from "../storage/keys.ts";
import type { Addition, Key, MetadataStore } from "../storage/metadata-store.ts";
import { stateCountRecord } from "../storage/records.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";

/** Milliseconds. */
export const DAY = 86_400_000;
const PAGE = 256;
const [MANIFEST] = keys.manifests();

/** How many artifacts there are, or by how many they grew, of each state. */
export type StateCounts = Readonly<Record<State, number>>;

/** Counts of what has no artifact. */
export const NO_STATES: StateCounts = { acquired: 0, quarantined: 0, trusted: 0, revoked: 0, deleted: 0 };

/** Of a manifest's record, as much as counts; the registry's own statements are no artifacts. */
const countedManifest = z.object({ statement: z.boolean(), state: stateSchema, changedAt: z.number() });
type CountedManifest = z.infer<typeof countedManifest>;

/** How many artifacts are in each state, what is attached to others among them; one row, however many there are. */
export async function countStates({ metadata }: Pick<Services, "metadata">): Promise<StateCounts> {
  return stateCountsIn((await metadata.get(keys.stateTotal()))?.value);
}

/** The counts in a row; those of nothing where there is none. */
export function stateCountsIn(value: unknown): StateCounts {
  if (value === undefined) return NO_STATES;
  const record = stateCountRecord.parse(value);
  return { ...NO_STATES, ...Object.fromEntries(STATES.map((state) => [state, record[state] ?? 0])) };
}

/** Sums up what the manifests of one change do to the number of artifacts in each state, by the day (UTC) that their records give it. */
export class StateGrowth {
  readonly #days = new Map<number, Map<State, number>>();

  /** Takes a row as it was and as it is to be, undefined where there is none; only those of manifests count. */
  add(key: Key, before: unknown, after: unknown): void {
    if (key[0] !== MANIFEST) return;
    const [old, now] = [countedIn(before), countedIn(after)];
    const last = now ?? old;
    if (last === undefined || old?.state === now?.state) return;
    const day = Math.floor(last.changedAt / DAY);
    if (old !== undefined) this.#count(day, old.state, -1);
    if (now !== undefined) this.#count(day, now.state, 1);
  }

  /** To the counts of all time, and of each day. */
  additions(): readonly Addition[] {
    return [...this.#days].flatMap(([day, counts]) => {
      const add = Object.fromEntries(counts);
      return [
        { key: keys.stateTotal(), add, most: {} },
        { key: keys.stateDay(day), add, most: {} },
      ];
    });
  }

  #count(day: number, state: State, change: number): void {
    const counts = this.#days.get(day) ?? new Map<State, number>();
    counts.set(state, (counts.get(state) ?? 0) + change);
    this.#days.set(day, counts);
  }
}

function countedIn(value: unknown): CountedManifest | undefined {
  const counted = value === undefined ? undefined : countedManifest.parse(value);
  return counted?.statement === true ? undefined : counted;
}

/** Counts the artifacts by state, once in the life of a store that an earlier version began. Only while no other process changes anything. */
export async function countStatesOnce({ metadata }: { readonly metadata: MetadataStore }): Promise<void> {
  if ((await metadata.get(keys.stateTotal())) !== undefined) return;
  const counts = { ...NO_STATES };
  for await (const { value } of rowsOf({ metadata }, [under(keys.manifests(), PAGE)])) {
    const counted = countedIn(value);
    if (counted !== undefined) counts[counted.state] += 1;
  }
  await metadata.commit({ expect: [], put: [{ key: keys.stateTotal(), value: { v: 1, ...counts } }], remove: [], audit: [] });
}
