import { repositoryNameSchema } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import { refusalRecord } from "../storage/policy-records.ts";
import { listArtifacts } from "./list-artifacts.ts";
import type { Caller, Services } from "./ports.ts";
import { findManifest } from "./serving.ts";
import type { ShownArtifact } from "./show-artifact.ts";

type Needs = Pick<Services, "metadata" | "clock">;

/** What waits for a decision. */
export interface WaitingArtifact {
  readonly artifact: ShownArtifact;
  /** When a promotion was refused last, in this generation; epoch milliseconds. */
  readonly refusedAt: number | undefined;
}

/** What waits and the caller may see, as far as it was looked at. */
export interface Waiting {
  /** The longest waiting first. */
  readonly artifacts: readonly WaitingArtifact[];
  /** False when there is more than was looked at. */
  readonly isComplete: boolean;
}

/** Of each state that waits so many are looked at: there is no order of rows by their age. */
const MAX_LOOKED_AT = 200;

/** The artifacts that wait for somebody to decide about them. What is attached to another one waits with that one. */
export async function waitingArtifacts(needs: Needs, caller: Caller): Promise<Waiting> {
  const waiting: WaitingArtifact[] = [];
  let isComplete = true;
  for (const state of ["acquired", "quarantined"] as const) {
    const query = { repository: undefined, state, cursor: undefined, limit: MAX_LOOKED_AT };
    const { artifacts, next } = await listArtifacts(needs, caller, query);
    isComplete &&= next === null;
    const own = artifacts.filter(({ subject }) => subject === null);
    waiting.push(...(await Promise.all(own.map((artifact) => withRefusal(needs, artifact)))));
  }
  const oldestFirst = waiting.toSorted((one, other) => (one.artifact.changed_at < other.artifact.changed_at ? -1 : 1));
  return { artifacts: oldestFirst, isComplete };
}

async function withRefusal({ metadata }: Needs, artifact: ShownArtifact): Promise<WaitingArtifact> {
  const repository = repositoryNameSchema.parse(artifact.repository);
  const found = await findManifest({ metadata }, repository, artifact.digest);
  const entry = found && (await metadata.get(keys.refusal(repository, found.record.digest)));
  const refusal = entry && refusalRecord.parse(entry.value);
  return { artifact, refusedAt: refusal?.generation === artifact.generation ? refusal.at : undefined };
}
