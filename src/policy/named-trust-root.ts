import { z } from "zod";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { trustNameSchema } from "../trust/authority.ts";
import type { Check } from "./check.ts";

const updatedSchema = z.strictObject({
  name: trustNameSchema.describe("under which `securectl trust update` keeps it"),
  rootDigest: digestSchema.describe("of the root metadata that the first update began with"),
  maxAgeHours: z.int().min(1).max(87_600).describe("how long an update counts"),
  stale: z.enum(["refuse", "warn"]).default("refuse").describe("what becomes of evidence that needs it when it is older"),
});
/** A trust root that is updated by TUF. */
export type UpdatedTrustRoot = z.infer<typeof updatedSchema>;

/** How a policy names a trust root: one by its digest, for ever, or whichever the last update by TUF brought (trust.md §2.4). */
export const namedTrustRootSchema = z.union([
  z.strictObject({ name: trustNameSchema, digest: digestSchema }),
  z.strictObject({ tuf: updatedSchema }),
]);
/** How a policy names a trust root. */
export type NamedTrustRoot = z.infer<typeof namedTrustRootSchema>;

/** What an update brought. */
export interface TrustRootUpdate {
  readonly digest: Digest;
  /** When it was fetched, epoch milliseconds. */
  readonly updatedAt: number;
}

/** How a trust root that is updated stood when a policy was held against an artifact; null is what no update ever brought. */
export interface JudgedTrustRoot {
  /** The policy's name of it. */
  readonly as: string;
  readonly root_digest: Digest;
  readonly digest: Digest | null;
  readonly updated_at: string | null;
  /** Until when it is young enough, ISO 8601. */
  readonly holds_until: string | null;
  readonly status: "fresh" | "stale" | "missing";
  /** May evidence rest on it? */
  readonly counts: boolean;
}

const HOUR = 3_600_000;

/** Holds the last update of a trust root against what a policy says of its age, now (epoch, ms). */
export function judgeTrustRoot(as: string, wanted: UpdatedTrustRoot, update: TrustRootUpdate | undefined, now: number): JudgedTrustRoot {
  const judged = { as, root_digest: wanted.rootDigest };
  if (update === undefined) return { ...judged, digest: null, updated_at: null, holds_until: null, status: "missing", counts: false };
  const until = update.updatedAt + wanted.maxAgeHours * HOUR;
  const isStale = now > until;
  return {
    ...judged,
    digest: update.digest,
    updated_at: new Date(update.updatedAt).toISOString(),
    holds_until: new Date(until).toISOString(),
    status: isStale ? "stale" : "fresh",
    counts: !isStale || wanted.stale === "warn",
  };
}

/** A check for each of them. It fails nothing by itself: what needs a trust root that does not count is refused for that reason. */
export function trustRootChecks(
  policy: { readonly name: string; readonly digest: Digest },
  roots: readonly JudgedTrustRoot[],
): readonly Check[] {
  return roots.map((root) => ({
    id: `policy/${policy.name}/trust-root/${root.as}`,
    status: root.status === "fresh" ? ("pass" as const) : ("warn" as const),
    message: messageOf(root),
    inputs: [policy.digest, root.root_digest, ...(root.digest === null ? [] : [root.digest])],
  }));
}

function messageOf({ status, updated_at: at, holds_until: until, counts }: JudgedTrustRoot): string {
  const remedy = "run `securectl trust update`";
  if (status === "missing") return `no update has brought it: evidence that needs it counts for nothing; ${remedy}`;
  if (status === "fresh") return `updated at ${at ?? ""}, which holds until ${until ?? ""}`;
  const effect = counts ? "it counts nevertheless" : "evidence that needs it counts for nothing";
  return `updated at ${at ?? ""}, which held until ${until ?? ""}: ${effect}; ${remedy}`;
}
