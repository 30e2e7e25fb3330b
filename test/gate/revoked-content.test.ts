import { beforeEach, afterEach, describe, expect, test } from "vitest";
import { NO_SCAN_EVIDENCE } from "../../src/policy/scan-evidence.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { evaluatePromotion } from "../../src/registry/evaluate.ts";
import { readerFor, serveBlob } from "../../src/registry/serving.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, descriptorOf, digestIn, imageOf, indexOf } from "../support/transitions.ts";

const alice = callerWith(["publisher@models"], { name: "alice" });
const mallory = callerWith(["publisher@models"], { name: "mallory" });
const reviewer = callerWith(["reviewer@models"], { name: "reviewer" });
const reader = callerWith(["reader@*"], { name: "reader" });
const operator = callerWith(["operator@*"], { name: "operator" });
const AT = repository("models/m");
const WEIGHTS = "weights ".repeat(10_000);
const MODEL = imageOf([WEIGHTS]);

let at: Transitions;
beforeEach(async () => {
  at = await Transitions.start();
  for (const content of ["{}", WEIGHTS]) await at.blob(alice, AT, content);
  await at.manifest(alice, AT, MODEL);
});
afterEach(() => at[Symbol.asyncDispose]());

async function effect(caller: Caller, content = WEIGHTS): Promise<string> {
  return (await serveBlob(at.services, readerFor(caller.principal, AT), AT, descriptorOf(content).digest)).serving.effect;
}

// RULES 14: revoked content is read by who reviews it, and by nobody else.
describe("a layer of a revoked artifact", () => {
  test.each([
    ["an image that names it", imageOf([WEIGHTS], { annotations: { by: "mallory" } })],
    [
      "an index that lists it as a child",
      indexOf([], { manifests: [{ ...descriptorOf(WEIGHTS), mediaType: "application/vnd.oci.image.manifest.v1+json" }] }),
    ],
    ["an image that has it as config", imageOf([], { config: descriptorOf(WEIGHTS) })],
  ])("is not opened by pushing %s", async (_, manifest) => {
    await at.revoke(operator, AT, digestIn(MODEL));
    await at.manifest(mallory, AT, manifest, "opened");
    expect([await effect(mallory), await effect(alice), await effect(reader), await effect(reviewer)]).toEqual([
      "denied",
      "denied",
      "absent",
      "allow",
    ]);
    // Nor by sending the manifest once more, nor by quarantining it.
    await at.manifest(mallory, AT, manifest, "again");
    await at.quarantine(mallory, AT, digestIn(manifest));
    expect(await effect(mallory)).toBe("denied");
  });

  test("is not opened by who reviews it and pushes as well, nor with a token that covers no reading", async () => {
    await at.revoke(operator, AT, digestIn(MODEL));
    const access = [{ type: "repository" as const, name: AT, actions: ["push" as const] }];
    const both = callerWith(["publisher@models", "reviewer@models"], { name: "both" });
    await at.manifest(both, AT, imageOf([WEIGHTS], { annotations: { by: "both" } }));
    await at.manifest(
      callerWith(["publisher@models"], { name: "mallory", access }),
      AT,
      imageOf([WEIGHTS], { annotations: { by: "token" } }),
    );
    expect([await effect(mallory), await effect(both)]).toEqual(["denied", "allow"]);
  });

  test("is not opened by deleting and pushing anew what names it", async () => {
    await at.revoke(operator, AT, digestIn(MODEL));
    const other = imageOf([WEIGHTS], { annotations: { by: "mallory" } });
    await at.manifest(mallory, AT, other);
    await at.delete(mallory, AT, digestIn(other));
    await at.manifest(mallory, AT, other);
    expect(await effect(mallory)).toBe("denied");
  });

  test("stays readable for publishers when something else named it before the revocation", async () => {
    await at.manifest(alice, AT, imageOf([WEIGHTS], { annotations: { by: "alice" } }));
    await at.revoke(operator, AT, digestIn(MODEL));
    expect([await effect(mallory), await effect(reader)]).toEqual(["allow", "absent"]);
  });

  test("is served to all once a promotion of something that names it says so", async () => {
    await at.revoke(operator, AT, digestIn(MODEL));
    const corrected = imageOf([WEIGHTS], { annotations: { by: "alice" } });
    await at.manifest(alice, AT, corrected);
    await at.promote(operator, AT, digestIn(corrected));
    expect([await effect(mallory), await effect(reader)]).toEqual(["allow", "allow"]);
  });

  test("is open again when the revocation is lifted", async () => {
    await at.revoke(operator, AT, digestIn(MODEL));
    await at.manifest(mallory, AT, imageOf([WEIGHTS], { annotations: { by: "mallory" } }));
    await at.promote(operator, AT, digestIn(MODEL));
    expect([await effect(mallory), await effect(reader)]).toEqual(["allow", "allow"]);
  });
});

