import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { linkRows } from "../../src/registry/link-blob.ts";
import { blobGrounds, condemn, finishRemoval } from "../../src/registry/remove-blob.ts";
import type { BlobStore } from "../../src/storage/blob-store.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { auditOf } from "../storage/metadata-store.suite.ts";
import { blobsWith } from "../support/blob-registry.ts";
import { startChild } from "../support/child.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });
import {
  HOUR,
  type Stores,
  type World,
  allBlobs,
  allRecords,
  beginToName,
  brokenLinks,
  ceaseToName,
  collect,
  eventOf,
  foundBlob,
  lostLinks,
  openWorld,
  orphan,
  push,
  pushFew,
  pushUnnamed,
  repository,
  sparing,
  unlink,
  writeOwn,
} from "./garbage.ts";

const COLLECT = new URL("process/collect.ts", import.meta.url);
const [A, B] = [repository("team/a"), repository("team/b")];

let world: World;
let stores: Stores;

beforeEach(async () => {
  world = await openWorld();
  stores = world.stores;
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

/** Stores of which some calls fail as if the process ended there. */
function failing(metadata: Partial<MetadataStore>, blobs: Partial<BlobStore> = {}): Stores {
  const real = stores.metadata;
  return {
    ...stores,
    blobs: blobsWith(stores.blobs, blobs),
    metadata: {
      get: (key) => real.get(key),
      list: (range) => real.list(range),
      commit: (change) => real.commit(change),
      close: () => real.close(),
      ...metadata,
    },
  };
}

const typesOf = async (): Promise<string[]> => (await auditOf(stores.metadata)).map(({ type }) => type);

describe("a collection", () => {
  test("removes blobs that no repository links any more, and keeps all others", async () => {
    const [kept, shared, gone] = [await push(stores, A, "kept"), await push(stores, A, "shared"), await push(stores, A, "gone")];
    await push(stores, B, "shared");
    await unlink(stores, A, shared);
    await unlink(stores, A, gone);
    world.ahead = 2 * HOUR;
    expect(await collect(stores)).toBe(1);
    expect(await allBlobs(stores)).toEqual([kept, shared].toSorted());
    expect(Object.keys(await allRecords(stores)).toSorted()).toEqual([kept, shared].toSorted());
    expect(await brokenLinks(stores)).toEqual([]);
  });

  test("leaves a blob alone until it has been without a link for the grace period", async () => {
    const digest = await push(stores, A, "content");
    world.ahead = 10 * HOUR;
    await unlink(stores, A, digest);
    world.ahead += HOUR - 60_000;
    expect(await collect(stores)).toBe(0);
    world.ahead += 2 * 60_000;
    expect(await collect(stores)).toBe(1);
    expect(await allBlobs(stores)).toEqual([]);
  });

  test("leaves a blob alone until the grace is over after somebody linked and unlinked what was there long before", async () => {
    const digest = await push(stores, A, "content");
    await unlink(stores, A, digest);
    world.ahead = 10 * HOUR;
    await push(stores, B, "content");
    await unlink(stores, B, digest);
    world.ahead += HOUR - 60_000;
    expect(await collect(stores)).toBe(0);
    world.ahead += 2 * 60_000;
    expect(await collect(stores)).toBe(1);
    expect(await stores.metadata.get(keys.blobUse(digest))).toBeUndefined();
  });

  test("removes files without a record, which crashed pushes left, when they are old enough", async () => {
    const digest = await orphan(stores, "orphan");
    expect(await collect(stores)).toBe(0);
    expect(await allBlobs(stores)).toEqual([digest]);
    world.ahead = HOUR + 60_000;
    expect(await collect(stores)).toBe(1);
    expect(await allBlobs(stores)).toEqual([]);
    expect(await allRecords(stores)).toEqual({});
  });

  test("says in the audit what it decided and what it did, as the system", async () => {
    const digest = await orphan(stores, "orphan");
    await collect(stores, -HOUR);
    const events = await auditOf(stores.metadata);
    expect(events.map(({ type }) => type)).toEqual(["blob.condemn", "blob.collect"]);
    for (const event of events) {
      expect(event).toMatchObject({ actor: { kind: "system" }, target: { kind: "blob", digest }, before: { size: 6 } });
    }
  });

  test("finishes what an earlier one condemned, without grace", async () => {
    const digest = await push(stores, A, "content");
    await unlink(stores, A, digest);
    expect(await condemn(stores, digest, await foundBlob(stores, digest, 7))).toBe(true);
    expect(await allBlobs(stores)).toEqual([digest]);
    expect(await collect(stores)).toBe(1);
    expect(await allBlobs(stores)).toEqual([]);
    expect(await allRecords(stores)).toEqual({});
  });

  test("does not condemn what somebody touches between its look and its change", async () => {
    const digest = await push(stores, A, "content");
    await unlink(stores, A, digest);
    const racing = failing({
      commit: async (change) => {
        if (change.audit[0]?.type === "blob.condemn") await push(stores, B, "content");
        return stores.metadata.commit(change);
      },
    });
    expect(await collect(racing, 0)).toBe(0);
    expect(await allRecords(stores)).toEqual({ [digest]: "present" });
    expect(await brokenLinks(stores)).toEqual([]);
  });

  test("passes over a blob that it cannot remove, and takes it the next time", async () => {
    const digests = await Promise.all(["one", "two", "three"].map((content) => orphan(stores, content)));
    const [bad = digestOf("")] = digests.toSorted();
    const sick = failing(
      {},
      {
        remove: async (digest, still, after) => {
          if (digest === bad) throw Object.assign(new Error("EIO"), { code: "EIO" });
          return stores.blobs.remove(digest, still, after);
        },
      },
    );
    expect(await collect(sick, -HOUR)).toBe(2);
    expect(await allBlobs(stores)).toEqual([bad]);
    expect(await collect(stores, -HOUR)).toBe(1);
    expect(await allBlobs(stores)).toEqual([]);
  });

  test.each(["blob.condemn", "blob.collect"])("that ends before the change %s is made good by the next one, or by a push", async (type) => {
    for (const healer of ["collection", "push"]) {
      const digest = await push(stores, A, healer);
      await unlink(stores, A, digest);
      const crashing = failing({
        commit: async (change) => {
          if (change.audit[0]?.type === type) throw new Error("crash");
          return stores.metadata.commit(change);
        },
      });
      expect(await collect(crashing, 0)).toBe(0);
      if (healer === "push") await push(stores, B, healer);
      expect(await collect(stores, 0)).toBe(healer === "push" ? 0 : 1);
      expect(await allBlobs(stores)).toEqual(healer === "push" ? [digest] : []);
      expect(await brokenLinks(stores)).toEqual([]);
    }
  });

  test("reads by pages of records, marks how far it has come, and goes on there", async () => {
    const digests = Array.from({ length: 701 }, (_empty, index) => digestOf(`content ${index}`)).toSorted();
    await putUnlinked(digests);
    const limits = new Set<number>();
    const ending = new AbortController();
    const now = stores.clock();
    const watched = failing(
      {
        list: async (range) => {
          limits.add(range.limit);
          return stores.metadata.list(range);
        },
      },
      {
        remove: async (digest, still, after) => {
          if (digest === digests[549]) ending.abort();
          return stores.blobs.remove(digest, still, after);
        },
      },
    );
    // Its clock stands still, since it is also written down after a time.
    expect(await collect({ ...watched, clock: () => now }, 0, ending.signal)).toBe(550);
    expect(Math.max(...limits)).toBeLessThanOrEqual(500);
    expect((await stores.metadata.get(keys.job("collect-garbage")))?.value).toMatchObject({
      phase: "records",
      after: digests[499],
      looked: 500,
    });
    // What comes before the mark waits for the collection after the next one.
    await putUnlinked(digests.slice(0, 1));
    expect(await collect(stores, 0)).toBe(151);
    expect(Object.keys(await allRecords(stores))).toEqual(digests.slice(0, 1));
    expect(await stores.metadata.get(keys.job("collect-garbage"))).toBeUndefined();
    expect(await collect(stores, 0)).toBe(1);
  });

  test("writes down how far it has come after a while, too, since somebody may look at it", async () => {
    const digests = Array.from({ length: 3 }, (_empty, index) => digestOf(`content ${index}`)).toSorted();
    await putUnlinked(digests);
    let now = stores.clock();
    const marks: unknown[] = [];
    const slow = failing({
      commit: async (change) => {
        now += 1_500;
        marks.push(...change.put.filter(({ key }) => key[0] === "job").map(({ value }) => value));
        return stores.metadata.commit(change);
      },
    });
    expect(await collect({ ...slow, clock: () => now }, -HOUR)).toBe(3);
    expect(marks).toContainEqual({ v: 1, phase: "records", after: digests[0], looked: 1 });
    expect(marks.at(-1)).toMatchObject({ phase: "files", looked: 3 });
  });

  test("that ended among the files goes on there", async () => {
    const digests = (await Promise.all(["one", "two", "three", "four"].map((content) => orphan(stores, content)))).toSorted();
    const [first = digestOf(""), , third = digestOf("")] = digests;
    const ending = new AbortController();
    const watched = failing(
      {},
      {
        remove: async (digest, still, after) => {
          if (digest === first) ending.abort();
          return stores.blobs.remove(digest, still, after);
        },
      },
    );
    expect(await collect(watched, -HOUR, ending.signal)).toBe(1);
    expect((await stores.metadata.get(keys.job("collect-garbage")))?.value).toMatchObject({ phase: "files" });
    const mark = { v: 1, phase: "files", after: digests[1] };
    await stores.metadata.commit({ expect: [], put: [{ key: keys.job("collect-garbage"), value: mark }], remove: [], audit: [] });
    expect(await collect(stores, -HOUR)).toBe(2);
    expect(await allBlobs(stores)).toEqual(digests.slice(1, 2));
    expect(await stores.blobs.stat(third)).toBeUndefined();
    expect(await collect(stores, -HOUR)).toBe(1);
  });

  test("that is told to end at once removes nothing and keeps its place", async () => {
    await orphan(stores, "orphan");
    await putUnlinked([digestOf("content")]);
    expect(await collect(stores, -HOUR, AbortSignal.abort())).toBe(0);
    expect(await collect(stores, -HOUR)).toBe(2);
  });
});

async function putUnlinked(digests: readonly Digest[]): Promise<void> {
  const value = { v: 1, size: 1, status: "present", damaged: false, touchedAt: 0 };
  await stores.metadata.commit({
    expect: [],
    put: digests.map((digest) => ({ key: keys.blob(digest), value })),
    remove: [],
    audit: [eventOf("test.fill")],
  });
}

describe("grounds", () => {
  test("that were loaded before a whole collection do not hold after it, though the record is as absent as before", async () => {
    const digest = await orphan(stores, "content");
    const grounds = await blobGrounds(stores, digest);
    expect(grounds.record).toBeUndefined();
    expect(await collect(stores, -HOUR)).toBe(1);
    expect(await stores.metadata.get(keys.blob(digest))).toBeUndefined();
    const change = { expect: grounds.expect, put: [], remove: [], audit: [eventOf("blob.push")] };
    expect(await stores.metadata.commit(change)).toBe("conflict");
    expect(await stores.metadata.commit({ ...change, expect: (await blobGrounds(stores, digest)).expect })).toBe("committed");
  });

  test("hold while blobs that have nothing to do with them are collected", async () => {
    const [digest, neighbour] = [digestOf("content"), await orphan(stores, "orphan")];
    expect(digest.slice(7, 9)).not.toBe(neighbour.slice(7, 9));
    const grounds = await blobGrounds(stores, digest);
    expect(await collect(stores, -HOUR)).toBe(1);
    expect(await stores.metadata.commit({ expect: grounds.expect, put: [], remove: [], audit: [eventOf("blob.push")] })).toBe("committed");
  });

  test("of a condemned blob are those of its absence: the removal is finished first", async () => {
    const digest = await push(stores, A, "content");
    await unlink(stores, A, digest);
    await condemn(stores, digest, await foundBlob(stores, digest, 7));
    expect((await blobGrounds(stores, digest)).record).toBeUndefined();
    expect(await allBlobs(stores)).toEqual([]);
    expect(await typesOf()).toEqual(["blob.push", "blob.delete", "blob.condemn", "blob.collect"]);
    expect(await finishRemoval(stores, digest)).toBe(false);
  });
});

/** Every call to the stores becomes a step that the scheduler may put anywhere between the steps of others. */
function stepped(scheduler: fc.Scheduler, check: () => Promise<void>): Stores {
  const step = <A extends unknown[], R>(name: string, call: (...given: A) => Promise<R>): ((...given: A) => Promise<R>) =>
    scheduler.scheduleFunction(
      Object.defineProperty(
        async (...given: A) => {
          const result = await call(...given);
          await check();
          return result;
        },
        "name",
        { value: name },
      ),
    );
  const { metadata, blobs } = stores;
  const pause = step("pause", async () => {});
  return failing(
    {
      get: step("get", (key) => metadata.get(key)),
      list: step("list", (range) => metadata.list(range)),
      commit: step("commit", (change) => metadata.commit(change)),
    },
    {
      stat: step("stat", (digest) => blobs.stat(digest)),
      publish: step("publish", (upload, digest, options) => blobs.publish(upload, digest, options)),
      // The question within is made of steps itself; what comes after the answer is the moment to look at.
      remove: (digest, still, after) =>
        blobs.remove(
          digest,
          async () => {
            const answer = await still();
            await pause();
            return answer;
          },
          after,
        ),
    },
  );
}

describe("links to a blob that is there", () => {
  test("which several repositories make at once do not conflict, while its record stays as it is", async () => {
    const digest = await push(stores, A, "content");
    const record = await stores.metadata.get(keys.blob(digest));
    const { expect: grounds } = await blobGrounds(stores, digest);
    for (const name of ["team/c", "team/d", "team/e"]) {
      const put = linkRows(repository(name), digest, { size: 7, by: "tester", at: 1, isThere: true });
      expect(await stores.metadata.commit({ expect: grounds, put, remove: [], audit: [eventOf("blob.push")] })).toBe("committed");
    }
    expect(await stores.metadata.get(keys.blob(digest))).toEqual(record);
  });

  test("keep it from being condemned by who did not see them", async () => {
    const digest = await push(stores, A, "content");
    await unlink(stores, A, digest);
    const found = await foundBlob(stores, digest, 7);
    await push(stores, B, "content");
    expect(await condemn(stores, digest, found)).toBe(false);
    expect(await brokenLinks(stores)).toEqual([]);
  });
});

describe("pushes, deletions and collections at once", () => {
  let contents = 0;

  const START = {
    absent: async () => {},
    orphan: async (content: string) => orphan(stores, content),
    linked: async (content: string) => push(stores, A, content),
    "linked with its bytes": async (content: string) => pushFew(stores, A, content),
    written: async (content: string) => writeOwn(stores, A, content),
    "written and unlinked": async (content: string) => unlink(stores, A, await writeOwn(stores, A, content)),
    uploaded: async (content: string) => pushUnnamed(stores, A, content),
    deleted: async (content: string) => ceaseToName(stores, A, await push(stores, A, content)),
    unlinked: async (content: string) => unlink(stores, A, await push(stores, A, content)),
    condemned: async (content: string) => {
      const digest = await push(stores, A, content);
      await unlink(stores, A, digest);
      await condemn(stores, digest, await foundBlob(stores, digest, 7));
    },
  } as const;

  const ACTORS = {
    push: async (on: Stores, content: string) => push(on, A, content),
    "push elsewhere": async (on: Stores, content: string) => push(on, B, content),
    "push few bytes": async (on: Stores, content: string) => pushFew(on, A, content),
    "push few bytes elsewhere": async (on: Stores, content: string) => pushFew(on, B, content),
    write: async (on: Stores, content: string) => writeOwn(on, A, content),
    upload: async (on: Stores, content: string) => pushUnnamed(on, A, content),
    name: async (on: Stores, content: string) => beginToName(sparing(on, -HOUR), A, digestOf(content)),
    unname: async (on: Stores, content: string) => ceaseToName(on, A, digestOf(content)),
    unlink: async (on: Stores, content: string) => unlink(on, A, digestOf(content)),
    collect: async (on: Stores) => collect(on, -HOUR),
    remove: async (on: Stores, content: string) => finishRemoval(on, digestOf(content)),
  } as const;

  const start = fc.constantFrom(...(Object.keys(START) as (keyof typeof START)[]));
  const actors = fc.array(fc.constantFrom(...(Object.keys(ACTORS) as (keyof typeof ACTORS)[])), { minLength: 2, maxLength: 4 });

  test("in any order of their steps never leave a link without its bytes, or what is needed without its link, and then no other bytes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), start, actors, async (scheduler, from, who) => {
        contents += 1;
        const content = `content ${contents}`;
        await START[from](content);
        const broken = new Set<string>();
        const on = stepped(scheduler, async () => {
          for (const link of [...(await brokenLinks(stores)), ...(await lostLinks(stores))]) broken.add(link);
        });
        await scheduler.waitFor(Promise.all(who.map((actor) => ACTORS[actor](on, content))));
        expect([...broken]).toEqual([]);
        expect([...(await brokenLinks(stores)), ...(await lostLinks(stores))]).toEqual([]);
        await collect(stores, -HOUR);
        expect(await lostLinks(stores)).toEqual([]);
        const links = await stores.metadata.list(under(["link"], 1000));
        const linked = [...new Set(links.map(({ key }) => String(key[2])))].toSorted();
        expect(await allBlobs(stores)).toEqual(linked);
        const edges = await stores.metadata.list(under(["edge"], 1000));
        expect(linked).toEqual([...new Set(edges.map(({ key }) => String(key[3])))].toSorted());
        const uses = await stores.metadata.list(under(["link-use"], 1000));
        expect(links.map(({ key }) => key.slice(1))).toEqual(expect.arrayContaining(uses.map(({ key }) => key.slice(1))));
        expect(await allRecords(stores)).toEqual(Object.fromEntries(linked.map((digest) => [digest, "present"])));
        for (const { key } of links) await unlink(stores, repository(String(key[1])), key[2] as Digest);
      }),
      { numRuns: 150 },
    );
  });

  test("in several processes never leave a link without its bytes, and a collection after them leaves no other bytes", async () => {
    const collectors = [startChild(COLLECT, world.directory), startChild(COLLECT, world.directory)];
    await Promise.all(collectors.map((collector) => collector.said(1)));
    const few = Array.from({ length: 5 }, (_empty, index) => `content ${index}`);
    const broken: string[] = [];
    const pusher = async (at: ReturnType<typeof repository>, seed: number): Promise<void> => {
      for (let round = 0; round < 40; round += 1) {
        const content = few[(round * seed) % few.length] ?? "";
        const way = round % 5 === 0 ? pushUnnamed : round % 2 === 0 ? push : pushFew;
        const digest = await way(stores, at, content);
        broken.push(...(await brokenLinks(stores)), ...(await lostLinks(stores)));
        if (round % 3 !== 0) await unlink(stores, at, digest);
      }
    };
    await Promise.all([pusher(A, 1), pusher(B, 2), pusher(repository("team/c"), 3)]);
    expect(broken).toEqual([]);
    // They had work to do.
    await Promise.all(collectors.map((collector) => collector.said(collector.lines.length + 1)));
    expect(collectors.flatMap(({ lines }) => lines.map(Number)).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
    await collectors[0]?.kill();
    await collectors[1]?.kill();
    await orphan(stores, "left by a crash");
    await collect(stores, -HOUR);
    const links = await stores.metadata.list(under(["link"], 1000));
    expect(await allBlobs(stores)).toEqual([...new Set(links.map(({ key }) => String(key[2])))].toSorted());
    expect(await brokenLinks(stores)).toEqual([]);
    await auditOf(stores.metadata);
  });
});
