import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { CI, PolicyRegistry, policyOf } from "../support/policy-registry.ts";
import { statementOf } from "../support/private-sigstore.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const IMAGE = "application/vnd.oci.image.manifest.v1+json";

let world: PolicyRegistry;
beforeAll(async () => {
  world = await PolicyRegistry.start();
});
afterAll(() => world.registry.stop());

test("junk of one pusher hides nobody's evidence: pushers take turns, and what is named is considered first", async () => {
  await world.putPolicy(world.signedPolicy("junk", "models/junk"));
  const artifact = await world.push("models/junk");
  for (let at = 0; at < 270; at += 1) await world.attach(artifact, "{}", { note: `junk ${at}` });
  const signature = await world.sigstore.keyless(CI, statementOf(artifact.digest));
  const own = await world.attach(artifact, signature);
  const hidden = await world.act(artifact, "evaluate");
  expect(hidden.decision).toMatchObject({ allowed: false, evidence: { considered: 0, not_considered: 15, skipped_more: 256 - 32 } });
  expect(hidden.decision.evidence.skipped[0]).toMatchObject({ code: "unknown-format" });
  expect(await world.act(artifact, "evaluate", { evidence: [own] })).toMatchObject({ decision: { allowed: true } });
  await world.attach(artifact, signature, { who: await world.identity("ci", "publisher"), note: "by another" });
  expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
});

test("evidence that is too large is told and costs nothing, and what the repository lacks counts for nothing", async () => {
  await world.putPolicy(world.signedPolicy("large", "models/large"));
  const artifact = await world.push("models/large");
  await world.attach(artifact, `{"pad":"${"x".repeat(2_000_000)}"}`);
  await world.attach(artifact, "");
  await world.pushBlob("models/elsewhere", "{}");
  const lost = await world.sigstore.keyless(CI, statementOf(artifact.digest));
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: IMAGE,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
    layers: [{ mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", digest: digestOf(lost), size: lost.length }],
    subject: { mediaType: IMAGE, digest: artifact.digest, size: artifact.size },
  });
  await world.pushManifest("models/large", digestOf(manifest), manifest);
  const { status, decision } = await world.act(artifact, "promote");
  expect(status).toBe(422);
  expect(decision.evidence.skipped.map(({ code }) => code).toSorted()).toEqual(["blob-missing", "malformed-json", "too-large"]);
});

test("signatures under cosign's older tags count where a policy takes them", async () => {
  const legacy = { kind: "signature", formats: ["bundle", "cosign-legacy"] };
  const authorities = [{ type: "key", name: "team", keys: [{ id: "team", pem: world.security.pem }] }];
  const require = [{ name: "signed", anyOf: ["team"], evidence: legacy }];
  const artifact = await world.push("models/legacy");
  const claim = JSON.stringify({
    critical: { identity: {}, image: { "docker-manifest-digest": artifact.digest }, type: "cosign container image signature" },
    optional: null,
  });
  for (const bytes of ["{}", claim]) await world.pushBlob("models/legacy", bytes);
  const signature = world.security.sign(Buffer.from(claim));
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: IMAGE,
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf("{}"), size: 2 },
    layers: [
      {
        mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
        digest: digestOf(claim),
        size: claim.length,
        annotations: { "dev.cosignproject.cosign/signature": signature.toString("base64") },
      },
    ],
  });
  await world.pushManifest("models/legacy", `${artifact.digest.replace(":", "-")}.sig`, manifest);
  await world.putPolicy(
    policyOf("legacy", "models/legacy", { authorities, require: [{ ...require[0], evidence: { kind: "signature" } }] }),
  );
  const refused = await world.act(artifact, "promote");
  expect(refused.decision.policies[0]?.requirements[0]?.rejected).toMatchObject([{ code: "format-not-accepted" }]);
  await world.putPolicy(policyOf("legacy", "models/legacy", { authorities, require }));
  const promoted = await world.act(artifact, "promote");
  expect(promoted).toMatchObject({ status: 200, decision: { policy: "legacy@2" } });
  expect(promoted.decision.policies[0]?.requirements[0]?.accepted).toMatchObject([{ manifest: digestOf(manifest), predicate_type: null }]);
});
