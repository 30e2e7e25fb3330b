import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Digest } from "../../src/oci/digest.ts";
import { finishRevocationsEverywhere, finishWithdrawals, revokeAndFollow } from "../../src/registry/revoke-everywhere.ts";
import { repairRuntimeTree } from "../../src/registry/runtime-folders.ts";
import type { Registry } from "../../src/services.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { putRows } from "../support/rows.ts";
import { Transitions, digestIn, imageOf, indexOf, signatureOf } from "../support/transitions.ts";
import { type Moments, type Worker, Workers, treeWith } from "../support/workers.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const [HERE, THERE, TREE] = ["models/here", "models/there", "models/tree"];
const MODEL = imageOf(["weights"]);
const OTHER = imageOf(["other"]);
const INNER = indexOf([MODEL, OTHER]);
const SIGNATURE = signatureOf(MODEL, "signature");

let at: Transitions;
let workers: Workers;
beforeEach(async () => {
  workers = new Workers();
  at = await Transitions.start();
});
afterEach(() => at[Symbol.asyncDispose]());

/** Pushes manifests to a place, the blobs that any of them may name before, and promotes the last one. */
async function promoted(place: string, ...manifests: readonly object[]): Promise<void> {
  for (const content of ["{}", "weights", "other", "signature"]) await at.blob(publisher, place, content);
  for (const manifest of manifests) await at.manifest(publisher, place, manifest);
  await at.promote(operator, place, digestIn(manifests.at(-1) ?? {}));
}

/** Whose folders a place has, by what the manifests are called here. */
async function foldersAt(place: string, named: Readonly<Record<string, object>>): Promise<string[]> {
  const folders = await readdir(join(at.directory, "trusted", place)).catch((): string[] => []);
  return Object.keys(named).filter((name) => folders.includes(digestIn(named[name] ?? {}).replace(":", "-")));
}

/** Revokes everywhere as the door does; the worker goes no further once it has answered, so that the job has done nothing. */
async function revokeEverywhere(digest: Digest, moments: Moments = {}, services = at.services): Promise<void> {
  const worker = workers.start(services, moments);
  const artifact = await at.find(operator, HERE, digest);
  const revocation = { reason: "poisoned", permanent: false, everywhere: true };
  await revokeAndFollow(worker.services, operator, artifact, revocation).finally(() => worker.kill());
}

async function stateAt(place: string, digest: Digest): Promise<string> {
  return (await at.find(operator, place, digest)).record.state;
}

async function start(worker: Worker): Promise<void> {
  await repairRuntimeTree(worker.services);
  await finishWithdrawals(worker.services);
}

/** The job, afterwards: everything is as if each repository had revoked by itself. */
async function expectRight(...places: readonly string[]): Promise<void> {
  await finishRevocationsEverywhere(at.services);
  for (const place of places) expect(await faultsOf(at.services.metadata, repository(place), at.directory)).toEqual([]);
  expect(await at.services.metadata.list(under(keys.treesPending(), 10))).toEqual([]);
}

