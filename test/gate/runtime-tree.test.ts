import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { locateModel } from "../../src/registry/locate-model.ts";
import { repairRuntimeTree } from "../../src/registry/runtime-folders.ts";
import { findManifest, readerOf, serveManifest } from "../../src/registry/serving.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { callerWith } from "../support/callers.ts";
import { startChild } from "../support/child.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { interrupted } from "../support/race.ts";
import { Transitions, digestIn, imageOf, indexOf, signatureOf } from "../support/transitions.ts";
import { type Moments, type Worker, Workers } from "../support/workers.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const AT = repository("models/m");
const MODEL = imageOf(["weights"]);
const DIGEST = digestIn(MODEL);

let at: Transitions;
let workers: Workers;
beforeEach(async () => {
  workers = new Workers();
  at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, AT, content);
  await at.manifest(publisher, AT, MODEL);
});
afterEach(() => at[Symbol.asyncDispose]());

function worker(moments: Moments = {}): Worker {
  return workers.start(at.services, moments);
}
const promote = (by?: Worker): Promise<unknown> => at.through(by?.services ?? at.services).promote(operator, AT, DIGEST);
const revoke = (by?: Worker): Promise<unknown> => at.through(by?.services ?? at.services).revoke(operator, AT, DIGEST);

const foldersNow = async (): Promise<string[]> => readdir(join(at.directory, "trusted", AT)).catch(() => []);

async function pendingNow(): Promise<number> {
  return (await at.services.metadata.list(under(keys.treesPending(), 10))).length;
}

/** Does something the first time only. */
function once(act: () => Promise<unknown>): () => Promise<unknown> {
  let done = false;
  return async () => {
    if (done) return;
    done = true;
    await act();
  };
}

/** The tree is what the records say, nothing is left to be done, and there are so many folders. */
async function expectRight(folders: number): Promise<void> {
  expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual([]);
  expect([(await foldersNow()).length, await pendingNow()]).toEqual([folders, 0]);
}

const SIGNATURE = signatureOf(MODEL, "signature");
const READER = readerOf(new Set(["pull"] as const));

/** Which of model and signature have a folder, and which are served. */
async function stands(): Promise<{ folders: string[]; served: string[] }> {
  const [folders, served]: [string[], string[]] = [[], []];
  const made = await foldersNow();
  for (const [name, manifest] of Object.entries({ MODEL, SIGNATURE })) {
    const digest = digestIn(manifest);
    if (made.includes(digest.replace(":", "-"))) folders.push(name);
    const found = await findManifest(at.services, AT, digest);
    if ((await serveManifest(at.services, READER, AT, found?.record)).effect === "allow") served.push(name);
  }
  return { folders, served };
}

// RULES 23: trusted/ holds the layers of the root and its children, not of referrers.
describe("what a promotion covers", () => {
  const TREE = indexOf([MODEL, SIGNATURE]);
  beforeEach(async () => {
    await at.blob(publisher, AT, "signature");
    await at.manifest(publisher, AT, SIGNATURE);
  });

  test("is served without a folder, and has no path there", async () => {
    await promote();
    expect(await stands()).toEqual({ folders: ["MODEL"], served: ["MODEL", "SIGNATURE"] });
    const found = await at.find(operator, AT, digestIn(SIGNATURE));
    const path = locateModel(at.services, { ...found, name: "signature", details: undefined });
    await expect(path).rejects.toThrow("only trusted artifacts can be loaded");
    await expectRight(1);
  });

  test("has a folder while it is trusted itself, and keeps it when the one that covers it is revoked", async () => {
    await at.promote(operator, AT, digestIn(SIGNATURE));
    await promote();
    expect((await stands()).folders).toEqual(["MODEL", "SIGNATURE"]);
    await revoke();
    expect(await stands()).toEqual({ folders: ["SIGNATURE"], served: ["SIGNATURE"] });
    await expectRight(1);
    await promote();
    await at.revoke(operator, AT, digestIn(SIGNATURE));
    expect(await stands()).toEqual({ folders: ["MODEL"], served: ["MODEL"] });
    await expectRight(1);
  });

  test("has a folder when it is a child as well, of the same root or of another one, until no root has it as a child", async () => {
    await at.manifest(publisher, AT, TREE);
    await at.promote(operator, AT, digestIn(TREE));
    expect((await stands()).folders).toEqual(["MODEL", "SIGNATURE"]);
    await expectRight(2);
    await promote();
    await at.revoke(operator, AT, digestIn(TREE));
    expect(await stands()).toEqual({ folders: ["MODEL"], served: ["MODEL", "SIGNATURE"] });
    await expectRight(1);
    await at.promote(operator, AT, digestIn(TREE));
    await expectRight(2);
    await at.delete(operator, AT, digestIn(TREE));
    await expectRight(1);
  });

  test("has no folder below a root whose branch with it as a child was revoked", async () => {
    const INNER = indexOf([SIGNATURE]);
    const OUTER = indexOf([MODEL, INNER]);
    for (const manifest of [INNER, OUTER]) await at.manifest(publisher, AT, manifest);
    await at.promote(operator, AT, digestIn(OUTER));
    await expectRight(2);
    await at.revoke(operator, AT, digestIn(INNER));
    expect(await stands()).toEqual({ folders: ["MODEL"], served: ["MODEL", "SIGNATURE"] });
    await expectRight(1);
    await at.promote(operator, AT, digestIn(INNER));
    await expectRight(2);
  });
});

