import { blindModelProbes, forbiddenModelProbes, modelProbes, registeredProbes } from "./gate-model-probes.ts";
import {
  EVERY_CONTENT,
  type Probe,
  type Subject,
  blindProbes,
  blobProbes,
  forbiddenProbes,
  manifestProbes,
  pageProbes,
  recordProbes,
  statementProbes,
  subjectOf,
} from "./gate-probes.ts";
import type { GateWorld, Registered } from "./gate-world.ts";
import { DEFINITIONS, WHATS } from "./lifecycle-acts.ts";
import type { Actor } from "./reference-model.ts";

/** All of them that somebody can ask in a repository without changing anything. */
export async function everyProbe(world: GateWorld, place: string, { pullAny, quarantine }: Actor): Promise<Probe[]> {
  const registered = world.registered.get(place);
  const subjects = [...WHATS.map(subjectOf), ...(registered === undefined ? [] : [asSubject(registered)])];
  const statements = await Promise.all(subjects.map((subject) => statementProbes(world, place, subject)));
  const isPowerless = !pullAny && !quarantine;
  return [
    ...subjects.flatMap((subject) => [...manifestProbes(place, subject), ...recordProbes(place, subject), ...pageProbes(place, subject)]),
    ...statements.flat(),
    ...[...EVERY_CONTENT, ...(registered?.contents ?? [])].flatMap((content) => blobProbes(place, content)),
    ...WHATS.flatMap((label) => modelProbes(place, label)),
    ...(registered === undefined ? [] : registeredProbes(place, registered)),
    ...(isPowerless ? WHATS.flatMap((label) => [...forbiddenProbes(place, label), ...blindProbes(place, label)]) : []),
    ...(isPowerless ? WHATS.flatMap((label) => forbiddenModelProbes(place, DEFINITIONS[label])) : []),
    ...(isPowerless && registered !== undefined
      ? [...forbiddenModelProbes(place, registered.definition, registered), ...blindModelProbes(registered)]
      : []),
  ];
}

function asSubject({ name, definition }: Registered): Subject {
  return { about: name, definition, tag: "latest" };
}
