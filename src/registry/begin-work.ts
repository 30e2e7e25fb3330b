import { setTimeout as sleep } from "node:timers/promises";
import type { Limits } from "../limits/limits.ts";
import type { Work } from "../limits/turns.ts";
import { RegistryError } from "../oci/errors.ts";

/** Whoever finds all turns taken waits for so long (ms), looking so often; then it is to come again after so many seconds (identity.md 8.4). */
const LOOKS = 4;
const PAUSE = 250;
const RETRY_AFTER = 2;

/** Looks for a free place for about a second; throws `TOO_MANY_REQUESTS` with the message when there was none. */
export async function whenThereIsRoom(look: () => Promise<boolean>, message: string): Promise<void> {
  for (let looks = 0; looks <= LOOKS; looks += 1) {
    if (await look()) return;
    if (looks < LOOKS) await sleep(PAUSE);
  }
  throw new RegistryError("TOO_MANY_REQUESTS", `${message}; try again in ${RETRY_AFTER} s`, {
    headers: { "Retry-After": String(RETRY_AFTER) },
  });
}

/** Begins work of which there is only so much at a time; whoever begins it says when it is done. */
export async function beginWork(limits: Limits, work: Work): Promise<void> {
  await whenThereIsRoom(async () => limits.begin(work), `there is an ${work} under way already`);
}
