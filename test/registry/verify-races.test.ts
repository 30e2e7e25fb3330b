import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { verifyBlob } from "../../src/registry/verify-blob.ts";
import { countDamaged } from "../../src/registry/verify-damage.ts";
import type { Registry } from "../../src/services.ts";
import { keys } from "../../src/storage/keys.ts";
import { blobRecord } from "../../src/storage/records.ts";
import { overwriteRow } from "../support/blob-rows.ts";
import { callerWith } from "../support/callers.ts";
import { fileOf, overwrite } from "../support/damaged-bytes.ts";
import { repository } from "../support/principal.ts";
import { putRows } from "../support/rows.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "pushing" });
const operator = callerWith(["operator@*"], { name: "operating" });
const [AT, ELSEWHERE] = ["models/m", "models/elsewhere"];

let registry: Transitions;
let other: Registry;
let elsewhere: Transitions;
let count = 0;
beforeAll(async () => {
  registry = await Transitions.start();
  other = await registry.another();
  elsewhere = Transitions.over(registry.directory, other);
});
afterAll(async () => {
  await other.close();
  await registry[Symbol.asyncDispose]();
});

const state = fc.constantFrom("right", "wrong", "cut", "missing");
const act = fc.constantFrom("verify here", "verify there", "push", "push elsewhere", "push anew elsewhere");
/** By whose length is said or not: the bytes become a row or a file. */
const push = fc.constantFrom("saidBlob", "blob");

/** A trusted artifact with bytes of its own. */
async function promoted(way: "saidBlob" | "blob"): Promise<string> {
  count += 1;
  const weights = `weights number ${count}`;
  for (const content of ["{}", weights]) await registry[way](publisher, AT, content);
  await registry.manifest(publisher, AT, imageOf([weights]));
  await registry.promote(operator, AT, digestIn(imageOf([weights])));
  return weights;
}

/** Does to the bytes on the disk what the state says. */
async function bring(blob: Digest, weights: string, before: "right" | "wrong" | "cut" | "missing"): Promise<void> {
  const { metadata } = registry.services;
  const isRow = (await metadata.get(keys.blobContent(blob))) !== undefined;
  const spoil = async (bytes: string): Promise<void> =>
    isRow ? overwriteRow(metadata, blob, bytes) : overwrite(registry.directory, blob, bytes);
  if (before === "wrong") await spoil(weights.toUpperCase());
  if (before === "cut") await spoil(weights.slice(0, 5));
  if (before === "missing") await (isRow ? putRows(metadata, [], [keys.blobContent(blob)]) : rm(fileOf(registry.directory, blob)));
}

async function bytesOf(blob: Digest): Promise<string> {
  const { blobs } = other;
  return (await blobs.stat(blob)) === undefined ? "" : text(await blobs.open(blob));
}

test("whoever verifies, pushes and mounts at the same time: what is called damaged is, and trusted/ follows", async () => {
  await fc.assert(
    fc.asyncProperty(
      state,
      fc.boolean(),
      push,
      fc.array(fc.tuple(act, push), { minLength: 2, maxLength: 7 }),
      async (before, isKnown, made, acts) => {
        const weights = await promoted(made);
        const blob = digestOf(weights);
        await bring(blob, weights, before);
        if (isKnown) await verifyBlob(registry.services, blob);
        await Promise.all(
          acts.map(async ([each, way]) => {
            if (each === "verify here") await verifyBlob(registry.services, blob);
            else if (each === "verify there") await verifyBlob(other, blob);
            else if (each === "push") await registry[way](publisher, AT, weights);
            else await elsewhere[way](publisher, each === "push elsewhere" ? ELSEWHERE : `${ELSEWHERE}/${count}`, weights);
          }),
        );
        const isRight = (await bytesOf(blob)) === weights;
        const { damaged } = blobRecord.parse((await other.metadata.get(keys.blob(blob)))?.value);
        const folder = await registry.services.tree.pathOf(repository(AT), digestIn(imageOf([weights])));
        const served = folder === undefined ? undefined : await readFile(join(folder, blob.replace(":", "-")), "utf8").catch(() => "");
        // What nobody has read since may be wrong without being called so; never the other way round.
        expect(damaged && isRight).toBe(false);
        expect(folder === undefined).toBe(damaged);
        const isHealed = acts.some(([each]) => each === "push") && before !== "wrong";
        expect(!isHealed || (isRight && served === weights)).toBe(true);
        expect((await verifyBlob(other, blob)).outcome === "intact").toBe(isRight);
        await registry.blob(publisher, AT, weights);
        expect(await verifyBlob(registry.services, blob)).toEqual({ outcome: "intact", size: weights.length });
        expect(await countDamaged(registry.services)).toEqual({ count: 0, complete: true });
      },
    ),
    { numRuns: 60 },
  );
}, 120_000);
