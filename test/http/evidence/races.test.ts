import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { type Artifact, policyOf } from "../../support/policy-registry.ts";
import { HEX, type Layer, keyAuthority } from "../../trust/evidence.ts";
import { claim, signatureLayer } from "../../trust/legacy-layers.ts";
import { KEY, STRANGER, byKey, dsse, keySigned, layerOf } from "./signed.ts";
import { EvidenceWorld, codesIn } from "./world.ts";

// What happens to the evidence while a promotion is decided (trust.md §12, 3).

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: EvidenceWorld;
beforeAll(async () => {
  world = await EvidenceWorld.start();
});
afterAll(() => world.stop());

const SIG = `sha256-${HEX}.sig`;
const LEGACY = byKey({}, { evidence: { kind: "signature", formats: ["cosign-legacy", "bundle"] } });
const pushed = async (): Promise<Artifact> => world.push(await world.demand(LEGACY()));
const sig = (...layers: readonly Layer[]): { layers: readonly Layer[]; tag: string } => ({ layers, tag: SIG });
const taken = async ({ repository }: Artifact, path: string): Promise<number> =>
  (await world.policies.send("operator", `DELETE /v2/${repository}/manifests/${path}`)).status;

describe("evidence that is taken away between the decision and its commit does not count:", () => {
  test("an older signature whose tag is deleted", async () => {
    const artifact = await pushed();
    await world.attach(artifact, sig(await signatureLayer(KEY)));
    expect(await world.policies.act(artifact, "evaluate")).toMatchObject({ decision: { allowed: true } });
    const before = await world.seen(artifact);
    world.beforeCommit(async () => expect(await taken(artifact, SIG)).toBe(202));
    expect(await world.policies.act(artifact, "promote")).toMatchObject({ status: 422 });
    expect(await world.seen(artifact)).toEqual(before);
  });

  test("an older signature whose tag moves on, unless what is there then counts as well", async () => {
    const artifact = await pushed();
    const layer = await signatureLayer(KEY);
    await world.attach(artifact, sig(layer));
    let appended = "";
    world.beforeCommit(async () => {
      appended = await world.attach(artifact, sig(layer, await signatureLayer(STRANGER)));
    });
    const { status, decision } = await world.policies.act(artifact, "promote");
    expect(status).toBe(200);
    expect(decision.policies[0]?.requirements[0]?.accepted).toMatchObject([{ manifest: appended }]);
  });

  test.each(["revoke", "quarantine"])("a signature on which somebody acts: %s", async (action) => {
    const artifact = await pushed();
    const signature = await world.attach(artifact, await keySigned());
    world.beforeCommit(async () => {
      const path = `POST /v1/artifacts/${artifact.repository}@${signature}/${action}`;
      expect(await world.policies.send("operator", path, JSON.stringify({ reason: "stolen key" }))).toMatchObject({ status: 200 });
    });
    expect(await world.policies.act(artifact, "promote")).toMatchObject({ status: 422 });
    expect(await world.policies.stateOf(artifact)).toBe("acquired");
  });

  test("a policy that comes in between", async () => {
    const folder = await world.demand(byKey({ timestamps: 0 }, { mode: "warn" })());
    const artifact = await world.push(folder);
    const strict = { name: "in-between", anyOf: ["team"], evidence: { kind: "signature" } };
    const authorities = [keyAuthority([KEY.pem], { trustRoot: undefined })];
    const policy = policyOf("in-between", `${folder}/*`, { authorities, require: [strict] });
    world.beforeCommit(() => world.policies.putPolicy(policy));
    const { status, decision } = await world.policies.act(artifact, "promote");
    expect({ status, policy: decision.policy }).toEqual({ status: 422, policy: "in-between@1" });
  });
});

test("evidence that comes in between may or may not count, and changes nothing else", async () => {
  const artifact = await pushed();
  await world.attach(artifact, await keySigned());
  world.beforeCommit(async () => world.attach(artifact, layerOf(await dsse(STRANGER))));
  expect(await world.policies.act(artifact, "promote")).toMatchObject({ status: 200 });
});

test("a signature of another repository's artifact does not count, even when it is brought along", async () => {
  const other = await world.push(await world.demand(LEGACY()), { layers: [{ bytes: Buffer.from("other weights") }] });
  const hex = other.digest.replace("sha256:", "");
  const theirs = [layerOf(await dsse(KEY, [], hex)), await signatureLayer(KEY, claim(other.digest))];
  for (const layer of theirs) await world.attach(other, layer);
  expect(await world.policies.act(other, "evaluate")).toMatchObject({ decision: { allowed: true } });
  const artifact = await pushed();
  for (const layer of theirs) await world.attach(artifact, layer);
  await world.attach(artifact, sig(...theirs));
  const { status, decision } = await world.policies.act(artifact, "promote");
  expect({ status, codes: [...new Set(codesIn(decision))] }).toEqual({ status: 422, codes: ["subject-mismatch"] });
});

const history = z.looseObject({ history: z.array(z.looseObject({ sequence: z.number(), state: z.string() })) });

describe("promotions at once", () => {
  test("of one artifact each end in a transition of their own", async () => {
    const artifact = await pushed();
    await world.attach(artifact, await keySigned());
    const all = await Promise.all(Array.from({ length: 4 }, () => world.policies.act(artifact, "promote")));
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const { json } = await world.policies.send("operator", `GET /v1/artifacts/${artifact.ref}/history`);
    expect(history.parse(json).history.map(({ sequence, state }) => [sequence, state])).toEqual([
      [1, "acquired"],
      [2, "trusted"],
      [3, "trusted"],
      [4, "trusted"],
      [5, "trusted"],
    ]);
  });

  test("of one artifact with what was shown: each that is held to it is", async () => {
    const artifact = await pushed();
    await world.attach(artifact, await keySigned());
    const { decision } = await world.policies.act(artifact, "evaluate");
    const all = await Promise.all([1, 2, 3].map(() => world.policies.act(artifact, "promote", { expected: decision.digest })));
    expect(all.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(1);
    expect(all.every(({ status }) => status === 200 || status === 409)).toBe(true);
    expect(await world.policies.stateOf(artifact)).toBe("trusted");
  });

  test("of a signed and an unsigned artifact let only the signed one through", async () => {
    const folder = await world.demand(LEGACY());
    const signed = await world.push(folder);
    const unsigned = await world.push(folder);
    await world.attach(signed, await keySigned());
    const [one, other] = await Promise.all([world.policies.act(signed, "promote"), world.policies.act(unsigned, "promote")]);
    expect([one.status, other.status]).toEqual([200, 422]);
  });
});
