import { expect, test } from "vitest";
import { mountBlob } from "../../src/registry/mount-blob.ts";
import { readerFor, serveBlob } from "../../src/registry/serving.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, descriptorOf, digestIn, imageOf, indexOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const [AT, OWN] = [repository("models/m"), repository("others/m")];

test("what only a revoked root reaches is revoked content to a reviewer too: read with a warning, and mounted nowhere", async () => {
  await using at = await Transitions.start();
  const child = imageOf(["weights"]);
  const index = indexOf([child]);
  for (const content of ["{}", "weights"]) await at.blob(publisher, AT, content);
  for (const manifest of [child, index]) await at.manifest(publisher, AT, manifest);
  await at.promote(operator, AT, digestIn(index));
  await at.revoke(operator, AT, digestIn(index), { reason: "poisoned" });

  const reviewer = callerWith(["reviewer@models", "publisher@others"], { name: "reviewer" });
  const { digest } = descriptorOf("weights");
  const { serving } = await serveBlob(at.services, readerFor(reviewer.principal, AT), AT, digest);
  expect(serving).toEqual({ effect: "allow", held: "revoked: poisoned" });
  for (const from of [AT, undefined]) expect(await mountBlob(at.services, reviewer, { repository: OWN, digest, from })).toBe(false);
  expect((await serveBlob(at.services, readerFor(reviewer.principal, OWN), OWN, digest)).serving.effect).toBe("absent");
});
