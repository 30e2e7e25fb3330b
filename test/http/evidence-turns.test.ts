import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { PolicyRegistry, policyOf } from "../support/policy-registry.ts";
import { keySigner, statementOf } from "../support/private-sigstore.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";

let world: PolicyRegistry;
beforeAll(async () => {
  world = await PolicyRegistry.start();
});
afterAll(() => world.registry.stop());

test("a manifest of many layers hides nobody's signature, also where a policy has so many authorities that it looks at few candidates", async () => {
  const team = Array.from({ length: 32 }, () => keySigner());
  const stranger = keySigner();
  const names = team.map((_, at) => `a${at}`);
  await world.putPolicy(
    policyOf("wide", "models/wide", {
      authorities: team.map(({ pem }, at) => ({ type: "key", name: `a${at}`, keys: [{ id: "k", pem }] })),
      require: [0, 1, 2, 3].map((at) => ({ name: `r${at}`, anyOf: names, evidence: { kind: "signature" } })),
    }),
  );
  const artifact = await world.push("models/wide");
  const { digest, size, mediaType } = artifact;
  const junk = Array.from({ length: 64 }, (_, at) => stranger.bundle(statementOf(digest, undefined, { at })));
  for (const bytes of junk) await world.pushBlob("models/wide", bytes);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: BUNDLE,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
    layers: junk.map((bytes) => ({ mediaType: BUNDLE, digest: digestOf(bytes), size: bytes.length })),
    subject: { mediaType, digest, size },
  });
  await world.pushManifest("models/wide", digestOf(manifest), manifest);
  await world.attach(artifact, team[0]?.bundle(statementOf(digest)) ?? "", { who: await world.identity("other", "publisher") });
  const { decision } = await world.act(artifact, "evaluate");
  expect([decision.evidence.considered, decision.allowed]).toEqual([32, true]);
});
