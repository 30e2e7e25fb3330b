import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { OCI_IMAGE, OCI_INDEX } from "../../../src/oci/media-types.ts";
import type { Artifact, Who } from "../../support/policy-registry.ts";
import { HEX, type Layer, OTHER_HEX, manifestWith } from "../../trust/evidence.ts";
import { SIGNATURE, attestationLayer, signatureLayer } from "../../trust/legacy-layers.ts";
import { statement } from "../../trust/sigstore-instance.ts";
import { KEY, STRANGER, byKey, jsonLayer } from "./signed.ts";
import { EvidenceWorld, codesIn } from "./world.ts";

// Tags of cosign's older signatures keep what they hold (trust.md §3, 3).

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const SIG = `sha256-${HEX}.sig`;
let world: EvidenceWorld;
let alice: Who;
let mallory: Who;
let mona: Who;
beforeAll(async () => {
  world = await EvidenceWorld.start();
  alice = await world.policies.identity("alice", "publisher");
  mallory = await world.policies.identity("mallory", "publisher");
  mona = await world.policies.identity("mona", "maintainer");
});
afterAll(() => world.stop());

const LEGACY = byKey({}, { evidence: { kind: "signature", formats: ["cosign-legacy"] } });
const signed = async (tag = SIG): Promise<{ readonly artifact: Artifact; readonly layer: Layer; readonly manifest: string }> => {
  const artifact = await world.push(await world.demand(LEGACY()));
  const layer = await signatureLayer(KEY);
  return { artifact, layer, manifest: await world.attach(artifact, { layers: [layer], tag, who: alice }) };
};

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Pushes a manifest with these layers under a tag. */
async function pushed(
  { repository }: Artifact,
  layers: readonly Layer[],
  { tag = SIG, who = mallory }: { tag?: string; who?: Who } = {},
): Promise<Answer> {
  for (const { bytes } of layers) await world.policies.pushBlob(repository, Buffer.from(bytes), who);
  const { bytes } = manifestWith(layers);
  return world.policies.send(who, `PUT /v2/${repository}/manifests/${tag}`, Buffer.from(bytes), OCI_IMAGE);
}
const promotion = async (artifact: Artifact): Promise<readonly unknown[]> => {
  const { status, decision } = await world.policies.act(artifact, "promote");
  return [status, [...new Set(codesIn(decision))]];
};

describe("a push that moves the tag of older signatures", () => {
  test("as cosign does it, with all that was there and more, goes through, and all of it counts", async () => {
    const { artifact, layer } = await signed();
    expect(await pushed(artifact, [layer, await signatureLayer(STRANGER)])).toMatchObject({ status: 201 });
    expect(await promotion(artifact)).toEqual([200, ["signature-invalid"]]);
  });

  test.each<[string, (layer: Layer) => Promise<readonly Layer[]>]>([
    ["without what was there", async () => [await signatureLayer(STRANGER)]],
    ["with nothing", async () => []],
    ["with what was there less its signature", async ({ bytes, mediaType = "" }) => [{ bytes, mediaType }]],
    [
      "with what was there and another signature",
      async (layer) => [{ ...layer, annotations: { ...layer.annotations, [SIGNATURE]: "AAAA" } }],
    ],
    ["with what was there behind much else", async (layer) => [...Array.from({ length: 64 }, (_, at) => jsonLayer({ at })), layer]],
  ])("%s is refused, names the rule and leaves what was there", async (_, layers) => {
    const { artifact, layer } = await signed();
    const { status, text } = await pushed(artifact, await layers(layer));
    expect(status).toBe(403);
    expect(JSON.parse(text)).toMatchObject({ errors: [{ code: "DENIED" }] });
    expect(text).toContain("append-only");
    expect(await promotion(artifact)).toEqual([200, []]);
  });

  test("to an index is refused", async () => {
    const { artifact } = await signed();
    const index = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
    const path = `PUT /v2/${artifact.repository}/manifests/${SIG}`;
    expect(await world.policies.send(mallory, path, index, OCI_INDEX)).toMatchObject({ status: 403 });
  });

  test("is refused for attestations alike, and whoever pushed before", async () => {
    const tag = SIG.replace(".sig", ".att");
    const { artifact } = await signed(tag);
    const other = await attestationLayer(STRANGER, statement(HEX));
    for (const who of [mallory, mona, alice, "publisher"] as const)
      expect(await pushed(artifact, [other], { tag, who })).toMatchObject({ status: 403 });
  });

  test("to the same manifest again changes nothing", async () => {
    const { artifact, layer } = await signed();
    expect(await pushed(artifact, [layer])).toMatchObject({ status: 201 });
  });

  test("together with other tags moves none of them", async () => {
    const { artifact } = await signed();
    const { repository } = artifact;
    const { bytes, digest } = manifestWith([]);
    const path = `PUT /v2/${repository}/manifests/${digest}?tag=free&tag=${SIG}`;
    expect(await world.policies.send("publisher", path, Buffer.from(bytes), OCI_IMAGE)).toMatchObject({ status: 403 });
    expect(await world.policies.send("publisher", `GET /v2/${repository}/manifests/free`)).toMatchObject({ status: 404 });
  });

  test("is nobody's business for tags that only look alike", async () => {
    const { artifact } = await signed();
    for (const tag of ["v1.sig", `sha256-${OTHER_HEX.slice(1)}.sig`, `sha256-${HEX}.sbom`, `sha256-${HEX}`]) {
      expect(await pushed(artifact, [await signatureLayer(KEY)], { tag })).toMatchObject({ status: 201 });
      expect(await pushed(artifact, [], { tag })).toMatchObject({ status: 201 });
    }
  });

  test("two at once lose nothing: one of them is told to begin again", async () => {
    const { artifact, layer } = await signed();
    const each = [await signatureLayer(STRANGER), await attestationLayer(KEY, statement(HEX))];
    const answers = await Promise.all(each.map((more) => pushed(artifact, [layer, more])));
    expect(answers.map(({ status }) => status).toSorted((one, other) => one - other)).toEqual([201, 403]);
  });
});

const deleted = async (who: Who, { repository }: Artifact, reference: string): Promise<number> =>
  (await world.policies.send(who, `DELETE /v2/${repository}/manifests/${reference}`)).status;

describe("what a tag of older signatures holds", () => {
  test("is deleted by a maintainer alone, by the tag or by what it names, also by whoever pushed it", async () => {
    for (const way of ["tag", "manifest"] as const) {
      const { artifact, layer, manifest } = await signed();
      const reference = way === "tag" ? SIG : manifest;
      expect(await deleted(alice, artifact, reference)).toBe(403);
      expect(await deleted(mallory, artifact, reference)).toBe(403);
      expect(await promotion(artifact)).toEqual([200, []]);
      expect(await deleted(mona, artifact, reference)).toBe(202);
      expect(await promotion(artifact)).toEqual([422, []]);
      expect(await pushed(artifact, [layer], { who: alice })).toMatchObject({ status: 201 });
    }
  });

  test("may be replaced once it was revoked, as it counts no longer", async () => {
    const { artifact, manifest } = await signed();
    const path = `POST /v1/artifacts/${artifact.repository}@${manifest}/revoke`;
    expect(await world.policies.send("operator", path, JSON.stringify({ reason: "stolen key" }))).toMatchObject({ status: 200 });
    expect(await pushed(artifact, [await signatureLayer(STRANGER)])).toMatchObject({ status: 201 });
  });
});
