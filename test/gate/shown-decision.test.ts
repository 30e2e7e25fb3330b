import { expect, test } from "vitest";
import { showArtifact } from "../../src/registry/show-artifact.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const AT = repository("models/m");

test("readers of a trusted artifact learn nothing from its decision of hidden artifacts and of tags that only publishers see", async () => {
  await using at = await Transitions.start();
  const weights = "weights ".repeat(10_000);
  const [hidden, first, model] = ["hidden", "first", "model"].map((name) => imageOf([weights], { annotations: { name } }));
  if (hidden === undefined || first === undefined || model === undefined) throw new Error("three manifests were made");
  for (const content of ["{}", weights]) await at.blob(publisher, AT, content);
  await at.manifest(publisher, AT, hidden);
  await at.revoke(operator, AT, digestIn(hidden), { reason: "a secret reason" });
  await at.manifest(publisher, AT, first, "prod");
  await at.promote(operator, AT, digestIn(first));
  await at.manifest(publisher, AT, model, "prod", "open");
  const record = await at.promote(operator, AT, digestIn(model));

  const asPublisher = JSON.stringify(await showArtifact(at.services, AT, record, { pushedTags: true, full: true }));
  expect(asPublisher).toContain("a secret reason");
  expect(asPublisher).toContain("prod");
  const asReader = await showArtifact(at.services, AT, record, { pushedTags: false, full: true });
  const text = JSON.stringify(asReader);
  for (const secret of ["a secret reason", "prod", digestIn(hidden)]) expect(text).not.toContain(secret);
  expect(asReader.decision).toMatchObject({ allowed: true, artifact: digestIn(model), digest: record.decision, tags: { moves: ["open"] } });
});
