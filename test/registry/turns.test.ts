import { expect, test } from "vitest";
import { inTurn } from "../../src/registry/turns.ts";
import { callerWith } from "../support/callers.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

test("work of one name is done in the order in which it came, work of other names meanwhile, and a failure ends its own turn only", async () => {
  await using temporary = await temporaryMetadata();
  await using other = await temporaryMetadata();
  const { metadata } = temporary;
  const done: string[] = [];
  const gate = Promise.withResolvers<string>();
  const first = inTurn(metadata, "a", async () => done.push(await gate.promise));
  const second = inTurn(metadata, "a", async () => {
    done.push("second");
    throw new Error("failed");
  });
  const third = inTurn(metadata, "a", async () => done.push("third"));
  await inTurn(metadata, "b", async () => done.push("of another name"));
  await inTurn(other.metadata, "a", async () => done.push("of another store"));
  gate.resolve("first");
  await expect(second).rejects.toThrow("failed");
  expect([await first, await third]).toEqual([3, 5]);
  expect(done).toEqual(["of another name", "of another store", "first", "second", "third"]);
});

test("any number of artifacts of a repository can be promoted and revoked at once", async () => {
  const publisher = callerWith(["publisher@models"], { name: "publisher" });
  const operator = callerWith(["operator@*"], { name: "operator" });
  await using at = await Transitions.start();
  await at.blob(publisher, "models/m", "{}");
  const manifests = Array.from({ length: 100 }, (_, n) => imageOf([], { annotations: { n: String(n) } }));
  for (const manifest of manifests) await at.manifest(publisher, "models/m", manifest);
  const promoted = await Promise.all(manifests.map((manifest) => at.promote(operator, "models/m", digestIn(manifest))));
  expect(new Set(promoted.map(({ state }) => state))).toEqual(new Set(["trusted"]));
  const revoked = await Promise.all(manifests.map((manifest) => at.revoke(operator, "models/m", digestIn(manifest))));
  expect(new Set(revoked.map(({ state }) => state))).toEqual(new Set(["revoked"]));
}, 60_000);
