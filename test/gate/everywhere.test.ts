import { describe, expect, test } from "vitest";
import type { Digest } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { finishRevocationsEverywhere } from "../../src/registry/revoke-everywhere.ts";
import { findManifest, readerOf, serveManifest } from "../../src/registry/serving.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { type Moment, interrupted } from "../support/race.ts";
import { Transitions, digestIn, imageOf, indexOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const [HERE, THERE] = [repository("models/here"), repository("models/there")];

/** An artifact that two repositories hold, and a tree around it in one of them. */
async function pushModel(at: Transitions, weights: string): Promise<{ readonly model: object; readonly tree: object }> {
  const model = imageOf([weights]);
  const tree = indexOf([model]);
  for (const place of [HERE, THERE]) for (const content of ["{}", weights]) await at.blob(publisher, place, content);
  await at.manifest(publisher, THERE, model);
  return { model, tree };
}

describe("a revocation everywhere", () => {
  test("refuses a push that had begun before it", async () => {
    await using at = await Transitions.start();
    const { model } = await pushModel(at, "weights");
    const { services } = interrupted(at.services, "commit", async () => {
      await at.revoke(operator, THERE, digestIn(model), { everywhere: true });
      await finishRevocationsEverywhere(at.services);
    });
    await expect(at.through(services).manifest(publisher, HERE, model)).rejects.toMatchObject({ code: "DENIED" });
    expect(await findManifest(at.services, HERE, digestIn(model))).toBeUndefined();
  });

  test("is told by every promotion that it came in between of, wherever it came", async () => {
    await using at = await Transitions.start();
    let moment = 0;
    for (let came = true; came;) {
      moment += 1;
      const { model, tree } = await pushModel(at, `weights ${moment}`);
      for (const manifest of [model, tree]) await at.manifest(publisher, HERE, manifest);
      // As another worker sees it at once: the statements of other repositories follow later.
      const between = (): Promise<unknown> => at.revoke(operator, THERE, digestIn(model), { everywhere: true });
      came = await promotedWith(at, digestIn(tree), { moment, between });
    }
    expect(moment).toBeGreaterThan(10);
  });
});

test("a revocation everywhere that was lifted through one repository is put in force again through another one", async () => {
  await using at = await Transitions.start();
  const { model } = await pushModel(at, "weights");
  await at.manifest(publisher, HERE, model);
  await at.revoke(operator, THERE, digestIn(model), { everywhere: true });
  await finishRevocationsEverywhere(at.services);
  await at.promote(operator, HERE, digestIn(model));
  expect((await findManifest(at.services, HERE, digestIn(model)))?.record.state).toBe("trusted");
  await at.revoke(operator, THERE, digestIn(model), { everywhere: true });
  const served = await findManifest(at.services, HERE, digestIn(model));
  expect((await serveManifest(at.services, readerOf(new Set(["pull"] as const)), HERE, served?.record)).effect).toBe("denied");
  await finishRevocationsEverywhere(at.services);
  expect((await findManifest(at.services, HERE, digestIn(model)))?.record.state).toBe("revoked");
});

test("a revocation everywhere is made permanent everywhere", async () => {
  await using at = await Transitions.start();
  const { model } = await pushModel(at, "weights");
  await at.manifest(publisher, HERE, model);
  await at.revoke(operator, THERE, digestIn(model), { everywhere: true });
  await finishRevocationsEverywhere(at.services);
  await at.revoke(operator, THERE, digestIn(model), { everywhere: true, permanent: true });
  await expect(at.promote(operator, HERE, digestIn(model))).rejects.toMatchObject({ code: "CONFLICT" });
  await finishRevocationsEverywhere(at.services);
  expect((await findManifest(at.services, HERE, digestIn(model)))?.record.revocation?.permanent).toBe(true);
});

/** Promotes something with a revocation of a part of it in between: once that is committed, no decision says that nothing is revoked. */
async function promotedWith(
  at: Transitions,
  digest: Digest,
  { moment, between }: { readonly moment: Moment; readonly between: () => Promise<unknown> },
): Promise<boolean> {
  let inTime: boolean | undefined;
  const { services } = interrupted(at.services, moment, async () => {
    inTime = (await findManifest(at.services, HERE, digest))?.record.state === "acquired";
    await between();
  });
  const promoting = at.through(services).promote(operator, HERE, digest);
  const decided = await promoting.then(
    () => "allowed",
    (error: unknown) => (error instanceof RegistryError ? error.code : error),
  );
  expect(decided).toBe(inTime === true ? "REFUSED" : "allowed");
  return inTime === true;
}
