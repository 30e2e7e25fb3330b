import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Registry } from "../../src/services.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { RuntimeTree } from "../../src/storage/runtime-tree.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const AT = repository("models/m");
const MODEL = imageOf(["weights"]);

async function pushed(): Promise<Transitions> {
  const at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, AT, content);
  await at.manifest(publisher, AT, MODEL);
  return at;
}

/** Services whose tree does something else first, once. */
function treeAfter(services: Registry, first: keyof Pick<RuntimeTree, "link" | "unlink">, act: () => Promise<unknown>): Registry {
  let done = false;
  const before = async (which: string): Promise<void> => {
    if (done || which !== first) return;
    done = true;
    await act();
  };
  const tree: RuntimeTree = {
    link: async (...args) => {
      await before("link");
      await services.tree.link(...args);
    },
    unlink: async (...args) => {
      await before("unlink");
      await services.tree.unlink(...args);
    },
    pathOf: (...args) => services.tree.pathOf(...args),
  };
  return { ...services, tree };
}

const foldersOf = async (at: Transitions): Promise<string[]> => readdir(join(at.directory, "trusted", AT)).catch(() => []);

test("a revocation that is slow to remove a folder leaves that of a promotion which came after it", async () => {
  await using at = await pushed();
  await at.promote(operator, AT, digestIn(MODEL));
  const services = treeAfter(at.services, "unlink", () => at.promote(operator, AT, digestIn(MODEL)));
  await at.through(services).revoke(operator, AT, digestIn(MODEL));
  expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual([]);
  expect(await foldersOf(at)).toHaveLength(1);
  expect(await at.services.metadata.list(under(keys.treesPending(), 10))).toEqual([]);
});

test("a revocation is not answered before a promotion that is making the folder has given it up", async () => {
  await using at = await pushed();
  const order: string[] = [];
  let revoking: Promise<unknown> = Promise.resolve();
  const linked = Promise.withResolvers<undefined>();
  const services = treeAfter(at.services, "link", async () => {
    revoking = at
      .revoke(operator, AT, digestIn(MODEL))
      .then(async () => order.push(`revoked with ${(await foldersOf(at)).length} folders`));
    // The revocation is in force; what is made now must be gone before it is answered.
    while ((await at.find(operator, AT, digestIn(MODEL))).record.state !== "revoked") await new Promise(setImmediate);
    setImmediate(() => linked.resolve(undefined));
    await linked.promise;
  });
  await at.through(services).promote(operator, AT, digestIn(MODEL));
  order.push("promotion over");
  await revoking;
  expect(order).toEqual(["promotion over", "revoked with 0 folders"]);
  expect(await foldersOf(at)).toEqual([]);
});
