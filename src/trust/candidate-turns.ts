import type { Candidate } from "./candidate.ts";

/** What was read of one manifest, and who pushed that. */
export interface ReadOf {
  readonly pusher: string;
  readonly candidates: readonly Candidate[];
}

/**
 * Candidates in the order in which they are looked at: pushers by turns, and of each the first of every manifest before the second of any, so
 * that nobody's many layers take the place of others' evidence where a policy leaves room for few (RULES 7).
 */
export function inTurns(read: readonly ReadOf[]): readonly Candidate[] {
  const queues = [...Map.groupBy(read, ({ pusher }) => pusher).values()].map(queueOf);
  const longest = Math.max(0, ...queues.map(({ length }) => length));
  return Array.from({ length: longest }, (_, turn) => queues.flatMap((queue) => queue.slice(turn, turn + 1))).flat();
}

function queueOf(read: readonly ReadOf[]): readonly Candidate[] {
  const most = Math.max(0, ...read.map(({ candidates }) => candidates.length));
  return Array.from({ length: most }, (_, at) => read.flatMap(({ candidates }) => candidates.slice(at, at + 1))).flat();
}
