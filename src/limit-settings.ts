import { isIP } from "node:net";
import { z } from "zod";
import { DEFAULT_RATES, type Limited, NAMESPACE_FACTOR, type Rate } from "./limits/classes.ts";
import { type Bounds, DEFAULT_BOUNDS } from "./limits/keeper.ts";
import { computed, count } from "./setting-types.ts";

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

function quotaOf(fallback: number, meaning: string) {
  return count(0, 1_000_000_000_000_000)
    .transform((number) => (number === 0 ? null : number))
    .prefault(fallback)
    .describe(`${meaning}; 0: any number`);
}

/** A range of addresses. */
export interface AddressRange {
  readonly address: string;
  /** How many of its first bits all of them share. */
  readonly prefix: number;
}

const RANGES = "must be addresses or ranges of them, such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, at most 64, separated by commas";

/** Whoever is in one of these speaks for others: a range of all addresses would let everybody say who it is. */
const ranges = z
  .union([z.array(z.string().max(64)), z.string().max(4096)], { error: RANGES })
  .transform((given) => (typeof given === "string" ? given.split(",") : given).map((text) => text.trim()).filter((text) => text !== ""))
  .refine((texts) => texts.length <= 64 && texts.every((text) => rangeIn(text) !== undefined), RANGES)
  .transform((texts) => texts.map(rangeIn).filter((range) => range !== undefined));

function rangeIn(text: string): AddressRange | undefined {
  const [, address = "", bits] = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const most = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0;
  const prefix = bits === undefined ? most : Number(bits);
  return prefix >= 1 && prefix <= most ? { address, prefix } : undefined;
}

/** The settings of limits, as keys of the file. */
export const limitSettings = {
  registry_max_connections: count(1, 1_000_000)
    .prefault(DEFAULT_BOUNDS.connections.inAll)
    .describe("open connections, all workers together"),
  registry_max_connections_per_address: count(1, 1_000_000)
    .optional()
    .register(computed, { fallback: "a quarter of REGISTRY_MAX_CONNECTIONS" })
    .describe("the same of one address (IPv6: of a /64); through a trusted proxy, requests under way at a time"),
  registry_trusted_proxies: ranges
    .optional()
    .describe("proxies whose X-Forwarded-For tells who asks, by address or range (CIDR), separated by commas"),
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
  registry_limit_namespace_factor: count(1, 100_000)
    .prefault(NAMESPACE_FACTOR)
    .describe("all who use a namespace have together so many times the rates of one identity there"),
  registry_max_uploads_per_identity: count(1, 100_000)
    .prefault(DEFAULT_BOUNDS.uploads.perIdentity)
    .describe("uploads of one identity whose bytes arrive at a time; while there are so many it begins none"),
  registry_max_uploads: count(1, 100_000).prefault(DEFAULT_BOUNDS.uploads.inAll).describe("the same of all identities together"),
  registry_quota_bytes: quotaOf(0, "bytes that a namespace may hold which has no quota of its own"),
  registry_quota_artifacts: quotaOf(0, "artifacts, likewise"),
  registry_quota_manifests: quotaOf(0, "manifests, likewise: artifacts and what is attached to them"),
  registry_quota_tags: quotaOf(0, "tags, likewise"),
  registry_quota_uploads: quotaOf(256, "uploads that may be open at a time, likewise"),
};
type LimitSettings = z.infer<z.ZodObject<typeof limitSettings>>;

/** The limits that were chosen. */
export function boundsOf(chosen: LimitSettings): Bounds {
  const rates = {
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
  const { registry_max_connections: inAll, registry_max_connections_per_address: perAddress = Math.ceil(inAll / 4) } = chosen;
  const uploads = { perIdentity: chosen.registry_max_uploads_per_identity, inAll: chosen.registry_max_uploads };
  return { rates, namespaceFactor: chosen.registry_limit_namespace_factor, uploads, connections: { perAddress, inAll } };
}

/** The quota of a namespace that has none of its own; null: any number. */
export function defaultQuotaOf(
  chosen: LimitSettings,
): Readonly<Record<"bytes" | "artifacts" | "manifests" | "tags" | "uploads", number | null>> {
  return {
    bytes: chosen.registry_quota_bytes,
    artifacts: chosen.registry_quota_artifacts,
    manifests: chosen.registry_quota_manifests,
    tags: chosen.registry_quota_tags,
    uploads: chosen.registry_quota_uploads,
  };
}
