import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { collectGarbage } from "../../src/jobs/collect-garbage.ts";
import { type Digest, digestOf, encodedOf } from "../../src/oci/digest.ts";
import { mountBlob } from "../../src/registry/mount-blob.ts";
import { pullBlob } from "../../src/registry/pull-blob.ts";
import { streamAudit } from "../../src/registry/read-audit.ts";
import type { Registry } from "../../src/services.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { Transitions, descriptorOf, digestIn, imageOf, indexOf, signatureOf } from "../support/transitions.ts";
import { HOUR } from "./garbage.ts";

const alice = callerWith(["publisher@models"], { name: "alice" });
const mallory = callerWith(["publisher@models"], { name: "mallory" });
const scanner = callerWith(["scanner@models"], { name: "sam" });
const operator = callerWith(["operator@*"], { name: "operator" });
const [HERE, THERE] = ["models/here", "models/there"] as const;

let at: Transitions;
/** How far (ms) the registry's clock is ahead of the machine's. */
let ahead: number;
let commits: number;

beforeEach(async () => {
  ahead = 0;
  commits = 0;
  const started = await Transitions.start();
  const { services } = started;
  const { metadata } = services;
  const counted: Registry["metadata"] = {
    get: (key) => metadata.get(key),
    list: (range) => metadata.list(range),
    commit: async (change) => {
      commits += 1;
      return metadata.commit(change);
    },
    close: () => metadata.close(),
  };
  at = Object.assign(started.through({ ...services, metadata: counted, clock: () => Date.now() + ahead }), {
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  });
});
afterEach(() => at[Symbol.asyncDispose]());

/** By the default grace of a day: what nobody has used for longer goes. */
async function collectAfter(hours: number): Promise<number> {
  ahead += hours * HOUR;
  return collectGarbage(at.services);
}

async function push(place: string, layers: readonly string[], over: object = {}): Promise<Digest> {
  for (const content of ["{}", ...layers]) await at.blob(alice, place, content);
  return at.manifest(alice, place, imageOf(layers, over));
}

/** Contents of which the repository holds the bytes, and so does the disk. */
async function held(place: string, ...contents: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const content of contents) {
    const digest = digestOf(content);
    const link = await at.services.metadata.get(keys.link(repository(place), digest));
    const seen = await pullBlob(at.services, operator, repository(place), digest).then(
      () => true,
      () => false,
    );
    expect({ content, seen }).toEqual({ content, seen: link !== undefined });
    if (link !== undefined) found.push(content);
  }
  return found;
}

async function onDisk(...contents: readonly string[]): Promise<string[]> {
  const files = await readdir(join(at.directory, "blobs"), { recursive: true });
  return contents.filter((content) => files.some((file) => file.endsWith(encodedOf(digestOf(content)))));
}

async function linkedBy(digest: Digest): Promise<unknown> {
  return ((await at.services.metadata.get(keys.link(repository(HERE), digest)))?.value as { by?: unknown } | undefined)?.by;
}

