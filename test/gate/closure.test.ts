import { expect, test } from "vitest";
import type { Decision } from "../../src/policy/promotion.ts";
import { OCI_IMAGE, OCI_INDEX } from "../../src/oci/media-types.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { callerWith } from "../support/callers.ts";
import { Transitions, descriptorOf, digestIn, imageOf, indexOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const AT = "models/m";
const WEIGHTS = descriptorOf("weights");
const CHILD = imageOf(["weights"]);
const LIAR = imageOf([], { layers: [{ ...WEIGHTS, size: 8 }] });

/** The checks that fail when all of these are pushed and the last one is promoted. */
async function failures(...manifests: readonly object[]): Promise<string[]> {
  await using at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, AT, content);
  for (const manifest of manifests) await at.manifest(publisher, AT, manifest);
  const decision = await at.promote(operator, AT, digestIn(manifests.at(-1) ?? {})).then(
    () => undefined,
    (error: unknown) => (error instanceof RegistryError ? (error.detail as { decision: Decision }).decision : undefined),
  );
  return (decision?.checks ?? []).filter(({ status }) => status === "fail").map(({ id }) => id);
}

// RULES 2: sizes must equal the descriptors', whichever descriptor of the same content a client reads.
test.each([
  ["a layer that is listed again with another size", [imageOf([], { layers: [WEIGHTS, { ...WEIGHTS, size: 8 }] })]],
  ["a layer that two children list with different sizes", [CHILD, LIAR, indexOf([CHILD, LIAR])]],
  [
    "a child that is listed again with another size",
    [
      CHILD,
      indexOf([CHILD], {
        manifests: [descriptorOf(JSON.stringify(CHILD), OCI_IMAGE), { ...descriptorOf(JSON.stringify(CHILD), OCI_IMAGE), size: 1 }],
      }),
    ],
  ],
  // Whoever reads an export of it would take it for what it is not.
  ["a child that is listed as what it is not", [CHILD, indexOf([CHILD], { manifests: [descriptorOf(JSON.stringify(CHILD), OCI_INDEX)] })]],
])("%s is no complete closure", async (_, manifests) => {
  expect(await failures(...manifests)).toEqual(["closure-complete"]);
});

test("types compare without their parameters and in any case", async () => {
  const type = `${OCI_IMAGE.replace("image", "IMAGE")}; a=b`;
  expect(await failures(CHILD, indexOf([CHILD], { manifests: [descriptorOf(JSON.stringify(CHILD), type)] }))).toEqual([]);
});

test("a layer that is listed twice alike is one layer", async () => {
  expect(await failures(imageOf(["weights", "weights"]))).toEqual([]);
});

test("a quarantined child keeps its parents from being promoted, as it may not be served", async () => {
  await using at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, AT, content);
  const index = indexOf([CHILD]);
  for (const manifest of [CHILD, index]) await at.manifest(publisher, AT, manifest);
  await at.quarantine(publisher, AT, digestIn(CHILD));
  await expect(at.promote(operator, AT, digestIn(index))).rejects.toMatchObject({ code: "REFUSED" });
  await at.promote(operator, AT, digestIn(CHILD));
  expect((await at.promote(operator, AT, digestIn(index))).state).toBe("trusted");
});

test("what only a revoked root reaches can be quarantined", async () => {
  await using at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, AT, content);
  const index = indexOf([CHILD]);
  for (const manifest of [CHILD, index]) await at.manifest(publisher, AT, manifest);
  await at.promote(operator, AT, digestIn(index));
  await expect(at.quarantine(publisher, AT, digestIn(CHILD))).rejects.toMatchObject({ code: "CONFLICT" });
  await at.revoke(operator, AT, digestIn(index));
  expect((await at.quarantine(publisher, AT, digestIn(CHILD))).state).toBe("quarantined");
});
