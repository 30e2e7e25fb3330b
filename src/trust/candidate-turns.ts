import type { FoundCandidate } from "./candidate.ts";

/** What was found in one manifest, and who pushed that. */
export interface ReadOf<Found extends FoundCandidate = FoundCandidate> {
  readonly pusher: string;
  readonly candidates: readonly Found[];
}

/**
 * Candidates in the order in which they are looked at: pushers by turns, and of each the first of every manifest before the second of any, so
 * that nobody's many layers take the place of others' evidence where a policy leaves room for few (RULES 7).
 */
export function inTurns<Found extends FoundCandidate>(read: readonly ReadOf<Found>[]): readonly Found[] {
  const queues = [...Map.groupBy(read, ({ pusher }) => pusher).values()].map(queueOf);
  const longest = Math.max(0, ...queues.map(({ length }) => length));
  return Array.from({ length: longest }, (_, turn) => queues.flatMap((queue) => queue.slice(turn, turn + 1))).flat();
}

function queueOf<Found extends FoundCandidate>(read: readonly ReadOf<Found>[]): readonly Found[] {
  const most = Math.max(0, ...read.map(({ candidates }) => candidates.length));
  return Array.from({ length: most }, (_, at) => read.flatMap(({ candidates }) => candidates.slice(at, at + 1))).flat();
}