describe("the bytes of a deleted artifact", () => {
  test("go at the next collection, and the same can be pushed again", async () => {
    const digest = await push(HERE, ["weights"]);
    expect(await collectAfter(25)).toBe(0);
    await at.delete(alice, HERE, digest);
    expect(await held(HERE, "weights", "{}")).toEqual(["weights", "{}"]);
    // Also those of `{}`: the statements have a config of their own.
    expect(await collectAfter(0)).toBe(2);
    expect(await held(HERE, "weights", "{}")).toEqual([]);
    expect(await onDisk("weights", "{}")).toEqual([]);
    expect(await push(HERE, ["weights"])).toBe(digest);
    expect((await at.promote(operator, HERE, digest)).state).toBe("trusted");
    expect(await faultsOf(at.services.metadata, repository(HERE), at.directory)).toEqual([]);
  });

  test("that was trusted go as well, with its evidence, its tree and its files for runtimes, but for the history", async () => {
    const tree = indexOf([imageOf(["weights"])]);
    await push(HERE, ["weights"]);
    await at.manifest(alice, HERE, tree, "v1");
    await at.blob(alice, HERE, "signature");
    await at.manifest(alice, HERE, signatureOf(tree, "signature"));
    await at.promote(operator, HERE, "v1");
    expect(await collectAfter(25)).toBe(0);
    for (const each of [tree, imageOf(["weights"]), signatureOf(tree, "signature")]) await at.delete(operator, HERE, digestIn(each));
    expect(await collectAfter(0)).toBe(3);
    expect(await onDisk("weights", "signature", "{}")).toEqual([]);
    expect((await readdir(join(at.directory, "trusted"), { recursive: true })).filter((file) => file.includes("weights"))).toEqual([]);
    expect(await faultsOf(at.services.metadata, repository(HERE), at.directory)).toEqual([]);
  });

  test("stay where another artifact of the repository names them, whatever state it is in", async () => {
    const one = await push(HERE, ["shared", "one"]);
    const two = await push(HERE, ["shared", "two"]);
    await at.delete(alice, HERE, one);
    await collectAfter(25);
    expect(await held(HERE, "shared", "one", "two")).toEqual(["shared", "two"]);
    await at.quarantine(alice, HERE, two);
    await collectAfter(25);
    await at.promote(operator, HERE, two);
    await collectAfter(25);
    expect(await held(HERE, "shared", "two")).toEqual(["shared", "two"]);
  });

  test("stay while another repository links them, and no longer", async () => {
    const digest = await push(HERE, ["weights"]);
    await push(THERE, ["weights"]);
    await at.delete(alice, HERE, digest);
    await collectAfter(25);
    expect(await held(HERE, "weights")).toEqual([]);
    expect([await held(THERE, "weights"), await onDisk("weights")]).toEqual([["weights"], ["weights"]]);
    await at.delete(alice, THERE, digest);
    await collectAfter(0);
    expect([await held(THERE, "weights"), await onDisk("weights")]).toEqual([[], []]);
  });

  test("stay for forensics while it is only revoked, and what tells of the revocation stays longer", async () => {
    const large = "x".repeat(70_000);
    const digest = await push(HERE, [large]);
    await at.promote(operator, HERE, digest);
    await at.revoke(operator, HERE, digest, { permanent: true });
    await collectAfter(25);
    expect(await held(HERE, large)).toEqual([large]);
    await at.delete(operator, HERE, digest);
    await collectAfter(0);
    expect([await held(HERE, large), await onDisk(large)]).toEqual([[], []]);
    // RULES 12 and 13.
    await push(HERE, [large], { annotations: { is: "another" } });
    const other = digestIn(imageOf([large], { annotations: { is: "another" } }));
    await expect(at.promote(operator, HERE, other)).rejects.toMatchObject({ code: "REFUSED" });
  });

  test("that was revoked before anybody trusted it stay, too, until it is deleted", async () => {
    const digest = await push(HERE, ["weights"]);
    await at.revoke(operator, HERE, digest);
    await collectAfter(25);
    expect(await held(HERE, "weights")).toEqual(["weights"]);
    await at.delete(operator, HERE, digest);
    await collectAfter(0);
    expect(await onDisk("weights")).toEqual([]);
  });

  test("are all that goes: its statements stay readable with their bytes", async () => {
    const digest = await push(HERE, ["weights"]);
    await at.promote(operator, HERE, digest);
    await at.delete(operator, HERE, digest);
    await collectAfter(25);
    await collectAfter(25);
    expect(await faultsOf(at.services.metadata, repository(HERE), at.directory)).toEqual([]);
  });

  test("leave nothing behind that grows with each generation, but for the history", async () => {
    const counts: Record<string, number>[] = [];
    for (let generation = 0; generation < 4; generation += 1) {
      const digest = await push(HERE, ["weights"]);
      await at.manifest(alice, HERE, imageOf(["weights"]), "v1");
      await at.promote(operator, HERE, digest);
      await at.revoke(operator, HERE, digest);
      await at.delete(operator, HERE, digest);
      await collectAfter(25);
      counts.push(await rowCounts());
    }
    // Four statements and two summaries, with what each of them consists of and the places where it is found.
    const statement = { statement: 4, edge: 12, manifest: 6, "manifest-content": 6, "manifest-name": 6, "manifest-repository": 6 };
    // The summary of a revocation that was lifted is listed no more.
    const listed = { referrer: 5, "referrer-served": 5, link: 6, blob: 6, "blob-content": 6, "blob-repository": 6 };
    // A day later there is a row of that day, whatever happened in it.
    const { audit: _, "blob-removal": __, "state-day": ___, ...more } = growth(counts[2], counts[3]);
    expect(more).toEqual({ ...statement, ...listed });
  });
});

