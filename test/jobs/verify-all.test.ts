import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Scheduler, startScheduler } from "../../src/jobs/scheduler.ts";
import { type VerifyAllOptions, type VerifyAllServices, verifyAll } from "../../src/jobs/verify-all.ts";
import { statementConfig } from "../../src/lifecycle/statement.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { onJobAsked } from "../../src/registry/asked-jobs.ts";
import { streamAudit } from "../../src/registry/read-audit.ts";
import {
  VERIFY_ALL,
  cancelVerification,
  markVerification,
  progressOf,
  startVerification,
  verificationStatus,
  waitForVerification,
} from "../../src/registry/verify-run.ts";
import { keys } from "../../src/storage/keys.ts";
import type { KeyRange } from "../../src/storage/metadata-store.ts";
import { blobsWith } from "../support/blob-registry.ts";
import { overwriteRow } from "../support/blob-rows.ts";
import { callerWith } from "../support/callers.ts";
import { type Child, startChild } from "../support/child.ts";
import { fileOf, overwrite } from "../support/damaged-bytes.ts";
import { repository } from "../support/principal.ts";
import { Transitions, digestIn, imageOf, indexOf } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const WORKER = new URL("process/verify-all.ts", import.meta.url);
const DAY = 24 * 60 * 60 * 1000;
const publisher = callerWith(["publisher@models"], { name: "pushing" });
const operator = callerWith(["operator@*"], { name: "operating" });
const AT = "models/m";
const never = new AbortController().signal;

let registry: Transitions;
let services: VerifyAllServices;
let schedulers: Scheduler[];
let children: Child[];

beforeEach(async () => {
  registry = await Transitions.start();
  ({ services } = registry);
  [schedulers, children] = [[], []];
});
afterEach(async () => {
  await Promise.all(schedulers.map((scheduler) => scheduler.stop()));
  await Promise.all(children.map((child) => child.kill()));
  await registry[Symbol.asyncDispose]();
});

const ASKED: VerifyAllOptions = { interval: 0, rate: 0, look: 10 };
const check = (over: Partial<VerifyAllServices> = {}, options = ASKED, signal = never): Promise<void> =>
  verifyAll({ ...services, ...over }, options, signal);

async function pushMany(count: number): Promise<Digest[]> {
  const digests: Digest[] = [];
  for (let index = 0; index < count; index += 1) digests.push(await registry.blob(publisher, AT, `blob ${index}`));
  return digests.toSorted();
}

/** A blob store that says what is read, and waits for something before it gives the bytes. */
function watched(before: (digest: Digest) => Promise<unknown> = async () => undefined) {
  const read: Digest[] = [];
  const blobs = blobsWith(services.blobs, {
    open: async (digest) => {
      read.push(digest);
      await before(digest);
      return services.blobs.open(digest);
    },
  });
  return { read, blobs };
}

const published = async (): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(registry.directory, "integrity-last.json"), "utf8")) as Record<string, unknown>;

/** A blob store whose blobs have no end. */
function endless() {
  const reading = Promise.withResolvers<void>();
  const blobs = blobsWith(services.blobs, {
    open: async () =>
      Readable.from(
        (async function* () {
          for (;;) {
            yield Buffer.alloc(1000);
            reading.resolve();
            await sleep(1);
          }
        })(),
      ),
  });
  return { reading: reading.promise, blobs };
}

async function events(prefix: string) {
  const found = [];
  for await (const { event } of streamAudit(services, {})) if (event.type.startsWith(prefix)) found.push(event);
  return found;
}

/** A worker's scheduler of this job alone. */
function worker(over: Partial<VerifyAllServices> = {}, lease = 30_000): void {
  const job = {
    name: "verify-all",
    every: DAY,
    run: (signal: AbortSignal) => check(over, ASKED, signal),
    onAsked: (begin: () => void) => onJobAsked(services.metadata, VERIFY_ALL, begin),
  };
  schedulers.push(startScheduler(services, [job], { lease }));
}

