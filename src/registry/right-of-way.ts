import { setTimeout as sleep } from "node:timers/promises";
import { RegistryError } from "../oci/errors.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Expectation } from "../storage/metadata-store.ts";
import { rightOfWayRecord } from "../storage/records.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock">;

/** So often others may be quicker than a revocation before they have to wait for it. */
const PATIENCE = 4;
/** How long (ms) others wait at most for a revocation that took the way and was never heard of again. */
const HOLD = 60_000;

/**
 * Commits what goes before everything else in its repository. Whoever is quicker makes its decision void, and somebody who goes on pushing
 * or deleting there could prevent it for ever: after some tries in vain it takes the way, and all who `giveWay` wait until it is done.
 */
export async function commitFirst<T>(needs: Needs, repository: RepositoryName, decide: () => Promise<Decided<T>>): Promise<T> {
  const key = keys.rightOfWay(repository);
  let tries = 0;
  try {
    return await decideAndCommit(needs, async () => {
      tries += 1;
      if (tries > PATIENCE) await commit(needs, { put: [{ key, value: { v: 1, until: needs.clock() + HOLD } }] });
      return decide();
    });
  } finally {
    if (tries > PATIENCE) await commit(needs, { remove: [key] });
  }
}

/**
 * For every other change of a repository to expect: that no revocation has taken the way there. Throws UNAVAILABLE while one has; one that
 * would hold longer than any was taken by a clock that was wrong, and does not bind.
 */
export async function giveWay({ metadata, clock }: Needs, repository: RepositoryName): Promise<Expectation> {
  const key = keys.rightOfWay(repository);
  const entry = await metadata.get(key);
  const left = entry === undefined ? 0 : rightOfWayRecord.parse(entry.value).until - clock();
  if (left > 0 && left <= HOLD) {
    const message = "a revocation in this repository comes first; try again in a moment";
    throw new RegistryError("UNAVAILABLE", message, { headers: { "Retry-After": "1" } });
  }
  return { key, version: entry?.version ?? "absent" };
}

/** How often (ms) what nobody waits for looks whether the way is free. */
const PAUSE = 50;

/** The same for a job: waits for the revocation instead of failing. */
export async function waitForWay(needs: Needs, repository: RepositoryName): Promise<Expectation> {
  for (let waited = 0; waited < HOLD; waited += PAUSE) {
    const way = await giveWay(needs, repository).catch((error: unknown) => {
      if (!(error instanceof RegistryError)) throw error;
    });
    if (way !== undefined) return way;
    await sleep(PAUSE);
  }
  return giveWay(needs, repository);
}

/** The row is operational: it comes and goes without an audit event. */
async function commit({ metadata }: Needs, change: Pick<Change, "put"> | Pick<Change, "remove">): Promise<void> {
  await metadata.commit({ expect: [], put: [], remove: [], audit: [], ...change });
}
