import { keys } from "../storage/keys.ts";
import { credentialUseRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock" | "log">;

/** A use is written at most this often, in milliseconds: it is for people and for idle limits of days. */
const WRITE_INTERVAL = 5 * 60_000;

/** Notes that a credential was used, at most once in so many milliseconds. A failure is logged and not the caller's: its request goes on. */
export async function noteUse(
  { metadata, clock, log }: Needs,
  credential: string,
  address: string,
  interval = WRITE_INTERVAL,
): Promise<void> {
  const key = keys.credentialUse(credential);
  const [entry, now] = [await metadata.get(key), clock()];
  if (entry !== undefined && credentialUseRecord.parse(entry.value).at + interval > now) return;
  try {
    await metadata.commit({ expect: [], put: [{ key, value: { v: 1, at: now, address } }], remove: [], audit: [] });
  } catch (error) {
    log.warn({ err: error, credential }, "the last use of a credential could not be written");
  }
}
