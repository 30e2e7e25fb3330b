import { z } from "zod";
import { DEFAULT_RATES, type Limited, type Rate, type Rates } from "./limits/classes.ts";

const RATE = "must be <units a second>/<units at once>, such as 100/1000: whole numbers from 1 to 1000000";

/** At least one a second, so that who is turned away is told a second or so and not a minute, which some clients do not wait for. */
const rate = z
  .string({ error: RATE })
  .regex(/^[1-9]\d{0,6}\/[1-9]\d{0,6}$/, RATE)
  .transform((text): Rate => {
    const [perSecond = 0, burst = 0] = text.split("/").map(Number);
    return { perSecond, burst };
  })
  .refine(({ perSecond, burst }) => perSecond <= 1_000_000 && burst <= 1_000_000, RATE);

function rateOf(limited: Limited, meaning: string) {
  const { perSecond, burst } = DEFAULT_RATES[limited];
  return rate.prefault(`${perSecond}/${burst}`).describe(`${meaning}: units a second / at once`);
}

/** The settings of limits, as keys of the file. */
export const limitSettings = {
  registry_limit_unauthenticated: rateOf("unauthenticated", "requests without a credential, by address"),
  registry_limit_auth_fail: rateOf("auth-fail", "requests with a credential that is refused, by address"),
  registry_limit_token: rateOf("token", "requests for tokens, by address"),
  registry_limit_read_meta: rateOf(
    "read-meta",
    "reads but those below, by identity and credential; by address four times as many, here and below",
  ),
  registry_limit_read_blob: rateOf("read-blob", "reads of blobs"),
  registry_limit_upload_start: rateOf("upload-start", "uploads that are begun"),
  registry_limit_mutate: rateOf("mutate", "other changes"),
  registry_limit_search: rateOf("search", "lists over repositories: the catalog, artifacts, models"),
  registry_limit_export: rateOf("export", "reads of the audit log"),
};
type LimitSettings = z.infer<z.ZodObject<typeof limitSettings>>;

/** The rates that were chosen. */
export function ratesOf(chosen: LimitSettings): Rates {
  return {
    unauthenticated: chosen.registry_limit_unauthenticated,
    "auth-fail": chosen.registry_limit_auth_fail,
    token: chosen.registry_limit_token,
    "read-meta": chosen.registry_limit_read_meta,
    "read-blob": chosen.registry_limit_read_blob,
    "upload-start": chosen.registry_limit_upload_start,
    mutate: chosen.registry_limit_mutate,
    search: chosen.registry_limit_search,
    export: chosen.registry_limit_export,
  };
}
