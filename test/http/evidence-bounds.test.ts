import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { indexReferrers } from "../../src/jobs/index-referrers.ts";
import { digestOf, digestSchema } from "../../src/oci/digest.ts";
import { repositoryNameSchema } from "../../src/oci/reference.ts";
import { keys } from "../../src/storage/keys.ts";
import { CI, PolicyRegistry, policyOf } from "../support/policy-registry.ts";
import { keySigner, statementOf } from "../support/private-sigstore.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const IMAGE = "application/vnd.oci.image.manifest.v1+json";

let world: PolicyRegistry;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  await indexReferrers(world.registry.services);
});
afterAll(() => world.registry.stop());

test("junk of one person hides nobody's evidence: people take turns, and what is named is considered first", async () => {
  await world.putPolicy(world.signedPolicy("junk", "models/junk"));
  const artifact = await world.push("models/junk");
  const stranger = keySigner();
  for (let at = 0; at < 258; at += 1) await world.attach(artifact, stranger.bundle(statementOf(artifact.digest, undefined, { at })));
  const signature = await world.sigstore.keyless(CI, statementOf(artifact.digest));
  const own = await world.attach(artifact, signature);
  const hidden = await world.act(artifact, "evaluate");
  expect(hidden.decision).toMatchObject({ allowed: false, evidence: { considered: 256, not_considered: 3 } });
  expect(await world.act(artifact, "evaluate", { evidence: [own] })).toMatchObject({ decision: { allowed: true } });
  await world.attach(artifact, signature, { who: await world.identity("ci", "publisher"), note: "by another" });
  expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
});

test("what was found to be no evidence when it was attached takes no place, not even of the same person's evidence", async () => {
  await world.putPolicy(world.signedPolicy("opaque", "models/opaque"));
  const artifact = await world.push("models/opaque");
  for (let at = 0; at < 270; at += 1) await world.attach(artifact, "{}", { note: `junk ${at}` });
  await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
  const { blobs, metadata } = world.registry.services;
  const [opens, gets] = [vi.spyOn(blobs, "open"), vi.spyOn(metadata, "get")];
  const { decision } = await world.act(artifact, "evaluate");
  // One look-up each for what was found in it, and one to say whether it is covered; no byte of it.
  expect([opens.mock.calls.length, Math.ceil(gets.mock.calls.length / 270)]).toEqual([0, 3]);
  vi.restoreAllMocks();
  expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
  expect(decision.evidence).toMatchObject({ considered: 1, not_considered: 0, skipped_more: 270 - 32 });
  expect(decision.evidence.skipped[0]).toMatchObject({ code: "unknown-format" });
});

test("thousands of referrers of one person hide neither the evidence of another nor that it is covered", async () => {
  const { services } = world.registry;
  await world.putPolicy(world.signedPolicy("crowd", "models/crowd"));
  const artifact = await world.push("models/crowd");
  const put = Array.from({ length: 6_000 }, (_, at) => ({
    key: keys.referrerBy(repositoryNameSchema.parse("models/crowd"), digestSchema.parse(artifact.digest), "a-crowd", [
      1,
      at,
      digestOf(`junk ${at}`),
    ]),
    value: {},
  }));
  await services.metadata.commit({ expect: [], put, remove: [], audit: [] });
  const signature = await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
  const { status, decision } = await world.act(artifact, "promote");
  expect([status, decision.evidence.considered]).toEqual([200, 1]);
  expect(decision.evidence.not_considered).toBeGreaterThan(0);
  expect(decision.covers).toContain(signature);
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
