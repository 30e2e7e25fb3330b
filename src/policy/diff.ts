import { z } from "zod";
import { digestSchema } from "../oci/digest.ts";
import { trustNameSchema } from "../trust/authority.ts";
import { changedAuthorities } from "./authority-diff.ts";
import { type PolicyChange, added, changed, changedList, effectOfAll, policyChangeSchema, removed } from "./change.ts";
import type { TrustPolicy } from "./document.ts";
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
    ...changedTrustRoots(before.trustRoots, after.trustRoots),
    ...changedAuthorities(before, after),
    ...changedRequirements(before.require, after.require),
  ];
}

type TrustRootNames = TrustPolicy["spec"]["trustRoots"];

/** By itself a trust root does nothing: which authorities rest on it is told of them. */
function changedTrustRoots(before: TrustRootNames, after: TrustRootNames): readonly PolicyChange[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].toSorted().flatMap((name) => {
    const place = { path: `spec.trustRoots.${name}`, words: `trust root ${name}` };
    const [was, is] = [before[name], after[name]];
    if (was === undefined) return is === undefined ? [] : [added(place, "it", is, "none")];
    return is === undefined ? [removed(place, "it", was, "none")] : changed(place, "it", [was, is], "unknown");
  });
}
