import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { type Check, type Fault, faultCheck, listedFaults } from "./check.ts";
import { type ScanEvidence, scanChecks } from "./scan-evidence.ts";
import { NOTHING_WRITTEN, type Written, enforcedName, policyChecks } from "./written.ts";

/** The built-in policies, of which the operator chooses one: what each is called in decisions, and what it asks for. */
const BUILT_IN = {
  closure: { name: "built-in/closure@1", checks: closureChecks },
  "predecessor-evidence": {
    name: "built-in/predecessor-evidence@1",
    checks: (facts: PromotionFacts) => [...closureChecks(facts), ...scanChecks(facts.scan)],
  },
} as const;

/** A built-in policy by its name in the settings. `closure` asks for a complete, intact closure and nothing else. */
type BuiltInPolicy = keyof typeof BUILT_IN;

/**
 * What decides promotions: a built-in policy, or a file by which the operator has decided already, told by its digest (RULES 25 and 26).
 * Such a file asks for a complete, intact closure and nothing else.
 */
export type PromotionPolicy = BuiltInPolicy | `boot-lock@${Digest}` | `predecessor-manifest@${Digest}`;

/** The check that looks at other artifacts. */
export const SHARES_REVOKED = "shares-revoked-content";

/** What the checks look at, loaded beforehand. */
export interface PromotionFacts {
  readonly artifact: Digest;
  readonly state: string;
  readonly revocation: { readonly permanent: boolean } | null;
  /** What is wrong with the closure (RULES 2): each a digest and what ails it. */
  readonly incomplete: readonly Fault[];
  readonly damaged: readonly Digest[];
  readonly revokedChildren: readonly Digest[];
  /** Held back by somebody: what a trusted root reaches is never quarantined (RULES 5). */
  readonly quarantinedChildren: readonly Digest[];
  /** The name that two different layers of one manifest share (RULES 23). */
  readonly nameClashes: readonly Fault[];
  /** Layers over 64 KiB that a revoked manifest names too (RULES 13). */
  readonly sharesRevoked: readonly (Fault & { readonly severe: boolean })[];
  /** Why something in `covers` cannot be covered. */
  readonly uncoverable: readonly Fault[];
  /** Evidence that was left out of the default covers by their bound. */
  readonly notConsidered: number;
  readonly covers: readonly Digest[];
  readonly manifests: number;
  readonly blobs: number;
  readonly sizeBytes: number;
  readonly tags: TagPlan;
  /** Recorded whichever policy decides. */
  readonly scan: ScanEvidence;
}

/** What would become of the tags of the artifact (RULES 8). */
export interface TagPlan {
  readonly moves: readonly string[];
  /** Tags of the artifact that are promoted elsewhere and were not named. */
  readonly stays: readonly string[];
}

/** A promotion decision; `digest` is over everything else in it, so that `expected` can hold a promotion to what was shown (RULES 6). */
export interface Decision {
  readonly allowed: boolean;
  readonly policy: string;
  readonly artifact: Digest;
  readonly checks: readonly Check[];
  readonly covers: readonly Digest[];
  readonly not_considered: number;
  readonly tags: TagPlan;
  readonly size_bytes: number;
  readonly scan: ScanEvidence;
  /** What each written policy that matches the repository says. */
  readonly policies: Written["policies"];
  readonly evidence: Written["evidence"];
  readonly digest: Digest;
}

/**
 * Every check is evaluated, so that a person sees all that is wrong at once. The same facts give the same bytes. Written policies that are
 * enforced take the place of the built-in one, all but what it asks of the closure; those that only warn come besides it.
 */
export function decidePromotion(facts: PromotionFacts, policy: PromotionPolicy, written: Written = NOTHING_WRITTEN): Decision {
  const enforced = enforcedName(written);
  const { name, checks: checksOf } =
    isBuiltIn(policy) && enforced === undefined ? BUILT_IN[policy] : { name: enforced ?? policy, checks: closureChecks };
  const checks = [...checksOf(facts), ...policyChecks(written, facts.scan)];
  const decision = {
    allowed: checks.every(({ status }) => status !== "fail"),
    policy: name,
    artifact: facts.artifact,
    checks,
    covers: facts.covers,
    not_considered: facts.notConsidered,
    tags: facts.tags,
    size_bytes: facts.sizeBytes,
    scan: facts.scan,
    policies: written.policies,
    evidence: written.evidence,
  };
  return { ...decision, digest: digestOf(canonicalJson(decision)) };
}

/** Is it one of those that written policies take the place of? A file by which the operator has decided already is not. */
export function isBuiltIn(policy: PromotionPolicy): policy is BuiltInPolicy {
  return Object.hasOwn(BUILT_IN, policy);
}

function closureChecks(facts: PromotionFacts): readonly Check[] {
  return [
    revocationCheck(facts),
    closureCheck(facts),
    faultCheck(
      "closure-intact",
      "every byte of the closure is intact",
      facts.damaged.map((digest) => ({ digest, problem: "is damaged: push it again" })),
    ),
    faultCheck(
      "closure-not-revoked",
      "nothing in the closure is revoked",
      facts.revokedChildren.map((digest) => ({ digest, problem: "is revoked: leave it out or promote it anew first" })),
    ),
    faultCheck(
      "closure-not-quarantined",
      "nothing else in the closure is quarantined",
      facts.quarantinedChildren.map((digest) => ({ digest, problem: "is quarantined: leave it out or promote it by itself first" })),
    ),
    faultCheck("file-names", "every layer has a file name of its own", facts.nameClashes),
    faultCheck("covers", `covers ${facts.covers.length} referrers`, facts.uncoverable),
    sharesRevokedCheck(facts),
  ];
}

function revocationCheck({ artifact, revocation }: PromotionFacts): Check {
  const id = "not-permanently-revoked";
  if (revocation === null) return { id, status: "pass", message: "no revocation is in force", inputs: [artifact] };
  if (revocation.permanent) return { id, status: "fail", message: "it was revoked permanently", inputs: [artifact] };
  return { id, status: "warn", message: "it was revoked; promoting it needs the permission reinstate besides promote", inputs: [artifact] };
}

function closureCheck({ incomplete, manifests, blobs, sizeBytes }: PromotionFacts): Check {
  return faultCheck("closure-complete", `${manifests} manifests and ${blobs} blobs, ${sizeBytes} bytes, are all here`, incomplete);
}

function sharesRevokedCheck({ sharesRevoked }: PromotionFacts): Check {
  const id = SHARES_REVOKED;
  if (sharesRevoked.length === 0) return { id, status: "pass", message: "shares no large layer with a revoked artifact", inputs: [] };
  const status = sharesRevoked.some(({ severe }) => severe) ? "fail" : "warn";
  return { id, status, message: listedFaults(sharesRevoked), inputs: sharesRevoked.map(({ digest }) => digest) };
}
