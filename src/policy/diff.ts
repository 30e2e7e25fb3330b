import { z } from "zod";
import { digestSchema } from "../oci/digest.ts";
import { trustNameSchema } from "../trust/authority.ts";
import { changedAuthorities } from "./authority-diff.ts";
import {
  type Place,
  type PolicyChange,
  added,
  changed,
  changedAmount,
  changedList,
  effectOfAll,
  policyChangeSchema,
  removed,
  within,
} from "./change.ts";
import type { TrustPolicy } from "./document.ts";
import type { NamedTrustRoot, UpdatedTrustRoot } from "./named-trust-root.ts";
import { changedRequirements } from "./requirement-diff.ts";

const side = z.strictObject({
  version: z.int().positive().nullable().describe("null for a document that is no version yet"),
  digest: digestSchema,
});

/** Two versions of a policy and what is different, as `securectl policy diff --json` prints it. */
export const policyDiffSchema = z.strictObject({
  name: trustNameSchema,
  before: side,
  after: side,
  effect: policyChangeSchema.shape.effect.describe("of all changes together"),
  changes: z.array(policyChangeSchema),
});
/** Two versions of a policy and what is different. */
export type PolicyDiff = z.infer<typeof policyDiffSchema>;

/** A version of a policy that is compared. */
export interface Side {
  readonly version: number | null;
  readonly digest: PolicyDiff["before"]["digest"];
  readonly document: TrustPolicy;
}

/** What is different in a policy, and what that does to what it asks for; the order of lists means nothing. */
export function diffPolicies(before: Side, after: Side): PolicyDiff {
  const changes = changesOf(before.document, after.document);
  const [one, other] = [before, after].map(({ version, digest }) => ({ version, digest }));
  return policyDiffSchema.parse({
    name: after.document.metadata.name,
    before: one,
    after: other,
    effect: effectOfAll(changes),
    changes,
  });
}

function changesOf({ spec: before }: TrustPolicy, { spec: after }: TrustPolicy): readonly PolicyChange[] {
  const patterns = { thing: "the repositories", more: "tighter" } as const;
  return [
    ...changedList({ path: "spec.match.repositories", words: "match" }, patterns, [before.match.repositories, after.match.repositories]),
    ...changed(
      { path: "spec.mode", words: "policy" },
      "its mode",
      [before.mode, after.mode],
      after.mode === "enforce" ? "tighter" : "looser",
    ),
    ...changedTrustRoots(before, after),
    ...changedAuthorities(before, after),
    ...changedRequirements(before.require, after.require),
  ];
}

type Spec = TrustPolicy["spec"];

/** One that no authority of use rests on decides nothing. */
function changedTrustRoots(before: Spec, after: Spec): readonly PolicyChange[] {
  const names = new Set([...Object.keys(before.trustRoots), ...Object.keys(after.trustRoots)]);
  const used = new Set([...usedRoots(before), ...usedRoots(after)]);
  return [...names].toSorted().flatMap((name) => {
    const changes = changedTrustRoot(
      { path: `spec.trustRoots.${name}`, words: `trust root ${name}` },
      before.trustRoots[name],
      after.trustRoots[name],
    );
    return used.has(name) ? changes : changes.map((change) => ({ ...change, effect: "none" as const }));
  });
}

function usedRoots({ authorities, require }: Spec): readonly (string | undefined)[] {
  const named = new Set(require.flatMap(({ anyOf }) => anyOf));
  return authorities.filter(({ name }) => named.has(name)).map(({ trustRoot }) => trustRoot);
}

/** Which authority rests on one that is new or gone is told of the authority. */
function changedTrustRoot(place: Place, before: NamedTrustRoot | undefined, after: NamedTrustRoot | undefined): readonly PolicyChange[] {
  if (before === undefined) return after === undefined ? [] : [added(place, "it", after, "none")];
  if (after === undefined) return [removed(place, "it", before, "none")];
  if (!("tuf" in before && "tuf" in after && isSameRepository(before.tuf, after.tuf)))
    return changed(place, "it", [before, after], "unknown");
  const [was, is] = [before.tuf, after.tuf];
  return [
    ...changedAmount(within(place, "tuf.maxAgeHours"), "the hours for which an update counts", [was.maxAgeHours, is.maxAgeHours], "looser"),
    ...changed(
      within(place, "tuf.stale"),
      "what becomes of it when it is too old",
      [was.stale, is.stale],
      is.stale === "warn" ? "looser" : "tighter",
    ),
  ];
}

function isSameRepository(before: UpdatedTrustRoot, after: UpdatedTrustRoot): boolean {
  return before.name === after.name && before.rootDigest === after.rootDigest;
}
