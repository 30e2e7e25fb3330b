import { expect, test, vi } from "vitest";
import { z } from "zod";
import { decisionAnswer } from "../../src/api/decision.ts";
import { showArtifact } from "../../src/registry/show-artifact.ts";
import { callerWith } from "../support/callers.ts";
import { CI, PolicyRegistry, SCAN, SIGNED_BY_CI, policyOf } from "../support/policy-registry.ts";
import { repository } from "../support/principal.ts";
import { statementOf } from "../support/private-sigstore.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const AT = repository("models/m");

test("readers of a trusted artifact learn nothing from its decision of hidden artifacts and of tags that only publishers see", async () => {
  await using at = await Transitions.start();
  const weights = "weights ".repeat(10_000);
  const [hidden, first, model] = ["hidden", "first", "model"].map((name) => imageOf([weights], { annotations: { name } }));
  if (hidden === undefined || first === undefined || model === undefined) throw new Error("three manifests were made");
  for (const content of ["{}", weights]) await at.blob(publisher, AT, content);
  await at.manifest(publisher, AT, hidden);
  await at.revoke(operator, AT, digestIn(hidden), { reason: "a secret reason" });
  await at.manifest(publisher, AT, first, "prod");
  await at.promote(operator, AT, digestIn(first));
  await at.manifest(publisher, AT, model, "prod", "open");
  const record = await at.promote(operator, AT, digestIn(model));

  const asPublisher = JSON.stringify(await showArtifact(at.services, AT, record, { pushedTags: true, full: true }));
  expect(asPublisher).toContain("a secret reason");
  expect(asPublisher).toContain("prod");
  const asReader = await showArtifact(at.services, AT, record, { pushedTags: false, full: true });
  const text = JSON.stringify(asReader);
  for (const secret of ["a secret reason", "prod", digestIn(hidden)]) expect(text).not.toContain(secret);
  expect(asReader.decision).toMatchObject({ allowed: true, artifact: digestIn(model), digest: record.decision, tags: { moves: ["open"] } });
});

test("nor of what is attached and was not taken as evidence, how much that is, or what is wrong with it", async () => {
  const world = await PolicyRegistry.start();
  try {
    const authority = { trustRoots: { corp: { name: "corp-root", digest: world.root } }, authorities: [SIGNED_BY_CI] };
    const wanted = [
      { name: "signed", anyOf: ["release-ci"], evidence: { kind: "signature" } },
      { name: "scanned", anyOf: ["release-ci"], evidence: { kind: "attestation", predicateType: SCAN } },
    ];
    await world.putPolicy(policyOf("warning", "models/*", { ...authority, mode: "warn", require: wanted }));
    const artifact = await world.push("models/watched");
    await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
    await world.attach(artifact, await world.sigstore.keyless("https://elsewhere.example/x", statementOf(artifact.digest)));
    await world.attach(artifact, "no bundle");
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    const decision = async (who: "publisher" | "runtime"): Promise<z.infer<typeof decisionAnswer>> =>
      z.looseObject({ decision: decisionAnswer }).parse((await world.send(who, `GET /v1/artifacts/${artifact.ref}`)).json).decision;
    const [seen, read] = [await decision("publisher"), await decision("runtime")];
    expect(seen.policies[0]?.requirements.map(({ met, rejected }) => [met, rejected.length > 0])).toEqual([
      [true, true],
      [false, true],
    ]);
    expect([seen.evidence.skipped.length, JSON.stringify(seen).includes("identity-mismatch")]).toEqual([1, true]);
    expect(read.policies[0]?.requirements).toMatchObject([
      { met: true, accepted: [{ authority: "release-ci" }], rejected: [], rejected_more: 0 },
      { met: false, rejected: [], rejected_more: 0 },
    ]);
    expect(read.evidence).toEqual({ considered: 1, not_considered: 0, skipped: [], skipped_more: 0 });
    expect([read.not_considered, read.digest]).toEqual([0, seen.digest]);
    for (const secret of ["identity-mismatch", "refused", "other-kind"]) expect(JSON.stringify(read)).not.toContain(secret);
  } finally {
    await world.registry.stop();
  }
});
