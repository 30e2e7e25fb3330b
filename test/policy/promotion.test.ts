import { expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { type Decision, type PromotionFacts, decidePromotion } from "../../src/policy/promotion.ts";
import { NO_SCAN_EVIDENCE } from "../../src/policy/scan-evidence.ts";

const FINE: PromotionFacts = {
  artifact: digestOf("artifact"),
  state: "acquired",
  revocation: null,
  incomplete: [],
  damaged: [],
  revokedChildren: [],
  quarantinedChildren: [],
  nameClashes: [],
  sharesRevoked: [],
  uncoverable: [],
  notConsidered: 0,
  covers: [],
  manifests: 1,
  blobs: 2,
  sizeBytes: 10,
  tags: { moves: [], stays: [] },
  scan: NO_SCAN_EVIDENCE,
};
const SCANNED = {
  scan_results: { modelscan: "pass" },
  scanner_versions: { modelscan: "0.8.5" },
  policy_version: "2026-03",
  source_revision: "",
};
const fault = { digest: digestOf("layer"), problem: "is not here" };
const decide = (facts: Partial<PromotionFacts> = {}): Decision => decidePromotion({ ...FINE, ...facts }, "closure");
const decideByEvidence = (facts: Partial<PromotionFacts>): Decision => decidePromotion({ ...FINE, ...facts }, "predecessor-evidence");
const failing = (facts: Partial<PromotionFacts>): string[] =>
  decide(facts)
    .checks.filter(({ status }) => status === "fail")
    .map(({ id }) => id);

test("decidePromotion() allows an artifact whose closure is complete and intact, and says under which policy", () => {
  expect(decide()).toMatchObject({ allowed: true, policy: "built-in/closure@1", artifact: FINE.artifact });
});

test.each([
  ["closure-complete", { incomplete: [fault] }],
  ["closure-intact", { damaged: [fault.digest] }],
  ["closure-not-revoked", { revokedChildren: [fault.digest] }],
  ["closure-not-quarantined", { quarantinedChildren: [fault.digest] }],
  ["file-names", { nameClashes: [fault] }],
  ["covers", { uncoverable: [fault] }],
  ["not-permanently-revoked", { revocation: { permanent: true } }],
  ["shares-revoked-content", { sharesRevoked: [{ ...fault, severe: true }] }],
] as const)("decidePromotion() refuses by %s", (id, facts) => {
  expect(failing(facts)).toEqual([id]);
  expect(decide(facts).allowed).toBe(false);
});

test("decidePromotion() only warns of a layer shared with an ordinarily revoked artifact, and of a revocation that may be lifted", () => {
  const decision = decide({ sharesRevoked: [{ ...fault, severe: false }], revocation: { permanent: false } });
  expect(decision.allowed).toBe(true);
  expect(decision.checks.filter(({ status }) => status === "warn").map(({ id }) => id)).toEqual([
    "not-permanently-revoked",
    "shares-revoked-content",
  ]);
});

test("decidePromotion() shows every failing check at once", () => {
  expect(failing({ incomplete: [fault], damaged: [fault.digest], nameClashes: [fault] })).toEqual([
    "closure-complete",
    "closure-intact",
    "file-names",
  ]);
});

test("decidePromotion() gives the same digest for the same facts and another one when any of them changes", () => {
  const digest = decide().digest;
  expect(decide({ ...FINE }).digest).toBe(digest);
  expect(decide({ covers: [fault.digest] }).digest).not.toBe(digest);
  expect(decide({ tags: { moves: ["v1"], stays: [] } }).digest).not.toBe(digest);
  expect(decide({ incomplete: [fault] }).digest).not.toBe(digest);
});

test("decidePromotion() records what was said of scans whichever policy decides, and its digest changes with any word of it", () => {
  const decision = decide({ scan: SCANNED });
  expect(decision).toMatchObject({ allowed: true, scan: SCANNED });
  const others = [
    NO_SCAN_EVIDENCE,
    { ...SCANNED, scan_results: { modelscan: "fail" } },
    { ...SCANNED, scanner_versions: { modelscan: "0.8.6" } },
    { ...SCANNED, policy_version: "2026-04" },
    { ...SCANNED, source_revision: "main" },
  ];
  for (const scan of others) expect(decide({ scan }).digest).not.toBe(decision.digest);
});

test("decidePromotion() demands scan evidence under the policy predecessor-evidence, on top of a complete closure", () => {
  const missing = decideByEvidence({});
  expect(missing).toMatchObject({ allowed: false, policy: "built-in/predecessor-evidence@1", scan: NO_SCAN_EVIDENCE });
  const passed = decideByEvidence({ scan: SCANNED });
  expect(passed).toMatchObject({ allowed: true, policy: "built-in/predecessor-evidence@1", scan: SCANNED });
  expect(decideByEvidence({ scan: SCANNED, incomplete: [fault] }).allowed).toBe(false);
  expect(passed.checks.map(({ id }) => id)).toEqual([
    ...decide().checks.map(({ id }) => id),
    "policy-version",
    "scan-results",
    "same-scanners",
    "scan-results-pass",
    "scanner-versions",
  ]);
});

test("decidePromotion() gives another digest under another policy, also where both allow", () => {
  expect(decideByEvidence({ scan: SCANNED }).digest).not.toBe(decide({ scan: SCANNED }).digest);
});