describe("a check of all blobs", () => {
  test("reads each blob once, in the order of the digests, and tells what it did", async () => {
    const model = imageOf(["blob 0", "blob 1"]);
    const digests = await pushMany(4);
    await registry.blob(publisher, AT, "{}");
    for (const each of [model, imageOf(["blob 0"])]) await registry.manifest(publisher, AT, each);
    await registry.blob(publisher, "models/other", "blob 0");
    const id = await startVerification(services, operator);
    const { read, blobs } = watched();
    await check({ blobs });
    expect(read).toEqual([...digests, digestOf("{}")].toSorted());
    const result = await waitForVerification(services, id);
    expect(result).toMatchObject({
      id,
      by: "operating",
      status: "ok",
      detail: null,
      blobsChecked: 5,
      bytesChecked: 4 * 6 + 2,
      blobsDamaged: 0,
      blobsUnreadable: 0,
      artifactsChecked: 2,
      artifactsFailed: 0,
    });
    expect(await published()).toEqual({
      status: "ok",
      models_checked: 2,
      failures: 0,
      checked_at: new Date(result.endedAt).toISOString(),
      started_at: new Date(result.startedAt).toISOString(),
      blobs_checked: 5,
      bytes_checked: 26,
      blobs_damaged: 0,
      blobs_unreadable: 0,
    });
    expect((await stat(join(registry.directory, "integrity-last.json"))).mode & 0o777).toBe(0o644);
    expect((await events("verification.")).map(({ type, actor }) => [type, actor.principal])).toEqual([
      ["verification.start", "operating"],
      ["verification.end", "system"],
    ]);
  });

  test("finds damaged and missing blobs, and how many artifacts they are of: indexes around them, no statements", async () => {
    const model = imageOf(["blob 0"]);
    await pushMany(3);
    await registry.blob(publisher, AT, "{}");
    for (const each of [model, indexOf([model]), imageOf(["blob 1"])]) await registry.manifest(publisher, AT, each);
    await registry.promote(operator, AT, digestIn(indexOf([model])));
    await registry.manifest(publisher, AT, imageOf(["blob 2"]));
    await registry.promote(operator, AT, digestIn(imageOf(["blob 2"])));
    await registry.revoke(operator, AT, digestIn(imageOf(["blob 2"])));
    await overwrite(registry.directory, digestOf("blob 0"), "wrong.");
    await rm(fileOf(registry.directory, digestOf("blob 2")));
    const id = await startVerification(services, operator);
    await check();
    // The model, the index around it, and the revoked one.
    expect(await waitForVerification(services, id)).toMatchObject({
      status: "failed",
      blobsDamaged: 2,
      artifactsChecked: 4,
      artifactsFailed: 3,
    });
    expect(await published()).toMatchObject({ status: "failed", failures: 3, blobs_damaged: 2 });
    expect((await events("blob.damage")).map(({ after }) => after?.["asked_by"])).toEqual(["operating", "operating"]);
  });

  test("takes the registry's own statements for no artifacts", async () => {
    await registry.blob(publisher, AT, "{}");
    await registry.manifest(publisher, AT, imageOf([]));
    await registry.promote(operator, AT, digestIn(imageOf([])));
    await overwriteRow(services.metadata, digestOf(statementConfig(repository(AT))), "wrong");
    const id = await startVerification(services, operator);
    await check();
    const result = { status: "failed", blobsDamaged: 1, artifactsChecked: 1, artifactsFailed: 0 };
    expect(await waitForVerification(services, id)).toMatchObject(result);
  });

  test("takes a failing storage for no damage, and says nothing of what it could not read", async () => {
    const [first = digestOf(""), ...others] = await pushMany(3);
    const blobs = blobsWith(services.blobs, {
      open: (digest) => (digest === first ? Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" })) : services.blobs.open(digest)),
    });
    const id = await startVerification(services, operator);
    await check({ blobs });
    expect(others).toHaveLength(2);
    expect(await waitForVerification(services, id)).toMatchObject({
      status: "error",
      blobsChecked: 3,
      blobsDamaged: 0,
      blobsUnreadable: 1,
      unreadable: [first],
    });
    expect(await published()).toMatchObject({ status: "error", detail: expect.stringMatching(/failed to read/) as unknown });
    expect(await events("blob.")).not.toContainEqual(expect.objectContaining({ type: "blob.damage" }));
  });

  test("is one for all who ask, in whichever process, and each gets its result", async () => {
    await pushMany(3);
    const other = await registry.another();
    try {
      const ids = await Promise.all([
        startVerification(services, operator),
        startVerification(other, callerWith(["auditor@*"], { name: "other" })),
        startVerification(services, operator),
      ]);
      expect(new Set(ids).size).toBe(1);
      const waiting = ids.map((id, index) => waitForVerification(index === 1 ? other : services, id));
      await check();
      for (const result of await Promise.all(waiting)) expect(result).toMatchObject({ id: ids[0], status: "ok", blobsChecked: 3 });
      expect(await events("verification.start")).toHaveLength(1);
    } finally {
      await other.close();
    }
  });

  test("begins at once in the worker that is asked, and again for who asks when it has just ended", async () => {
    await pushMany(2);
    worker();
    // Not due for a day, from here on.
    await expect.poll(async () => (await services.metadata.get(keys.lease("verify-all")))?.value).toMatchObject({ holder: null });
    for (let round = 0; round < 3; round += 1) {
      const id = await startVerification(services, operator);
      expect(await waitForVerification(services, id)).toMatchObject({ id, status: "ok" });
    }
  });

  test("writes down how far it is within a blob, which may be large", async () => {
    await pushMany(1);
    await startVerification(services, operator);
    const { blobs } = endless();
    const stopping = new AbortController();
    const checking = check({ blobs }, ASKED, stopping.signal);
    await expect.poll(async () => (await verificationStatus(services)).current?.bytesUnderWay ?? 0).toBeGreaterThan(0);
    stopping.abort();
    await checking;
    const { current } = await verificationStatus(services);
    expect(current).toMatchObject({ after: null, blobsTotal: 1, bytesTotal: 6 });
  });

  test("is as far as its bytes are, where these are counted, else as far as its digests are", () => {
    const run = { id: "", by: null, startedAt: 0, blobsChecked: 1, blobsDamaged: 0, blobsUnreadable: 0, unreadable: [], blobsTotal: null };
    const read = { ...run, bytesChecked: 20, after: `sha256:8${"0".repeat(63)}` as Digest };
    expect(progressOf({ ...read, bytesTotal: 100, bytesUnderWay: 30 })).toBe(0.5);
    expect(progressOf({ ...read, bytesTotal: 10 })).toBe(1);
    for (const bytesTotal of [null, 0]) expect(progressOf({ ...read, bytesTotal })).toBe(0.5);
    expect(progressOf({ ...read, after: `sha512:1${"0".repeat(127)}` as Digest })).toBe(1);
    expect(progressOf({ ...read, after: null })).toBe(0);
  });

  test("does not take somebody else's blobs with it when it ends early, and goes on where it was", async () => {
    const digests = await pushMany(20);
    const id = await startVerification(services, operator);
    const stopping = new AbortController();
    let opened = 0;
    const first = watched(async () => {
      opened += 1;
      if (opened === 8) stopping.abort();
    });
    await check({ blobs: first.blobs }, ASKED, stopping.signal);
    const { current } = await verificationStatus(services);
    expect(current).toMatchObject({ id, blobsChecked: 7, after: digests[6] });
    const second = watched();
    await check({ blobs: second.blobs });
    expect(second.read).toEqual(digests.slice(7));
    expect(await waitForVerification(services, id)).toMatchObject({
      status: "ok",
      blobsChecked: 20,
      bytesChecked: digests.length * 6 + 10,
    });
  });
});

describe("when a worker is killed in the midst of it", () => {
  test("another one goes on where it stopped, once the lease has run out", async () => {
    const digests = await pushMany(60);
    const id = await startVerification(services, operator);
    const killed = startChild(WORKER, registry.directory, "1000", "24");
    children.push(killed);
    await killed.said(25);
    await expect.poll(async () => (await verificationStatus(services)).current).toMatchObject({ id, after: digests[23] });
    await killed.kill();
    const next = startChild(WORKER, registry.directory, "1000", "60");
    children.push(next);
    expect(await waitForVerification(services, id)).toMatchObject({ id, status: "ok", blobsChecked: 60 });
    await next.kill();
    // What was under way when the first one was killed is read twice, nothing before it, and none is left out.
    expect(next.lines).toEqual(digests.slice(24));
    expect(await published()).toMatchObject({ status: "ok", blobs_checked: 60 });
  });

  test("between the end of the run and its file, the next one writes the file", async () => {
    await pushMany(1);
    const id = await startVerification(services, operator);
    await rm(join(registry.directory, "integrity-last.json"), { force: true });
    const crash = new Error("killed");
    const dying = {
      ...services.metadata,
      get: services.metadata.get.bind(services.metadata),
      list: services.metadata.list.bind(services.metadata),
      commit: async (change: Parameters<typeof services.metadata.commit>[0]) => {
        const outcome = await services.metadata.commit(change);
        if (change.audit.some(({ type }) => type === "verification.end")) throw crash;
        return outcome;
      },
      close: async () => undefined,
    };
    await expect(check({ metadata: dying })).rejects.toBe(crash);
    await expect(published()).rejects.toMatchObject({ code: "ENOENT" });
    const waiting = waitForVerification(services, id);
    await check();
    expect((await waiting).status).toBe("ok");
    expect(await published()).toMatchObject({ status: "ok" });
  });
});

describe("two workers at once", () => {
  test("that both believe to have the lease end with one result: who finds that another goes on stops", async () => {
    const digests = await pushMany(40);
    const id = await startVerification(services, operator);
    const slow = watched(() => sleep(10));
    const also = watched(() => sleep(10));
    await Promise.all([check({ blobs: slow.blobs }), check({ blobs: also.blobs })]);
    expect(await waitForVerification(services, id)).toMatchObject({ id, status: "ok" });
    expect(new Set([...slow.read, ...also.read])).toEqual(new Set(digests));
    expect(await events("verification.end")).toHaveLength(1);
  });

  test("do not overwrite each other's progress", async () => {
    await pushMany(1);
    await startVerification(services, operator);
    const { current } = await verificationStatus(services);
    if (current === null) throw new Error("no run");
    const ahead = { ...current, after: digestOf("b"), blobsChecked: 9 };
    expect(await markVerification(services, current, ahead)).toEqual(ahead);
    expect(await markVerification(services, current, { ...current, after: digestOf("a"), blobsChecked: 1 })).toBeNull();
    expect((await verificationStatus(services)).current).toEqual(ahead);
  });
});

describe("cancelling", () => {
  test("ends the run in whichever worker it goes on, in the midst of a blob, and tells who waits", async () => {
    await pushMany(1);
    const id = await startVerification(services, operator);
    const waiting = waitForVerification(services, id);
    const { reading, blobs } = endless();
    const run = check({ blobs });
    await reading;
    expect(await cancelVerification(services, operator)).toMatchObject({ id, status: "error" });
    await run;
    expect(await waiting).toMatchObject({ id, status: "error", detail: expect.stringMatching(/cancelled/) as unknown });
    expect(await published()).toMatchObject({ status: "error", detail: expect.stringMatching(/cancelled/) as unknown });
    expect((await events("verification.")).map(({ type, actor }) => [type, actor.principal])).toEqual([
      ["verification.start", "operating"],
      ["verification.cancel", "operating"],
    ]);
  });

  test("what is not under way does nothing", async () => {
    expect(await cancelVerification(services, operator)).toBeNull();
    expect(await events("verification.")).toEqual([]);
  });
});

describe("a check that nobody asked for", () => {
  const WEEKLY: VerifyAllOptions = { interval: 7 * DAY, rate: 0, look: 10 };
  let ahead: number;
  const clock = (): number => Date.now() + ahead;
  beforeEach(() => {
    ahead = 0;
  });

  test("begins an interval after it was first known that there was none, and after the beginning of the last one", async () => {
    await pushMany(2);
    await check({ clock }, WEEKLY);
    ahead = 7 * DAY - 60_000;
    await check({ clock }, WEEKLY);
    expect(await verificationStatus(services)).toEqual({ current: null, last: null });
    ahead = 7 * DAY + 60_000;
    await check({ clock }, WEEKLY);
    const { last } = await verificationStatus(services);
    expect(last).toMatchObject({ by: null, status: "ok", blobsChecked: 2 });
    await check({ clock }, WEEKLY);
    ahead += 7 * DAY - 60_000;
    await check({ clock }, WEEKLY);
    expect((await verificationStatus(services)).last?.id).toBe(last?.id);
    ahead += 120_000;
    await check({ clock }, WEEKLY);
    expect((await verificationStatus(services)).last?.id).not.toBe(last?.id);
    expect((await events("verification.start")).map(({ actor }) => actor.principal)).toEqual(["system", "system"]);
  });

  test("never begins at an interval of zero", async () => {
    await check({ clock });
    ahead = 10_000 * DAY;
    await check({ clock });
    expect(await verificationStatus(services)).toEqual({ current: null, last: null });
  });

  test("is not put off by a clock that was far ahead once", async () => {
    ahead = 1000 * DAY;
    await check({ clock }, WEEKLY);
    ahead = 0;
    await check({ clock }, WEEKLY);
    expect((await verificationStatus(services)).last).toMatchObject({ by: null, status: "ok" });
  });

  test("goes slowly until somebody asks for it, who then gets it at full speed", async () => {
    const digest = await registry.blob(publisher, AT, "x".repeat(1_000_000));
    await check({ clock }, WEEKLY);
    ahead = 8 * DAY;
    const { read, blobs } = watched();
    // A fortnight, by itself.
    const run = check({ clock, blobs }, { ...WEEKLY, rate: 1 });
    await expect.poll(() => read).toEqual([digest]);
    const id = await startVerification(services, operator);
    await run;
    expect(await waitForVerification(services, id)).toMatchObject({ id, by: "operating", status: "ok", bytesChecked: 1_000_000 });
    expect(read).toEqual([digest]);
  });
});

/** How often it was asked whether others are, while two megabytes were checked. */
async function looks(isAnswering: boolean): Promise<number> {
  let count = 0;
  const options = {
    ...ASKED,
    isAnswering: () => {
      count += 1;
      return isAnswering;
    },
  };
  await startVerification(services, operator);
  await check({}, options);
  return count;
}

describe("a check beside those who are answered", () => {
  test("takes a pause after each piece and looks again then, and takes none when there is nobody", async () => {
    for (const size of [1_000_000, 999_999]) await registry.blob(publisher, AT, "x".repeat(size));
    const without = await looks(false);
    expect(await looks(true)).toBeGreaterThan(without);
    expect((await verificationStatus(services)).last).toMatchObject({ status: "ok", bytesChecked: 1_999_999 });
  });
});

describe("whoever waits", () => {
  test("may leave, which ends nothing", async () => {
    await pushMany(1);
    const id = await startVerification(services, operator);
    const leaving = new AbortController();
    const left = waitForVerification(services, id, { signal: leaving.signal });
    leaving.abort();
    await expect(left).rejects.toThrow(/abort/i);
    await check();
    expect((await waitForVerification(services, id)).status).toBe("ok");
  });

  test("is not kept waiting by a process that stops", async () => {
    const id = await startVerification(services, operator);
    let isStopping = false;
    const waiting = waitForVerification(services, id, { isStopping: () => isStopping });
    isStopping = true;
    await expect(waiting).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect((await verificationStatus(services)).current).toMatchObject({ id });
  });

  test("gets a later result when its own is over and gone", async () => {
    const first = await startVerification(services, operator);
    await check();
    const second = await startVerification(services, operator);
    await check();
    expect(second).not.toBe(first);
    expect((await waitForVerification(services, first)).id).toBe(second);
  });

  test("for what never was is told so", async () => {
    await expect(waitForVerification(services, "none")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

test("a result that cannot be written is logged, and no run fails for it", async () => {
  await pushMany(1);
  const id = await startVerification(services, operator);
  await check({ integrityResultPath: join(registry.directory, "no", "such", "folder") });
  expect((await waitForVerification(services, id)).status).toBe("ok");
});

/** Services of which a look-up of rows fails. */
function failing(isFailing: (range: KeyRange) => boolean) {
  const { metadata } = services;
  return {
    get: metadata.get.bind(metadata),
    commit: metadata.commit.bind(metadata),
    close: async () => undefined,
    list: async (range: KeyRange) => {
      if (isFailing(range)) throw new Error("no rows");
      return metadata.list(range);
    },
  };
}

describe("a run in which something fails", () => {
  test("is tried again from its last mark when nothing can be said", async () => {
    await pushMany(3);
    const id = await startVerification(services, operator);
    await expect(check({ metadata: failing(() => true) })).rejects.toThrow("no rows");
    expect((await verificationStatus(services)).current).toMatchObject({ id });
    await check();
    expect(await waitForVerification(services, id)).toMatchObject({ id, status: "ok" });
  });

  test("ends with an error when that can be said", async () => {
    await pushMany(3);
    const id = await startVerification(services, operator);
    await check({ metadata: failing(({ start }) => start[0] === "blob") });
    expect(await waitForVerification(services, id)).toMatchObject({ status: "error", detail: expect.stringMatching(/log/) as unknown });
    expect(await published()).toMatchObject({ status: "error" });
  });

  test("ends what its worker does when progress cannot be written, and is gone on with", async () => {
    const digests = await pushMany(3);
    const id = await startVerification(services, operator);
    const broken = { ...failing(() => false), commit: () => Promise.reject(new Error("no room")) };
    await expect(check({ metadata: broken, blobs: endless().blobs })).rejects.toThrow("no room");
    const { read, blobs } = watched();
    await check({ blobs });
    expect(read).toEqual(digests);
    expect((await waitForVerification(services, id)).status).toBe("ok");
  });
});
