import { afterAll, beforeAll, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { type Browser, faultsOfPage } from "../../support/browser.ts";
import { type Artifact, CI, policyOf } from "../../support/policy-registry.ts";
import { ISSUER, statementOf } from "../../support/private-sigstore.ts";
import { startViewed } from "../../support/viewers.ts";

const OTHER_CI = "https://git.corp.example/ml/other/.ci/release.yml@refs/heads/main";
const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const PEOPLE = { name: "people", evidence: { kind: "approvals", minimum: 1 } };

const { world, operator, runtime } = await startViewed();
const artifacts: Record<string, string> = {};
beforeAll(async () => {
  await world.putPolicy(world.signedPolicy("signed", "models/signed*"));
  await world.putPolicy(policyOf("people", "models/refused", { require: [PEOPLE] }));
  const signed = await world.push("models/signed");
  await world.attach(signed, await world.sigstore.keyless(CI, statementOf(signed.digest)));
  await world.act(signed, "promote");
  const refused = await world.push("models/refused");
  await world.act(refused, "promote");
  const gguf = await pushFile("models/gguf", "model.gguf");
  const safetensors = await pushFile("models/safetensors", "model-00001-of-00002.SAFETENSORS");
  await world.act(safetensors, "promote");
  Object.assign(artifacts, { signed: signed.digest, refused: refused.digest, gguf: gguf.digest, safetensors: safetensors.digest });
}, 60_000);
afterAll(() => world.registry.stop());

/** An artifact with one file of this name. */
async function pushFile(repository: string, title: string): Promise<Artifact> {
  const file = `bytes of ${repository}`;
  for (const bytes of ["{}", file]) await world.pushBlob(repository, bytes);
  const annotations = { "org.opencontainers.image.title": title };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: IMAGE,
    artifactType: "application/vnd.test.model",
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
    layers: [{ mediaType: "application/octet-stream", digest: digestOf(file), size: file.length, annotations }],
  });
  await world.pushManifest(repository, "v1", manifest);
  return { repository, ref: `${repository}:v1`, digest: digestOf(manifest), size: manifest.length, mediaType: IMAGE };
}

async function found(browser: Browser, query: Record<string, string>): Promise<string[]> {
  const { text, status } = await browser.get(`/ui/explore?${new URLSearchParams(query).toString()}`);
  expect(faultsOfPage(text)).toEqual([]);
  expect(status).toBe(200);
  return Object.entries(artifacts).flatMap(([name, digest]) => (text.includes(`@${digest}"`) ? [name] : []));
}

test("by the format of a file, as far as the viewer may know of it", async () => {
  expect(await found(operator, { format: "gguf" })).toEqual(["gguf"]);
  expect(await found(operator, { format: "safetensors" })).toEqual(["safetensors"]);
  expect(await found(operator, { format: "safetensors", state: "acquired" })).toEqual([]);
  expect(await found(runtime, { format: "gguf" })).toEqual([]);
  expect(await found(runtime, { format: "safetensors" })).toEqual(["safetensors"]);
});

test("by what was decided last; of refusals readers are told nothing", async () => {
  expect(await found(operator, { verdict: "refused" })).toEqual(["refused"]);
  expect(await found(operator, { verdict: "allowed" })).toEqual(["signed", "safetensors"]);
  expect(await found(runtime, { verdict: "refused" })).toEqual([]);
  expect(await found(runtime, { verdict: "allowed" })).toEqual(["signed", "safetensors"]);
  expect(await found(operator, { verdict: "refused", format: "gguf" })).toEqual([]);
});

test("by who signed the evidence that the last decision took: a part of the name, or all that tells one from others", async () => {
  const { text } = await operator.get(`/ui/artifacts/models/signed@${artifacts["signed"]}`);
  expect(text).toContain("release-ci");
  expect(await found(operator, { signer: "git.corp.example" })).toEqual(["signed"]);
  expect(await found(operator, { signer: `${ISSUER} ${CI}` })).toEqual(["signed"]);
  expect(await found(operator, { signer: `${ISSUER} ${CI}`, format: "gguf" })).toEqual([]);
  expect(await found(runtime, { signer: `${ISSUER} ${CI}` })).toEqual(["signed"]);
  expect((await runtime.get("/ui/explore?signer=git.corp.example")).text).toContain("no signer is known to you by that");
  expect((await operator.get("/ui/explore?signer=nobody")).status).toBe(400);
});

test("several signers that a text may mean are offered, each by a link that finds what it signed", async () => {
  const other = await world.push("models/signed-too");
  await world.attach(other, await world.sigstore.keyless(OTHER_CI, statementOf(other.digest)));
  expect((await world.act(other, "promote")).status).toBe(200);
  artifacts["other"] = other.digest;
  const { text } = await operator.get("/ui/explore?signer=git.corp.example");
  const links = [...text.matchAll(/href="(\/ui\/explore\?signer=[0-9a-f]{64})"/g)].map(([, link = ""]) => link);
  expect(links).toHaveLength(2);
  const all = await Promise.all(links.map((link) => found(operator, { signer: link.slice(-64) })));
  expect(all.flat().toSorted()).toEqual(["other", "signed"]);
});