/** How the check of shared layers ends for an artifact with the weights of the model. */
async function sharing(place: string, manifest: object): Promise<string> {
  for (const content of ["{}", WEIGHTS]) await at.blob(alice, place, content);
  await at.manifest(alice, place, manifest);
  const artifact = await at.find(operator, place, digestIn(manifest));
  const { decision } = await evaluatePromotion(at.services, repository(place), artifact, {
    refTag: undefined,
    tags: [],
    covers: [],
    evidence: [],
    scan: NO_SCAN_EVIDENCE,
  });
  expect(decision.allowed).toBe(!decision.checks.some(({ status }) => status === "fail"));
  return decision.checks.find(({ id }) => id === "shares-revoked-content")?.status ?? "undecided";
}

// RULES 13, and RULES 12: a revocation that was not lifted outlives deletion.
describe("the check for layers that a revoked artifact has too", () => {
  const SHARER = imageOf([WEIGHTS], { annotations: { a: "sharer" } });

  test.each([
    ["in its repository", {}, AT, "warn"],
    ["elsewhere", {}, "models/other", "pass"],
    ["permanently, elsewhere", { permanent: true }, "models/other", "fail"],
    ["everywhere", { everywhere: true }, "models/other", "fail"],
  ] as const)("says so of one revoked %s", async (_, over, place, status) => {
    await at.revoke(operator, AT, digestIn(MODEL), over);
    expect(await sharing(place, SHARER)).toBe(status);
  });

  test.each([
    ["in its repository", {}, AT, "warn"],
    ["permanently", { permanent: true }, "models/other", "fail"],
  ] as const)("still says so when what was revoked %s is deleted", async (_, over, place, status) => {
    await at.revoke(operator, AT, digestIn(MODEL), over);
    await at.delete(operator, AT, digestIn(MODEL));
    expect(await sharing(place, SHARER)).toBe(status);
  });

  test("finds a permanent revocation among any number of repositories that hold the layer, and of ordinary revocations of it", async () => {
    for (let n = 0; n < 40; n += 1) {
      const place = `models/a${n}`;
      for (const content of ["{}", WEIGHTS]) await at.blob(mallory, place, content);
      const decoy = imageOf([WEIGHTS], { annotations: { n: String(n) } });
      await at.manifest(mallory, AT, decoy);
      await at.revoke(operator, AT, digestIn(decoy));
    }
    await at.revoke(operator, AT, digestIn(MODEL), { permanent: true });
    expect(await sharing("models/zz", SHARER)).toBe("fail");
    expect(await sharing(AT, SHARER)).toBe("fail");
  }, 60_000);

  test("is not about the artifact itself: a revocation everywhere can be lifted by who may do that", async () => {
    await at.revoke(operator, AT, digestIn(MODEL), { everywhere: true });
    await at.services.metadata.commit({
      expect: [],
      put: [],
      remove: [["everywhere-pending", digestIn(MODEL)]],
      audit: [{ id: "1", time: 0, type: "test", actor: { principal: "test", kind: "system" }, outcome: "allow" }],
    });
    expect((await at.promote(operator, AT, digestIn(MODEL))).state).toBe("trusted");
    expect(await sharing("models/other", SHARER)).toBe("pass");
  });
});
