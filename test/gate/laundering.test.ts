import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { GateAsker } from "../support/gate-asker.ts";
import { type Probe, blobProbes, manifestProbes } from "../support/gate-probes.ts";
import { PRINCIPALS, Scene } from "../support/gate-scenes.ts";
import { type Answer, GateWorld, type Principal } from "../support/gate-world.ts";
import { faultsOf } from "../support/invariants.ts";
import { DEFINITIONS } from "../support/lifecycle-acts.ts";
import { repository } from "../support/principal.ts";

// A publisher, who sees untrusted content, tries to make readers get what nobody promoted, or what was taken back.

let world: GateWorld;
let asker: GateAsker;
let place: string;
let count = 0;
beforeAll(async () => {
  world = await GateWorld.start(PRINCIPALS);
  asker = new GateAsker(world);
}, 60_000);
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  count += 1;
  place = `models/laundry-${count}`;
});

const RUNNER = PRINCIPALS.find(({ name }) => name === "runner") as Principal;
const { digest, sha512, manifest } = DEFINITIONS.ONE;
const BYTES = JSON.stringify(manifest);
const FATES = {
  acquired: [],
  quarantined: ["quarantine"],
  "revoked after trust": ["promote", "revoke"],
  "revoked and never trusted": ["revoke"],
  "deleted after trust": ["promote", "delete"],
} as const;
type Fate = keyof typeof FATES;
const ALL = Object.keys(FATES) as Fate[];

async function fated(fate: Fate): Promise<Scene> {
  const scene = new Scene(world, place);
  await scene.blobs("{}", "one", "shared", "two");
  await scene.push("ONE");
  for (const event of FATES[fate]) await scene.do(event, "ONE");
  return scene;
}

function put(reference: string, type: string = OCI_IMAGE): Promise<Answer> {
  const asked = { method: "PUT", headers: { "Content-Type": type }, body: BYTES };
  return world.ask(world.authorization("producer"), `/v2/${place}/manifests/${reference}`, asked);
}

/** Asks every door for the artifact and its layers as a reader, and compares trusted/ with the records. */
async function readersSee(at = place): Promise<{ faults: string[]; effects: string[]; rows: string[] }> {
  const probes: Probe[] = [...manifestProbes(at, "ONE"), ...blobProbes(at, "one"), ...blobProbes(at, "shared")];
  const actor = { ...RUNNER.models, name: "runner" };
  const { services, directory } = world.registry;
  return {
    faults: await asker.faults(RUNNER, at, probes),
    effects: [...new Set(probes.map((probe) => probe.effect(world.model, actor)))],
    rows: await faultsOf(services.metadata, repository(at), directory),
  };
}

function hidden(fate: Fate): { faults: string[]; effects: string[]; rows: string[] } {
  return { faults: [], effects: [fate === "revoked after trust" ? "denied" : "absent"], rows: [] };
}

describe.each(ALL)("what is %s stays so", (fate) => {
  test.each([
    ["row 8: when the same bytes are pushed again", async () => [await put("one"), await put(digest)]],
    ["when they are pushed by their other name", async () => [await put(sha512), await put(`${sha512}?tag=one`)]],
    ["when they are tagged anew", async () => [await put("latest"), await put(`${digest}?tag=stable`)]],
    ["when they are pushed as another type", async () => [await put("one", "application/vnd.docker.distribution.manifest.v2+json")]],
  ] as const)("%s", async (_, push) => {
    const scene = await fated(fate);
    const answers = await push();
    expect(answers.every(({ status }) => status === 201 || status === 400)).toBe(true);
    if (answers.some(({ status }) => status === 201)) await scene.retag("ONE", "one");
    expect(await readersSee()).toEqual(hidden(fate));
  });

  test("when its layers are uploaded and mounted again, there and into another repository", async () => {
    const scene = await fated(fate);
    await scene.blobs("one", "shared");
    const mounted = await world.ask(world.authorization("producer"), `/v2/${place}/blobs/uploads/?mount=${digestOf("one")}&from=${place}`, {
      method: "POST",
    });
    expect([201, 202]).toContain(mounted.status);
    const other = new Scene(world, `${place}-copy`);
    await (await other.blobs("{}", "one", "shared")).push("ONE");
    expect(await readersSee()).toEqual(hidden(fate));
    expect(await readersSee(`${place}-copy`)).toEqual({ faults: [], effects: ["absent"], rows: [] });
  });

  test("when other manifests name it as a child, a layer or a subject", async () => {
    const scene = await fated(fate);
    await scene.push("TWO", "TREE", "GROVE", "SIGNED", "README");
    const asLayer = { ...manifest, config: { mediaType: OCI_IMAGE, digest, size: BYTES.length } };
    const asked = { method: "PUT", headers: { "Content-Type": OCI_IMAGE }, body: JSON.stringify(asLayer) };
    expect((await world.ask(world.authorization("producer"), `/v2/${place}/manifests/as-layer`, asked)).status).toBe(201);
    expect(await readersSee()).toEqual(hidden(fate));
  });

  test("when what shares its layers is promoted: those are served, and nothing else of it", async () => {
    const scene = await fated(fate);
    await (await scene.push("TWO")).do("promote", "TWO");
    const { faults, rows } = await readersSee();
    expect({ faults, rows }).toEqual({ faults: [], rows: [] });
    expect(world.model.blob(RUNNER.models, world.model.at(place), digestOf("shared"))).toBe("allow");
    expect(world.model.blob(RUNNER.models, world.model.at(place), digestOf("one"))).not.toBe("allow");
  });
});

test("a tag that readers follow is moved by no push, not even to another trusted digest", async () => {
  const scene = new Scene(world, place);
  await (await scene.blobs("{}", "one", "two", "shared")).push("ONE", "TWO");
  await scene.do("promote", "ONE");
  await scene.do("promote", "TWO");
  await scene.retag("TWO", "one");
  const { body } = await asker.get(RUNNER, `/v2/${place}/manifests/one`);
  expect(digestOf(body)).toBe(digest);
  expect(await asker.faults(RUNNER, place, manifestProbes(place, "ONE"))).toEqual([]);
});

test("a new generation of what was trusted is hidden until it is promoted itself, under all of its names", async () => {
  const scene = await fated("deleted after trust");
  await put(`${sha512}?tag=one`);
  world.model.push({ ...RUNNER.models, name: "producer" }, world.model.at(place), DEFINITIONS.ONE, ["one"]);
  expect(await readersSee()).toEqual({ faults: [], effects: ["absent"], rows: [] });
  await scene.do("promote", "ONE");
  expect(await readersSee()).toEqual({ faults: [], effects: ["allow"], rows: [] });
});
