import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { OCI_IMAGE, OCI_INDEX } from "../../../src/oci/media-types.ts";
import { auditEvent } from "../../../src/registry/audit-event.ts";
import { keys } from "../../../src/storage/keys.ts";
import { digestSchema } from "../../../src/oci/digest.ts";
import { callerWith } from "../../support/callers.ts";
import type { Artifact } from "../../support/policy-registry.ts";
import { BUNDLE_TYPE, HEX, type Layer, OTHER_HEX, keyAuthority, manifestWith } from "../../trust/evidence.ts";
import { LAYERS, TITLE, fileList, titled } from "../../trust/file-lists.ts";
import { signatureLayer } from "../../trust/legacy-layers.ts";
import { dsseBundle, keySigner } from "../../trust/sigstore-instance.ts";
import { KEY, STRANGER, byKey, byWorkflow, dsse, jsonLayer, keySigned, layerOf, workflowSigned } from "./signed.ts";
import { EvidenceWorld, type Piece, type Row, codesIn, rootWith } from "./world.ts";

// Where evidence is found, and what does not hide it (trust.md §3).

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: EvidenceWorld;
beforeAll(async () => {
  world = await EvidenceWorld.start();
});
afterAll(() => world.stop());

const pushed = async (demand: Row["demand"] = byKey(), form?: Parameters<EvidenceWorld["push"]>[1]): Promise<Artifact> =>
  world.push(await world.demand(demand(world.instances)), form);
const SIG = `sha256-${HEX}.sig`;
const LEGACY = byKey({}, { evidence: { kind: "signature", formats: ["cosign-legacy", "bundle"] } });
const junk = (count: number): Layer[] => Array.from({ length: count }, (_, at) => jsonLayer({ junk: at }));

/** Promotes; the status and why evidence was refused. */
async function promoted(artifact: Artifact): Promise<{ readonly status: number; readonly codes: readonly string[] }> {
  const { status, decision } = await world.policies.act(artifact, "promote");
  return { status, codes: [...new Set(codesIn(decision))] };
}

describe("evidence is found", () => {
  test.each<[string, (layer: Layer) => Piece]>([
    ["whatever type the manifest claims", (layer) => ({ layers: [layer], extra: { artifactType: "application/vnd.example.lie" } })],
    ["whatever type its layer claims", ({ bytes }) => ({ layers: [{ bytes, mediaType: "application/vnd.oci.image.layer.v1.tar" }] })],
    ["behind what is no evidence", (layer) => ({ layers: [...junk(3), layer] })],
    ["under an older tag, as the last layer that is looked at", (layer) => ({ layers: [...junk(63), layer], tag: SIG })],
    ["under the other older tag", (layer) => ({ layers: [layer], tag: SIG.replace(".sig", ".att") })],
  ])("%s", async (_, piece) => {
    const artifact = await pushed(LEGACY);
    await world.attach(artifact, piece(await keySigned()));
    expect(await promoted(artifact)).toMatchObject({ status: 200 });
  });

  test("when it names the artifact by its SHA-512", async () => {
    const artifact = await pushed();
    const { bytes } = manifestWith([{ bytes: Buffer.from("weights"), annotations: { [TITLE]: "model.safetensors" } }]);
    await world.attach({ ...artifact, digest: digestOf(bytes, "sha512") }, await keySigned());
    expect(await promoted(artifact)).toMatchObject({ status: 200 });
  });

  test("among the artifact's own files, of which it signs all others", async () => {
    const demand = byKey({}, { evidence: { kind: "oms" } });
    const own = titled("model.sig", JSON.stringify(await dsseBundle(KEY, fileList())));
    expect(await promoted(await pushed(demand, { layers: [...LAYERS, own] }))).toMatchObject({ status: 200 });
    const more = await pushed(demand, { layers: [...LAYERS, own, titled("run.py", "evil")] });
    expect(await promoted(more)).toEqual({ status: 422, codes: ["file-unsigned"] });
  });
});

test("signatures over one claim, which differ in annotations alone, are told apart", async () => {
  const second = keySigner();
  const team = keyAuthority([KEY.pem], { name: "team" });
  const review = keyAuthority([second.pem], { name: "review" });
  const evidence = { kind: "signature", formats: ["cosign-legacy"] };
  const layers = [await signatureLayer(STRANGER), await signatureLayer(KEY), await signatureLayer(second)];
  const artifact = await pushed(() => ({ authorities: [team, review], threshold: 2, evidence }));
  await world.attach(artifact, { layers: layers.slice(0, 2), tag: SIG });
  expect(await promoted(artifact)).toEqual({ status: 422, codes: ["signature-invalid"] });
  await world.attach(artifact, { layers, tag: SIG });
  const { status, decision } = await world.policies.act(artifact, "promote");
  expect(status).toBe(200);
  const { accepted, rejected } = decision.policies[0]?.requirements[0] ?? {};
  expect(accepted?.map(({ authority }) => authority)).toEqual(["review", "team"]);
  expect(rejected?.map(({ authority, code }) => [authority, code])).toEqual([
    ["review", "signature-invalid"],
    ["team", "signature-invalid"],
  ]);
});

