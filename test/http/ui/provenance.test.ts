import { afterAll, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import type { DoorServices } from "../../../src/http/doors.ts";
import { faultsOfPage } from "../../support/browser.ts";
import { policyOf } from "../../support/policy-registry.ts";
import { statementOf } from "../../support/private-sigstore.ts";
import { startViewed } from "../../support/viewers.ts";

const PROVENANCE = "https://slsa.dev/provenance/v1";
const PREDICATE = {
  buildDefinition: { buildType: "https://build.example/v1", resolvedDependencies: [{ uri: `git+https://git.example/"><script>` }] },
  runDetails: { builder: { id: "https://builder.example/ci" } },
};

const INDEX = "application/vnd.oci.image.index.v1+json";

/** Look-ups of manifests since it was last set to zero. */
let looks = 0;
function counting(services: DoorServices): DoorServices {
  const { metadata } = services;
  return {
    ...services,
    metadata: {
      get: (key) => {
        if (key[0].startsWith("manifest")) looks += 1;
        return metadata.get(key);
      },
      list: (range) => metadata.list(range),
      commit: (change) => metadata.commit(change),
      close: () => metadata.close(),
    },
  };
}

const { world, operator, runtime } = await startViewed({ around: counting });
afterAll(() => world.registry.stop());

test("a build that is attested is claimed until an authority of a policy has signed it, and then verified by that", async () => {
  const artifact = await world.push("models/built");
  const path = `/ui/artifacts/models/built@${artifact.digest}/provenance`;
  await world.attach(artifact, world.security.bundle(statementOf(artifact.digest, PROVENANCE, PREDICATE)));
  const before = await operator.get(path);
  expect(faultsOfPage(before.text)).toEqual([]);
  expect(before.text).toContain("https://builder.example/ci");
  expect(before.text).toContain("by an attestation that no policy takes");
  expect(before.text).not.toContain("</span> verified</span>");
  await world.putPolicy(
    policyOf("provenance", "models/built", {
      authorities: [{ type: "key", name: "security-team", keys: [{ id: "sec-2026", pem: world.security.pem }] }],
      require: [{ name: "built", anyOf: ["security-team"], evidence: { kind: "attestation", predicateType: PROVENANCE } }],
    }),
  );
  const after = await operator.get(path);
  expect(after.text).toMatch(/<\/span> verified<\/span>\s+<bdi>by security-team, in sha256:/);
  expect(faultsOfPage(after.text)).toEqual([]);
  expect((await runtime.get(path)).status).toBe(404);
  await world.act(artifact, "promote");
  const promoted = await runtime.get(path);
  expect(promoted.text).toMatch(/<bdi>v1<\/bdi>/);
  expect(promoted.text).toMatch(/Promotion<\/th>/);
});

test("what a model's config says it was made of is a claim, and no JSON is none", async () => {
  const repository = "models/configured";
  const config = JSON.stringify({ descriptor: { name: "m", sourceURL: "https://hub.example/m", revision: "r1" }, config: {}, modelfs: {} });
  const pushed = async (text: string): Promise<string> => {
    for (const blob of [text, "weights"]) await world.pushBlob(repository, blob);
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType: "application/vnd.cncf.model.manifest.v1+json",
      config: { mediaType: "application/vnd.cncf.model.config.v1+json", digest: digestOf(text), size: text.length },
      layers: [{ mediaType: "application/octet-stream", digest: digestOf("weights"), size: 7 }],
    });
    await world.pushManifest(repository, "v1", manifest);
    return (await operator.get(`/ui/artifacts/${repository}@${digestOf(manifest)}/provenance`)).text;
  };
  const said = await pushed(config);
  expect(said).toMatch(/https:\/\/hub\.example\/m<\/bdi>\s*<\/td>\s*<td[^>]*><bdi>r1<\/bdi>/);
  expect(said).toContain("by the config of whoever pushed it");
  expect(await pushed("{no json")).toContain("The same as a list");
});

test("annotations are claims, and other artifacts are shown as far as the viewer sees them", async () => {
  const repository = "models/related";
  const base = await world.push(repository);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: base.mediaType,
    artifactType: "application/vnd.test.adapter",
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
    layers: [{ mediaType: "text/plain", digest: digestOf("{}"), size: 2 }],
    annotations: {
      "org.opencontainers.image.source": "https://git.example/model",
      "org.opencontainers.image.revision": "abc123",
      "org.opencontainers.image.base.digest": base.digest,
    },
  });
  await world.pushManifest(repository, "adapter", manifest);
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [{ mediaType: base.mediaType, digest: digestOf(manifest), size: manifest.length }],
  });
  await world.send("publisher", `PUT /v2/${repository}/manifests/all`, index, INDEX);
  const ref = `${repository}@${digestOf(manifest)}`;
  const { text } = await operator.get(`/ui/artifacts/${ref}/provenance`);
  expect(faultsOfPage(text)).toEqual([]);
  expect(text).toMatch(
    /https:\/\/git\.example\/model<\/bdi>\s*<\/td>\s*<td[^>]*><bdi>abc123<\/bdi><\/td>\s*<td[^>]*>\s*<span class="state wait"><span aria-hidden="true">\?<\/span> claimed/,
  );
  expect(text).toContain(`href="/ui/artifacts/${repository}@${base.digest}"`);
  expect(text).toContain("is in; acquired");
  const whole = await operator.get(`/ui/artifacts/${repository}@${digestOf(index)}/provenance`);
  expect(whole.text).toContain("holds; acquired");
  // Runtimes see the artifact, and neither what it says it was made of nor what holds it.
  await world.send("operator", `POST /v1/artifacts/${ref}/promote`, "{}");
  const seen = await runtime.get(`/ui/artifacts/${ref}/provenance`);
  expect(seen.status).toBe(200);
  expect(seen.text).not.toContain(`href="/ui/artifacts/${repository}@${base.digest}"`);
  expect(seen.text).not.toContain("is in;");
});

test("what an index holds is looked up within a bound, though nobody may see any of it, and the page says that it holds more", async () => {
  const repository = "models/large";
  const manifests = Array.from({ length: 2_000 }, (_, at) => ({
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest: digestOf(`child ${at}`),
    size: 2,
  }));
  const index = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests });
  await world.send("publisher", `PUT /v2/${repository}/manifests/v1`, index, INDEX);
  const path = `/ui/artifacts/${repository}@${digestOf(index)}`;
  looks = 0;
  await operator.get(`${path}/trust`);
  // Both ask what a promotion would decide, which looks at all of it, within the bounds of a promotion.
  const ofDecision = looks;
  looks = 0;
  const { text } = await operator.get(`${path}/provenance`);
  expect(text).toContain("There is more than was looked for");
  expect(looks - ofDecision).toBeLessThan(500);
});
