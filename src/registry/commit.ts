import { setTimeout as sleep } from "node:timers/promises";
import { RegistryError } from "../oci/errors.ts";
import type { Change } from "../storage/metadata-store.ts";
import type { Services } from "./ports.ts";

/** A decision: what to answer, and the change that makes it true (none when nothing has to change). */
export interface Decided<T> {
  readonly change?: Change;
  readonly result: T;
}

/** Thrown by a decision that finds that what it rests on has changed while it was loaded: it is taken again. */
export class ChangedMeanwhileError extends Error {
  override readonly name = "ChangedMeanwhileError";
}

const MAX_TRIES = 64;
/** From this try on whoever lost waits a moment of chance (ms), so that a slow decision is not overtaken by quick ones for ever. */
const PATIENT_AFTER = 4;
const MAX_PAUSE = 50;

/** Loads, decides and commits; when somebody else changed what the decision rests on, loads and decides again, a bounded number of times. */
export async function decideAndCommit<T>({ metadata }: Pick<Services, "metadata">, decide: () => Promise<Decided<T>>): Promise<T> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const decided = await decide().catch(noneWhenChanged);
    if (decided !== undefined) {
      const { change, result } = decided;
      if (change === undefined || (await metadata.commit(change)) === "committed") return result;
    }
    if (tries >= PATIENT_AFTER) await sleep(Math.random() * Math.min(tries, MAX_PAUSE));
  }
  throw new RegistryError("UNAVAILABLE", "too many others change the same record; try again", { headers: { "Retry-After": "1" } });
}

function noneWhenChanged(error: unknown): undefined {
  if (!(error instanceof ChangedMeanwhileError)) throw error;
}