describe("evidence is not found", () => {
  test("in a manifest that only claims to be a bundle, and that one hides nothing", async () => {
    const artifact = await pushed();
    const claims = { artifactType: BUNDLE_TYPE, annotations: { "dev.sigstore.bundle.content": "dsse-envelope" } };
    await world.attach(artifact, { layers: [{ ...jsonLayer({ signed: true }), mediaType: BUNDLE_TYPE }], extra: claims });
    expect(await promoted(artifact)).toEqual({ status: 422, codes: ["unknown-format"] });
    await world.attach(artifact, await keySigned());
    expect(await promoted(artifact)).toMatchObject({ status: 200 });
  });

  test("by the tag that stands in for referrers, unless what it lists has the subject itself", async () => {
    const artifact = await pushed();
    const { repository, digest, size } = artifact;
    const bundle = await keySigned();
    await world.policies.pushBlob(repository, Buffer.from(bundle.bytes));
    const list = async (signature: ReturnType<typeof manifestWith>): Promise<void> => {
      await world.policies.pushManifest(repository, signature.digest, Buffer.from(signature.bytes));
      const entry = { mediaType: OCI_IMAGE, digest: signature.digest, size: signature.bytes.length, artifactType: BUNDLE_TYPE };
      const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry] }));
      const { status } = await world.policies.send("publisher", `PUT /v2/${repository}/manifests/sha256-${HEX}`, index, OCI_INDEX);
      expect(status).toBe(201);
    };
    await list(manifestWith([bundle]));
    expect(await promoted(artifact)).toEqual({ status: 422, codes: [] });
    await list(manifestWith([bundle], { subject: { mediaType: OCI_IMAGE, digest: `sha256:${OTHER_HEX}`, size } }));
    expect(await promoted(artifact)).toEqual({ status: 422, codes: [] });
    await list(manifestWith([bundle], { subject: { mediaType: OCI_IMAGE, digest, size } }));
    expect(await promoted(artifact)).toMatchObject({ status: 200 });
  });

  test("in another repository, though it is about the same bytes", async () => {
    const elsewhere = await pushed();
    await world.attach(elsewhere, await keySigned());
    const artifact = await pushed();
    expect(await promoted(artifact)).toEqual({ status: 422, codes: [] });
    expect(await promoted(elsewhere)).toMatchObject({ status: 200 });
  });

  test("behind the 64th layer", async () => {
    const artifact = await pushed(LEGACY);
    const layer = await signatureLayer(KEY);
    await world.attach(artifact, { layers: [...junk(64), layer], tag: SIG });
    expect(await promoted(artifact)).toEqual({ status: 422, codes: ["too-many-layers", "unknown-format"] });
    const { decision } = await world.policies.act(artifact, "evaluate");
    expect(decision.evidence).toMatchObject({ considered: 0, skipped_more: 65 - 32 });
    await world.attach(artifact, await keySigned());
    expect(await promoted(artifact)).toMatchObject({ status: 200 });
  });

  test("in a manifest of too many layers beyond those that are looked at, which is told", async () => {
    const artifact = await pushed(LEGACY);
    const stranger = await dsse(KEY, [], OTHER_HEX);
    await world.attach(artifact, { layers: Array.from({ length: 65 }, () => layerOf(stranger)), tag: SIG });
    expect(await promoted(artifact)).toEqual({ status: 422, codes: ["subject-mismatch", "too-many-layers"] });
  });

  test("in five megabytes, nor where its bytes are not in the repository, and neither hides anything", async () => {
    const artifact = await pushed();
    await world.attach(artifact, { bytes: Buffer.from(`{"pad":"${"x".repeat(5_000_000)}"}`), mediaType: BUNDLE_TYPE });
    expect(await promoted(artifact)).toEqual({ status: 422, codes: ["too-large"] });
    const { repository, digest, size } = artifact;
    const lost = manifestWith([layerOf(await dsse(KEY, [], OTHER_HEX))], { subject: { mediaType: OCI_IMAGE, digest, size } });
    await world.policies.pushManifest(repository, lost.digest, Buffer.from(lost.bytes));
    expect(await promoted(artifact)).toEqual({ status: 422, codes: ["blob-missing", "too-large"] });
    await world.attach(artifact, await keySigned());
    expect(await promoted(artifact)).toMatchObject({ status: 200 });
  });

  test.each([
    ["POST", "/quarantine"],
    ["POST", "/revoke"],
    ["DELETE", "?reason=mistake"],
  ])("once it was taken back by %s %s", async (method, action) => {
    const artifact = await pushed();
    const signature = await world.attach(artifact, await keySigned());
    const body = method === "POST" ? JSON.stringify({ reason: "mistake" }) : undefined;
    const { status } = await world.policies.send("operator", `${method} /v1/artifacts/${artifact.repository}@${signature}${action}`, body);
    expect(status).toBe(200);
    expect(await promoted(artifact)).toEqual({ status: 422, codes: [] });
  });
});

test("evidence counts for no authority whose trust root was lost", async () => {
  const demand = byWorkflow({}, { root: rootWith(world.instances.corp.document, { note: "to be lost" }) });
  const artifact = await pushed(demand);
  await world.attach(artifact, await workflowSigned(world.instances));
  const { decision } = await world.policies.act(artifact, "evaluate");
  expect(decision.allowed).toBe(true);
  const { metadata } = world.policies.registry.services;
  const key = keys.trustRoot("corp-root", digestSchema.parse(decision.policies[0]?.trust_roots[0]));
  const row = await metadata.get(key);
  const audit = auditEvent(world.policies.registry.services, callerWith([]).actor, {
    type: "trust-root.put",
    target: { kind: "policy", name: "corp-root" },
  });
  await metadata.commit({ expect: [], put: [], remove: [key], audit: [audit] });
  expect(await promoted(artifact)).toEqual({ status: 422, codes: ["trust-root-missing"] });
  await metadata.commit({ expect: [], put: [{ key, value: row?.value }], remove: [], audit: [audit] });
  expect(await promoted(artifact)).toMatchObject({ status: 200 });
});
