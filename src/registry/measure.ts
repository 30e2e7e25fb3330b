import type { Meter } from "../metrics/metric-set.ts";
import { keys, under } from "../storage/keys.ts";
import { stockRecord, verificationRecord } from "../storage/records.ts";
import { countStates } from "./count-states.ts";
import type { Services } from "./ports.ts";
import { countDamaged } from "./verify-damage.ts";

/** The job that looks for them through what takes long to look through. */
export const TAKE_STOCK = "take-stock";
/** How far uploads and repositories are counted. */
const MAX_COUNT = 1000;

type Needs = Pick<Services, "metadata" | "blobs" | "clock">;

/** Sets the gauges that tell of what is kept, as it is now. Each look is bounded, however much there is. */
export async function measure(services: Needs, meter: Meter): Promise<void> {
  for (const [state, count] of Object.entries(await countStates(services))) meter.set("registry_artifacts", { state }, count);
  meter.set("registry_damaged_blobs", {}, (await countDamaged(services)).count);
  meter.set("oci_storage_bytes", { kind: "room" }, await services.blobs.room());
  const found = await services.metadata.get(keys.job("verify-all"));
  const last = found && verificationRecord.parse(found.value).last;
  if (last) meter.set("registry_last_integrity_check_timestamp_seconds", {}, last.endedAt / 1000);
  meter.set("oci_repositories", {}, (await services.metadata.list(under(keys.repositories(), MAX_COUNT))).length);
  meter.set("oci_upload_sessions", {}, await countUploads(services));
  await measureStock(services, meter);
}

async function countUploads({ blobs }: Needs): Promise<number> {
  let count = 0;
  for await (const _ of blobs.listStaged()) {
    count += 1;
    if (count === MAX_COUNT) break;
  }
  return count;
}

async function measureStock({ metadata, clock }: Needs, meter: Meter): Promise<void> {
  const found = await metadata.get(keys.job(TAKE_STOCK));
  if (found === undefined) return;
  const { oldestWaiting, expiring } = stockRecord.parse(found.value);
  meter.set("registry_review_queue_age_seconds", {}, oldestWaiting === null ? 0 : (clock() - oldestWaiting) / 1000);
  for (const [window, count] of Object.entries(expiring)) meter.set("registry_credentials_expiring", { kind: "api-key", window }, count);
}