function growth(before: Readonly<Record<string, number>> = {}, after: Readonly<Record<string, number>> = {}): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after)
      .map(([family, count]): [string, number] => [family, count - (before[family] ?? 0)])
      .filter(([, more]) => more !== 0),
  );
}

/** Uses the blob in every way; how many commits that takes. */
async function use(): Promise<number> {
  const before = commits;
  await at.blob(alice, HERE, "stray");
  await mountBlob(at.services, alice, { repository: repository(HERE), digest: digestOf("stray"), from: undefined });
  await (await pullBlob(at.services, alice, repository(HERE), digestOf("stray"))).keep();
  return commits - before;
}

/** How many rows there are of each family. */
async function rowCounts(): Promise<Record<string, number>> {
  const rows = await at.services.metadata.list({ start: ["a"], end: ["zzz"], limit: 100_000 });
  return Object.fromEntries([...Map.groupBy(rows, ({ key }) => key[0])].map(([family, all]): [string, number] => [family, all.length]));
}

describe("a blob that nothing names", () => {
  test("goes when nobody has used it for the grace, with an event by the system", async () => {
    const digest = await at.blob(alice, HERE, "stray");
    expect(await collectAfter(23)).toBe(0);
    expect(await held(HERE, "stray")).toEqual(["stray"]);
    expect(await collectAfter(2)).toBe(1);
    expect([await held(HERE, "stray"), await onDisk("stray")]).toEqual([[], []]);
    const events = [];
    for await (const { event } of streamAudit(at.services, { type: "blob" })) events.push(event);
    expect(events.map(({ type }) => type)).toEqual(["blob.push", "blob.unlink", "blob.condemn", "blob.collect"]);
    expect(events[1]).toMatchObject({
      actor: { kind: "system" },
      target: { kind: "blob", name: HERE, digest },
      reason: "no artifact of the repository names it",
      before: { by: "alice", size: 5 },
    });
  });

  test.each([
    ["an upload of the same", () => at.blob(mallory, HERE, "stray")],
    ["a mount of it", () => mountBlob(at.services, mallory, { repository: repository(HERE), digest: digestOf("stray"), from: undefined })],
    ["a look of who may push there", async () => (await pullBlob(at.services, mallory, repository(HERE), digestOf("stray"))).keep()],
  ])("stays for the grace after %s, and stays whose it was", async (_, done) => {
    const digest = await at.blob(alice, HERE, "stray");
    ahead += 23 * HOUR;
    await done();
    await collectAfter(23);
    expect(await held(HERE, "stray")).toEqual(["stray"]);
    expect(await linkedBy(digest)).toBe("alice");
    await expect(at.deleteBlob(mallory, HERE, digest)).rejects.toMatchObject({ code: "DENIED" });
    await collectAfter(2);
    expect([await held(HERE, "stray"), await rowCounts()]).toEqual([[], expect.not.objectContaining({ "link-use": 1 })]);
  });

  test("stays for the grace after a manifest that named it was pushed, though that is deleted at once", async () => {
    await at.blob(alice, HERE, "stray");
    ahead += 23 * HOUR;
    const digest = await at.manifest(alice, HERE, imageOf([], { config: descriptorOf("stray") }));
    await at.delete(alice, HERE, digest);
    await collectAfter(23);
    expect(await held(HERE, "stray")).toEqual(["stray"]);
    await collectAfter(2);
    expect(await held(HERE, "stray")).toEqual([]);
  });

  test("does not stay for those who only read", async () => {
    await at.blob(alice, HERE, "stray");
    ahead += 23 * HOUR;
    await (await pullBlob(at.services, scanner, repository(HERE), digestOf("stray"))).keep();
    await collectAfter(2);
    expect(await held(HERE, "stray")).toEqual([]);
  });

  test("costs a write only once in a quarter of the grace, however often it is used", async () => {
    expect(await use()).toBe(1);
    ahead += 5 * HOUR;
    expect(await use()).toBe(0);
    ahead += 2 * HOUR;
    expect(await use()).toBe(1);
    expect(await use()).toBe(0);
    ahead += 7 * HOUR;
    expect(await use()).toBe(1);
    const events = [];
    for await (const { event } of streamAudit(at.services, { type: "blob" })) events.push(event);
    // RULES 29: a re-push of what is there is no event.
    expect(events.map(({ type }) => type)).toEqual(["blob.push"]);
  });

  test("is unknown to who asks whether it is there when it goes at that moment", async () => {
    const digest = await at.blob(alice, HERE, "stray");
    const found = await pullBlob(at.services, alice, repository(HERE), digest);
    await collectAfter(25);
    await expect(found.keep()).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
  });

  test("stays if a root reaches it all the same", async () => {
    const digest = await at.blob(alice, HERE, "stray");
    const put = [
      { key: keys.reach(repository(HERE), { kind: "blob", digest }, digestOf("root")), value: { v: 1, via: [], statement: false } },
    ];
    const target = { kind: "artifact", name: HERE } as const;
    const audit = [{ id: "1", time: 0, type: "test.rows", actor: { principal: "t", kind: "system" }, outcome: "allow", target } as const];
    await at.services.metadata.commit({ expect: [], put, remove: [], audit });
    expect(await collectAfter(25)).toBe(0);
  });
});

