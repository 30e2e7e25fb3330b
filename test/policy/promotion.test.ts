import { expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { type PromotionFacts, decidePromotion } from "../../src/policy/promotion.ts";

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
};
const fault = { digest: digestOf("layer"), problem: "is not here" };
const failing = (facts: Partial<PromotionFacts>): string[] =>
  decidePromotion({ ...FINE, ...facts })
    .checks.filter(({ status }) => status === "fail")
    .map(({ id }) => id);

test("decidePromotion() allows an artifact whose closure is complete and intact, and says under which policy", () => {
  expect(decidePromotion(FINE)).toMatchObject({ allowed: true, policy: "built-in/closure@1", artifact: FINE.artifact });
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
  expect(decidePromotion({ ...FINE, ...facts }).allowed).toBe(false);
});

test("decidePromotion() only warns of a layer shared with an ordinarily revoked artifact, and of a revocation that may be lifted", () => {
  const decision = decidePromotion({ ...FINE, sharesRevoked: [{ ...fault, severe: false }], revocation: { permanent: false } });
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
  const digest = decidePromotion(FINE).digest;
  expect(decidePromotion({ ...FINE }).digest).toBe(digest);
  expect(decidePromotion({ ...FINE, covers: [fault.digest] }).digest).not.toBe(digest);
  expect(decidePromotion({ ...FINE, tags: { moves: ["v1"], stays: [] } }).digest).not.toBe(digest);
  expect(decidePromotion({ ...FINE, incomplete: [fault] }).digest).not.toBe(digest);
});