// RULES 23 and 13: the folders are gone before the answer, in every repository; the statements may follow.
describe("when a revocation everywhere is answered", () => {
  test("the folders of other repositories are gone, with what their promotions covered", async () => {
    await promoted(HERE, MODEL);
    await promoted(THERE, SIGNATURE, MODEL);
    const named = { MODEL, SIGNATURE };
    expect(await foldersAt(THERE, named)).toContain("MODEL");
    await revokeEverywhere(digestIn(MODEL));
    expect([await foldersAt(HERE, named), await foldersAt(THERE, named)]).toEqual([[], []]);
    expect(await stateAt(THERE, digestIn(MODEL))).toBe("trusted");
    await expectRight(HERE, THERE);
  });

  test("what it contains is gone below trusted roots as well, but for what they reach in another way", async () => {
    await promoted(HERE, MODEL, OTHER, INNER);
    await promoted(TREE, MODEL, OTHER, INNER, indexOf([INNER, OTHER]));
    const named = { MODEL, OTHER };
    expect(await foldersAt(TREE, named)).toEqual(["MODEL", "OTHER"]);
    await revokeEverywhere(digestIn(INNER));
    expect([await foldersAt(HERE, named), await foldersAt(TREE, named)]).toEqual([[], ["OTHER"]]);
    await expectRight(HERE, TREE);
  });

  test("a child of trusted roots is gone, and its siblings stay", async () => {
    await promoted(HERE, MODEL);
    await promoted(TREE, MODEL, OTHER, INNER);
    await revokeEverywhere(digestIn(MODEL));
    expect(await foldersAt(TREE, { MODEL, OTHER })).toEqual(["OTHER"]);
    await expectRight(HERE, TREE);
  });

  test("so is a folder that a promotion elsewhere is making", async () => {
    await promoted(HERE, MODEL);
    await at.blob(publisher, THERE, "{}");
    await at.blob(publisher, THERE, "weights");
    await at.manifest(publisher, THERE, MODEL);
    const promoting = workers.start(at.services, {
      beforeShown: async () => {
        if ((await stateAt(HERE, digestIn(MODEL))) === "trusted") await revokeEverywhere(digestIn(MODEL));
      },
      afterShown: async () => {
        expect(await foldersAt(THERE, { MODEL })).toEqual([]);
      },
    });
    await at.through(promoting.services).promote(operator, THERE, digestIn(MODEL));
    expect(await foldersAt(THERE, { MODEL })).toEqual([]);
    await expectRight(HERE, THERE);
  });

  test("however many repositories have the digest", async () => {
    for (const place of [HERE, THERE]) await promoted(place, MODEL);
    const between = Array.from({ length: 250 }, (_, n) => repository(`models/p${n}`));
    await putRows(
      at.services.metadata,
      between.map((place) => ({ key: keys.manifestRepository(digestIn(MODEL), place), value: {} })),
    );
    await revokeEverywhere(digestIn(MODEL));
    expect(await foldersAt(THERE, { MODEL })).toEqual([]);
  });

  test("one folder that cannot be removed keeps no other one, is told, and is tried again", async () => {
    await promoted(HERE, MODEL);
    for (const place of [THERE, TREE]) await promoted(place, MODEL);
    const { tree } = at.services;
    const failing = treeWith(tree, {
      unlink: async (place, digest) => (place === THERE ? Promise.reject(new Error("no luck")) : tree.unlink(place, digest)),
    });
    await expect(revokeEverywhere(digestIn(MODEL), {}, { ...at.services, tree: failing })).rejects.toThrow("no luck");
    expect([await foldersAt(HERE, { MODEL }), await foldersAt(THERE, { MODEL }), await foldersAt(TREE, { MODEL })]).toEqual([
      [],
      ["MODEL"],
      [],
    ]);
    await repairRuntimeTree(at.services);
    expect(await foldersAt(THERE, { MODEL })).toEqual([]);
    await expectRight(HERE, THERE, TREE);
  });
});

describe("a revocation everywhere that a crash cuts short", () => {
  test.each([
    ["before any folder is gone", 1, [["MODEL"], ["MODEL"]]],
    ["between the folders of two repositories", 2, [[], ["MODEL"]]],
  ] as const)("%s is made good before anybody is answered again", async (_, removals, left) => {
    await promoted(HERE, MODEL);
    await promoted(THERE, MODEL);
    let count = 0;
    const worker: Worker = workers.start(at.services, {
      beforeRemoved: async () => {
        count += 1;
        if (count < removals) return;
        worker.kill();
        throw new Error("killed");
      },
    });
    const revocation = { reason: "poisoned", permanent: false, everywhere: true };
    const revoking = revokeAndFollow(worker.services, operator, await at.find(operator, HERE, digestIn(MODEL)), revocation);
    await expect(revoking).rejects.toThrow("killed");
    expect([await foldersAt(HERE, { MODEL }), await foldersAt(THERE, { MODEL })]).toEqual(left);
    await start(workers.start(at.services));
    expect([await foldersAt(HERE, { MODEL }), await foldersAt(THERE, { MODEL })]).toEqual([[], []]);
    await expectRight(HERE, THERE);
  });
});

/** How many reads it takes to take out of the tree what is revoked everywhere. */
async function reads(): Promise<number> {
  let count = 0;
  const { metadata } = at.services;
  const counted = <T>(answer: Promise<T>): Promise<T> => {
    count += 1;
    return answer;
  };
  const counting: Registry["metadata"] = {
    get: (key) => counted(metadata.get(key)),
    list: (range) => counted(metadata.list(range)),
    commit: (change) => metadata.commit(change),
    close: () => metadata.close(),
  };
  await finishWithdrawals({ ...at.services, metadata: counting });
  return count;
}

test("taking out of the tree what is revoked everywhere reads only what concerns it, however much else there is", async () => {
  for (const place of [HERE, THERE]) await promoted(place, MODEL);
  await revokeEverywhere(digestIn(MODEL));
  const before = await reads();
  for (let n = 0; n < 10; n += 1) {
    await promoted(`models/q${n}`, OTHER);
    await promoted(THERE, imageOf(["other"], { annotations: { n: String(n) } }));
  }
  expect(before).toBeGreaterThan(0);
  expect(await reads()).toBe(before);
});