test("a blob with many links costs a page of them at a time, and a collection that ends among them goes on with the blob", async () => {
  const digest = await at.blob(alice, HERE, "{}");
  const link = (await at.services.metadata.get(keys.link(repository(HERE), digest)))?.value;
  const places = Array.from({ length: 600 }, (_empty, index) => repository(`models/m${index}`));
  const audit = [{ id: "1", time: 0, type: "test.rows", actor: { principal: "t", kind: "system" }, outcome: "allow" } as const];
  const put = places.flatMap((place) => [
    { key: keys.link(place, digest), value: link },
    { key: keys.blobRepository(digest, place), value: {} },
  ]);
  await at.services.metadata.commit({ expect: [], put, remove: [], audit });
  ahead += 25 * HOUR;
  const ending = new AbortController();
  const { metadata } = at.services;
  let gone = 0;
  const limits = new Set<number>();
  const watched: Registry = {
    ...at.services,
    metadata: {
      get: (key) => metadata.get(key),
      list: async (range) => {
        limits.add(range.limit);
        return metadata.list(range);
      },
      commit: async (change) => {
        if (change.audit[0]?.type === "blob.unlink") gone += 1;
        if (gone === 550) ending.abort();
        return metadata.commit(change);
      },
      close: () => metadata.close(),
    },
  };
  expect(await collectGarbage(watched, ending.signal)).toBe(0);
  expect(await metadata.list(under(keys.blobRepositories(digest), 1000))).toHaveLength(51);
  expect(await collectGarbage(watched)).toBe(1);
  expect(Math.max(...limits)).toBeLessThanOrEqual(500);
  expect(await onDisk("{}")).toEqual([]);
});

test("a collection lets others have their turn after a few reads, also while it finds nothing to do", async () => {
  await push(
    HERE,
    Array.from({ length: 50 }, (_empty, index) => `content ${index}`),
  );
  ahead += 25 * HOUR;
  const { metadata } = at.services;
  let inARow = 0;
  let most = 0;
  const counted = async <T>(read: Promise<T>): Promise<T> => {
    inARow += 1;
    most = Math.max(most, inARow);
    return read;
  };
  const watched: Registry["metadata"] = {
    get: (key) => counted(metadata.get(key)),
    list: (range) => counted(metadata.list(range)),
    commit: (change) => metadata.commit(change),
    close: () => metadata.close(),
  };
  const over = new AbortController();
  const others = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await setImmediate();
      inARow = 0;
    }
  };
  const having = others();
  expect(await collectGarbage({ ...at.services, metadata: watched })).toBe(0);
  over.abort();
  await having;
  expect(most).toBeLessThan(20);
});
