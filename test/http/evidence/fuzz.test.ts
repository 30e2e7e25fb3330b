import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { REASONS } from "../../../src/trust/reason.ts";
import { runs } from "../../support/runs.ts";
import { type Layer, manifestWith } from "../../trust/evidence.ts";
import { samples } from "../../trust/samples.ts";
import { byKey, byWorkflow, keySigned, workflowSigned } from "./signed.ts";
import { EvidenceWorld, type Row, codesIn } from "./world.ts";

// Whatever is attached to an artifact, a promotion is refused with a reason or goes through: nothing breaks (trust.md §12, 8).

vi.setConfig({ testTimeout: 300_000, hookTimeout: 60_000 });

let world: EvidenceWorld;
let pieces: readonly Layer[];
beforeAll(async () => {
  world = await EvidenceWorld.start();
  pieces = [...(await samples()).values()].map(({ layer }) => layer);
});
afterAll(() => world.stop());

/** As many layers as are looked at, each of any bytes. */
const LAYERS = 64;
const anyBytes = fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes));
const anyJson = fc.jsonValue({ maxDepth: 4 }).map((value) => Buffer.from(JSON.stringify(value)));
/** Good evidence of one kind about another artifact, with some bytes of it changed. */
const anyEvidence = fc
  .tuple(fc.nat(), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat())
  .map(([which, changes, cut]) => {
    const whole = Buffer.from(pieces[which % pieces.length]?.bytes ?? []);
    for (const [at, byte] of changes) whole[at % whole.length] = byte;
    return cut % 4 === 0 ? whole.subarray(0, cut % (whole.length + 1)) : whole;
  });

test.each<[string, Row["demand"], NonNullable<Row["good"]>]>([
  ["a key", byKey(), keySigned],
  ["a workflow", byWorkflow(), workflowSigned],
  ["a list of files", byKey({}, { evidence: { kind: "oms" } }), async () => ({ layers: [] })],
  [
    "older and Notation signatures",
    byKey({}, { evidence: { kind: "signature", formats: ["bundle", "cosign-legacy", "notation"] } }),
    keySigned,
  ],
])("any bytes as evidence, where a signature by %s is asked for", async (_, demand, good) => {
  const folder = await world.demand(demand(world.instances));
  const known = new Set([...Object.keys(REASONS), "other-kind", "format-not-accepted", "other-predicate-type"]);
  for (const [at, arbitrary] of [anyBytes, anyJson, anyEvidence].entries()) {
    for (let round = 0; round < runs(1); round += 1) {
      const artifact = await world.push(folder);
      const bytes = fc.sample(arbitrary, LAYERS);
      await world.attach(artifact, { layers: bytes.map((each) => ({ bytes: each })) });
      const before = await world.seen(artifact);
      const { status, decision } = await world.policies.act(artifact, "promote");
      const strange = codesIn(decision).filter((code) => !known.has(code) || code === "malformed");
      expect({ at, status, strange, bytes: status === 422 ? [] : bytes.map((each) => each.toString("hex")) }).toEqual({
        at,
        status: 422,
        strange: [],
        bytes: [],
      });
      expect(await world.seen(artifact)).toEqual(before);
      const layers = [await good(world.instances)].flatMap((piece) => ("layers" in piece ? piece.layers : [piece]));
      if (layers.length === 0) continue;
      await world.attach(artifact, { layers });
      expect(await world.policies.act(artifact, "promote")).toMatchObject({ status: 200 });
    }
  }
});

test("evidence that is no blob of its own but another manifest breaks nothing", async () => {
  const artifact = await world.push(await world.demand(byKey()()));
  const { bytes } = manifestWith([]);
  await world.attach(artifact, { bytes: Buffer.from(bytes) });
  const { status, decision } = await world.policies.act(artifact, "promote");
  expect({ status, codes: codesIn(decision) }).toEqual({ status: 422, codes: ["unknown-format"] });
});
