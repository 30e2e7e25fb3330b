import { z } from "zod";
import { STATES, type State, stateSchema } from "../lifecycle/state.ts";
import { keys, under } from "../storage/keys.ts";
import type { Addition, Key, MetadataStore } from "../storage/metadata-store.ts";
import { stateCountRecord } from "../storage/records.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";

/** Milliseconds. */
const DAY = 86_400_000;
const PAGE = 256;
const [MANIFEST] = keys.manifests();

type Counts = Readonly<Record<State, number>>;

/** Of a manifest's record, as much as counts; the registry's own statements are no artifacts. */
const countedManifest = z.object({ statement: z.boolean(), state: stateSchema, changedAt: z.number() });
type CountedManifest = z.infer<typeof countedManifest>;

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

/** How many artifacts were in each state at the end of a day. */
export interface StatesOfDay {
  /** The day's first moment, in epoch milliseconds. */
  readonly at: number;
  readonly counts: Counts;
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
  const changes = new Map<number, Counts>();
  // What a clock that went wrong wrote for later days counts for today.
  for (const { key, value } of await metadata.list(under(keys.stateDays(), 2 * days, [first - 1]))) {
    const day = Math.min(today, Number(key[1]));
    changes.set(day, sumOf(changes.get(day) ?? NONE, countsIn(value), 1));
  }
  let counts = countsIn((await metadata.get(keys.stateTotal()))?.value);
  const history: StatesOfDay[] = [];
  for (let day = today; day >= first; day -= 1) {
    history.push({ at: day * DAY, counts });
    counts = sumOf(counts, changes.get(day) ?? NONE, -1);
  }
  return history.toReversed();
}

const NONE: Counts = { acquired: 0, quarantined: 0, trusted: 0, revoked: 0, deleted: 0 };

function countsIn(value: unknown): Counts {
  return { ...NONE, ...(value === undefined ? {} : countsOf(stateCountRecord.parse(value))) };
}

function countsOf(record: z.infer<typeof stateCountRecord>): Counts {
  return { ...NONE, ...Object.fromEntries(STATES.map((state) => [state, record[state] ?? 0])) };
}

function sumOf(one: Counts, other: Counts, sign: 1 | -1): Counts {
  return { ...one, ...Object.fromEntries(STATES.map((state) => [state, one[state] + sign * other[state]])) };
}

/** Counts the artifacts by state, once in the life of a store that an earlier version began. Only while no other process changes anything. */
export async function countStatesOnce({ metadata }: { readonly metadata: MetadataStore }): Promise<void> {
  if ((await metadata.get(keys.stateTotal())) !== undefined) return;
  const counts = { ...NONE };
  for await (const { value } of rowsOf({ metadata }, [under(keys.manifests(), PAGE)])) {
    const counted = countedIn(value);
    if (counted !== undefined) counts[counted.state] += 1;
  }
  await metadata.commit({ expect: [], put: [{ key: keys.stateTotal(), value: { v: 1, ...counts } }], remove: [], audit: [] });
}
