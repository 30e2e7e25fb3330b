import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { verifyBlob } from "../../src/registry/verify-blob.ts";
import { countDamaged } from "../../src/registry/verify-damage.ts";
import type { Registry } from "../../src/services.ts";
import { keys } from "../../src/storage/keys.ts";
import { blobRecord } from "../../src/storage/records.ts";
import { callerWith } from "../support/callers.ts";
import { fileOf, overwrite } from "../support/damaged-bytes.ts";
import { repository } from "../support/principal.ts";
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

/** A trusted artifact with bytes of its own. */
async function promoted(): Promise<string> {
  count += 1;
  const weights = `weights number ${count}`;
  for (const content of ["{}", weights]) await registry.blob(publisher, AT, content);
  await registry.manifest(publisher, AT, imageOf([weights]));
  await registry.promote(operator, AT, digestIn(imageOf([weights])));
  return weights;
}

/** Does to the bytes on the disk what the state says. */
async function bring(blob: Digest, weights: string, before: "right" | "wrong" | "cut" | "missing"): Promise<void> {
  if (before === "wrong") await overwrite(registry.directory, blob, weights.toUpperCase());
  if (before === "cut") await overwrite(registry.directory, blob, weights.slice(0, 5));
  if (before === "missing") await rm(fileOf(registry.directory, blob));
}

test("whoever verifies, pushes and mounts at the same time: what is called damaged is, and trusted/ follows", async () => {
  await fc.assert(
    fc.asyncProperty(state, fc.boolean(), fc.array(act, { minLength: 2, maxLength: 7 }), async (before, isKnown, acts) => {
      const weights = await promoted();
      const blob = digestOf(weights);
      const path = fileOf(registry.directory, blob);
      await bring(blob, weights, before);
      if (isKnown) await verifyBlob(registry.services, blob);
      await Promise.all(
        acts.map(async (each) => {
          if (each === "verify here") await verifyBlob(registry.services, blob);
          else if (each === "verify there") await verifyBlob(other, blob);
          else if (each === "push") await registry.blob(publisher, AT, weights);
          else await elsewhere.blob(publisher, each === "push elsewhere" ? ELSEWHERE : `${ELSEWHERE}/${count}`, weights);
        }),
      );
      const isRight = (await readFile(path, "utf8").catch(() => "")) === weights;
      const { damaged } = blobRecord.parse((await other.metadata.get(keys.blob(blob)))?.value);
      const folder = await registry.services.tree.pathOf(repository(AT), digestIn(imageOf([weights])));
      const served = folder === undefined ? undefined : await readFile(join(folder, blob.replace(":", "-")), "utf8").catch(() => "");
      // What nobody has read since may be wrong without being called so; never the other way round.
      expect(damaged && isRight).toBe(false);
      expect(folder === undefined).toBe(damaged);
      const isHealed = acts.includes("push") && before !== "wrong";
      expect(!isHealed || (isRight && served === weights)).toBe(true);
      expect((await verifyBlob(other, blob)).outcome === "intact").toBe(isRight);
      await registry.blob(publisher, AT, weights);
      expect(await verifyBlob(registry.services, blob)).toEqual({ outcome: "intact", size: weights.length });
      expect(await countDamaged(registry.services)).toEqual({ count: 0, complete: true });
    }),
    { numRuns: 60 },
  );
}, 120_000);
