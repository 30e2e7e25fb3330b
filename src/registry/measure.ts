import type { Meter } from "../metrics/metric-set.ts";
import { keys } from "../storage/keys.ts";
import { verificationRecord } from "../storage/records.ts";
import { countStates } from "./count-states.ts";
import type { Services } from "./ports.ts";
import { countDamaged } from "./verify-damage.ts";

/** Sets the gauges that tell of what is kept, as it is now. Each look is bounded, however much there is. */
export async function measure(services: Pick<Services, "metadata" | "blobs">, meter: Meter): Promise<void> {
  const { counts } = await countStates(services);
  for (const [state, count] of Object.entries(counts)) meter.set("registry_artifacts", { state }, count);
  meter.set("registry_damaged_blobs", {}, (await countDamaged(services)).count);
  meter.set("oci_storage_bytes", { kind: "room" }, await services.blobs.room());
  const found = await services.metadata.get(keys.job("verify-all"));
  const last = found && verificationRecord.parse(found.value).last;
  if (last) meter.set("registry_last_integrity_check_timestamp_seconds", {}, last.endedAt / 1000);
}