describe("a promotion and a revocation at once", () => {
  test("a revocation that is slow to remove a folder leaves that of a promotion which came after it", async () => {
    await promote();
    await revoke(worker({ beforeRemoved: once(() => promote()) }));
    expect(await foldersNow()).toHaveLength(1);
    await expectRight(1);
  });

  test.each(["beforeMade", "beforeShown"] as const)(
    "a revocation waits for no promotion that is making the folder, and nothing is there once it is answered (%s)",
    async (moment) => {
      const seen: string[][] = [];
      const revoked = once(async () => {
        await revoke();
        seen.push(await foldersNow());
      });
      await promote(worker({ [moment]: revoked, afterShown: async () => seen.push(await foldersNow()) }));
      expect(seen).toEqual([[], []]);
      await expectRight(0);
    },
  );
});

// RULES 23: start repairs what a commit recorded as pending, and only what nobody is at any more.
describe("a worker that starts", () => {
  test("leaves the folder of a promotion that is under way in another one to that", async () => {
    let pending = 0;
    const restart = once(async () => {
      await repairRuntimeTree(worker().services);
      pending = await pendingNow();
    });
    await promote(worker({ beforeShown: restart }));
    expect(pending).toBe(1);
    await expectRight(1);
  });

  test("keeps no folder that a killed promotion was late to show, though a revocation was answered before", async () => {
    const promoting: Worker = worker({
      beforeShown: once(async () => {
        await repairRuntimeTree(worker().services);
        await revoke(worker());
        expect(await foldersNow()).toEqual([]);
      }),
      afterShown: async () => promoting.kill(),
    });
    await expect(promote(promoting)).rejects.toThrow("was killed");
    expect(await foldersNow()).toEqual([]);
    await repairRuntimeTree(worker().services);
    await expectRight(0);
  });

  test("makes a folder again that a killed revocation was late to remove, though it was promoted again before", async () => {
    await promote();
    const revoking: Worker = worker({
      beforeRemoved: once(async () => {
        await repairRuntimeTree(worker().services);
        await promote(worker());
        expect(await foldersNow()).toHaveLength(1);
      }),
      afterRemoved: async () => revoking.kill(),
    });
    await expect(revoke(revoking)).rejects.toThrow("was killed");
    expect(await foldersNow()).toEqual([]);
    await repairRuntimeTree(worker().services);
    await expectRight(1);
  });

  test("takes over what the one before it left, and what that one had taken over", async () => {
    const first: Worker = worker({ beforeShown: async () => first.kill() });
    await expect(promote(first)).rejects.toThrow("was killed");
    const second: Worker = worker({ beforeShown: async () => second.kill() });
    await repairRuntimeTree(second.services).catch(() => undefined);
    expect(await pendingNow()).toBe(1);
    const third = worker();
    await repairRuntimeTree(third.services);
    await repairRuntimeTree(third.services);
    await expectRight(1);
  });

  test("is one of several that start at once, of which one takes a folder over", async () => {
    const promoting: Worker = worker({ beforeShown: async () => promoting.kill() });
    await expect(promote(promoting)).rejects.toThrow("was killed");
    const [reached, goesOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const one = worker({
      beforeShown: () => {
        reached.resolve();
        return goesOn.promise;
      },
    });
    let repaired: Promise<void> | undefined;
    const { services } = interrupted(worker().services, "commit", async () => {
      repaired = repairRuntimeTree(one.services);
      await reached.promise;
    });
    await repairRuntimeTree(services);
    expect([await foldersNow(), await pendingNow()]).toEqual([[], 1]);
    goesOn.resolve();
    await repaired;
    await expectRight(1);
  });

  test("removes what a killed revocation left, while a promotion of something else goes on", async () => {
    await promote();
    const revoking: Worker = worker({ beforeRemoved: async () => revoking.kill() });
    const other = imageOf(["weights"], { annotations: { a: "other" } });
    await at.manifest(publisher, AT, other);
    const restart = once(async () => {
      await expect(revoke(revoking)).rejects.toThrow("was killed");
      await repairRuntimeTree(worker().services);
      expect(await foldersNow()).toEqual([]);
    });
    await at.through(worker({ beforeShown: restart }).services).promote(operator, AT, digestIn(other));
    await expectRight(1);
  });
});

describe("a folder that could not be brought in line", () => {
  test("is tried again, and keeps no other one", async () => {
    const full = new Error("no room");
    let isFull = true;
    const fails = async (): Promise<void> => {
      if (isFull) throw full;
    };
    const failing = worker({ beforeShown: fails });
    await expect(promote(failing)).rejects.toBe(full);
    await repairRuntimeTree(failing.services);
    expect([(await foldersNow()).length, await pendingNow()]).toEqual([0, 1]);
    isFull = false;
    await repairRuntimeTree(worker().services);
    await expectRight(1);
  });

  test("is made good by asking for the same again", async () => {
    await promote();
    const failing = worker({ beforeRemoved: once(() => Promise.reject(new Error("no luck"))) });
    await expect(revoke(failing)).rejects.toThrow("no luck");
    await revoke(worker());
    expect(await foldersNow()).toEqual([]);
  });
});

describe("real processes", () => {
  const script = new URL("process/change-folder.ts", import.meta.url);

  test.each(["promote", "revoke"] as const)(
    "one is killed in the midst of a folder that it has to %s; another one makes it good",
    async (event) => {
      if (event === "revoke") await promote();
      const child = startChild(script, at.directory, AT, DIGEST, event);
      await child.said(1);
      const before = await foldersNow();
      await repairRuntimeTree(at.services);
      expect([await foldersNow(), await pendingNow()]).toEqual([before, 1]);
      await child.kill();
      await repairRuntimeTree(at.services);
      await expectRight(event === "promote" ? 1 : 0);
    },
  );
});
