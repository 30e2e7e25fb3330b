import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Job, type Scheduler, startScheduler } from "../../src/jobs/scheduler.ts";
import { keys } from "../../src/storage/keys.ts";
import type { Change, MetadataStore } from "../../src/storage/metadata-store.ts";
import { type LeaseRecord, leaseRecord } from "../../src/storage/records.ts";
import { auditOf } from "../storage/metadata-store.suite.ts";
import { type World, openWorld } from "./garbage.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/** A loaded machine may take its time. */
const PATIENT = { timeout: 30_000 };

const HOUR = 60 * 60 * 1000;
let world: World;
let schedulers: Scheduler[];

beforeEach(async () => {
  world = await openWorld();
  schedulers = [];
});

afterEach(async () => {
  await Promise.all(schedulers.map((scheduler) => scheduler.stop()));
  await world[Symbol.asyncDispose]();
});

/** One worker of several over the same metadata. */
function worker(jobs: readonly Job[], lease = 30_000, stores: Pick<World["stores"], "metadata"> = world.stores): Scheduler {
  const scheduler = startScheduler({ ...world.stores, ...stores }, jobs, { lease });
  schedulers.push(scheduler);
  return scheduler;
}

async function leaseOf(name: string): Promise<LeaseRecord | undefined> {
  const entry = await world.stores.metadata.get(keys.lease(name));
  return entry && leaseRecord.parse(entry.value);
}

async function putLease(name: string, lease: Omit<LeaseRecord, "v">): Promise<void> {
  await world.stores.metadata.commit({ expect: [], put: [{ key: keys.lease(name), value: { v: 1, ...lease } }], remove: [], audit: [] });
}

/** A job that counts its runs and lasts until it is told to end. */
class Held {
  runs = 0;
  running = 0;
  most = 0;
  readonly signals: AbortSignal[] = [];
  readonly #ends: (() => void)[] = [];
  readonly job: Job;

  constructor(name: string, every = HOUR) {
    this.job = { name, every, run: (signal) => this.#run(signal) };
  }

  async #run(signal: AbortSignal): Promise<void> {
    this.runs += 1;
    this.running += 1;
    this.most = Math.max(this.most, this.running);
    this.signals.push(signal);
    await new Promise<void>((resolve) => {
      this.#ends.push(resolve);
      signal.addEventListener("abort", () => resolve());
    });
    this.running -= 1;
  }

  end(): void {
    for (const end of this.#ends.splice(0)) end();
  }
}

describe("a job", () => {
  test("runs in one worker at a time, and soon after the start", async () => {
    const held = new Held("j");
    for (let index = 0; index < 4; index += 1) worker([held.job]);
    await expect.poll(() => held.runs, PATIENT).toBe(1);
    expect(await leaseOf("j")).toMatchObject({ holder: expect.any(String) as unknown });
    held.end();
    await expect.poll(async () => (await leaseOf("j"))?.holder, PATIENT).toBeNull();
    expect(held.most).toBe(1);
    expect(held.runs).toBe(1);
  });

  test("runs again when it is due, counted from when it began, in any worker", async () => {
    const begun = Date.now();
    const held = new Held("j", HOUR);
    worker([held.job], 60);
    worker([held.job], 60);
    await expect.poll(() => held.runs, PATIENT).toBe(1);
    held.end();
    await expect.poll(async () => (await leaseOf("j"))?.holder, PATIENT).toBeNull();
    const { dueAt = 0 } = (await leaseOf("j")) ?? {};
    expect(dueAt).toBeGreaterThanOrEqual(begun + HOUR);
    expect(dueAt).toBeLessThanOrEqual(Date.now() + HOUR);
    world.ahead = HOUR + 1000;
    await expect.poll(() => held.runs, PATIENT).toBe(2);
    held.end();
  });

  test("does not wait for another job", async () => {
    const [slow, quick] = [new Held("slow"), new Held("quick")];
    worker([slow.job, quick.job]);
    await expect.poll(() => [slow.runs, quick.runs], PATIENT).toEqual([1, 1]);
    quick.end();
    await expect.poll(async () => (await leaseOf("quick"))?.holder, PATIENT).toBeNull();
    expect(slow.running).toBe(1);
  });

  test("that fails is logged and tried again sooner than it would be due, and takes no other one down", async () => {
    let tries = 0;
    const failing = { name: "bad", every: HOUR, run: async () => Promise.reject(new Error(`no ${(tries += 1)}`)) };
    const good = new Held("good");
    worker([failing, good.job]);
    await expect.poll(() => tries, PATIENT).toBe(1);
    await expect.poll(async () => (await leaseOf("bad"))?.holder, PATIENT).toBeNull();
    const { dueAt = Infinity } = (await leaseOf("bad")) ?? {};
    expect(dueAt).toBeLessThanOrEqual(Date.now() + 60_000);
    expect(good.runs).toBe(1);
  });

  test("of which a crashed worker holds the lease goes on elsewhere when that runs out, not before", async () => {
    const held = new Held("j");
    await putLease("j", { holder: "crashed", until: Date.now() + HOUR, dueAt: 0 });
    worker([held.job], HOUR);
    const other = worker([new Held("other").job]);
    await expect.poll(async () => (await leaseOf("other"))?.holder, PATIENT).not.toBeNull();
    expect(held.runs).toBe(0);
    await other.stop();
    await putLease("k", { holder: "crashed", until: Date.now() + 50, dueAt: Date.now() + HOUR });
    const next = new Held("k");
    worker([next.job], 100);
    await expect.poll(() => next.runs, PATIENT).toBe(1);
    expect(Date.now()).toBeGreaterThanOrEqual(((await leaseOf("k"))?.until ?? Infinity) - 200);
  });

  test("is not kept from running by times that a wrong clock wrote", async () => {
    const [held, free] = [new Held("held"), new Held("free")];
    await putLease("held", { holder: "crashed", until: Date.now() + 1000 * HOUR, dueAt: 0 });
    await putLease("free", { holder: null, until: 0, dueAt: Date.now() + 1000 * HOUR });
    worker([held.job, free.job]);
    await expect.poll(() => [held.runs, free.runs], PATIENT).toEqual([1, 1]);
  });
});

/** A held job with somebody who asks for it. */
function asking(name: string) {
  const held = new Held(name);
  const listeners = new Set<() => void>();
  const onAsked = (begin: () => void) => {
    listeners.add(begin);
    return () => void listeners.delete(begin);
  };
  const ask = (): void => listeners.forEach((begin) => begin());
  return { held, listeners, ask, job: { ...held.job, onAsked } };
}

describe("a job that may be asked for", () => {
  test("begins at once though it is not due, and only once for who asks several times", async () => {
    const { held, ask, job } = asking("j");
    worker([job]);
    await expect.poll(() => held.runs, PATIENT).toBe(1);
    held.end();
    await expect.poll(async () => (await leaseOf("j"))?.holder, PATIENT).toBeNull();
    ask();
    ask();
    await expect.poll(() => held.runs, PATIENT).toBe(2);
    held.end();
    await expect.poll(async () => (await leaseOf("j"))?.holder, PATIENT).toBeNull();
    expect(held.runs).toBe(2);
  });

  test("runs once more for who asks while it runs", async () => {
    const { held, ask, job } = asking("j");
    worker([job]);
    await expect.poll(() => held.runs, PATIENT).toBe(1);
    ask();
    expect(held.runs).toBe(1);
    held.end();
    await expect.poll(() => held.runs, PATIENT).toBe(2);
    expect(held.most).toBe(1);
  });

  test("waits for the lease of another worker, and forgets who asked when its scheduler stops", async () => {
    const { held, ask, listeners, job } = asking("j");
    await putLease("j", { holder: "another", until: Date.now() + 300, dueAt: Date.now() + HOUR });
    const scheduler = worker([job], 300);
    ask();
    await expect.poll(() => held.runs, PATIENT).toBe(1);
    expect(Date.now()).toBeGreaterThanOrEqual(((await leaseOf("j"))?.until ?? Infinity) - 300);
    await scheduler.stop();
    expect(listeners.size).toBe(0);
  });
});

describe("a lease", () => {
  test("is renewed as long as its job runs", async () => {
    const held = new Held("j");
    worker([held.job], 150);
    await expect.poll(() => held.runs, PATIENT).toBe(1);
    const { until: first = 0 } = (await leaseOf("j")) ?? {};
    await expect.poll(async () => (await leaseOf("j"))?.until, PATIENT).toBeGreaterThan(first + 150);
    expect(held.signals[0]?.aborted).toBe(false);
    held.end();
  });

  test("that somebody else has taken ends the job, and is left to that one", async () => {
    const held = new Held("j");
    worker([held.job], 90);
    await expect.poll(() => held.runs, PATIENT).toBe(1);
    const until = Date.now() + 80;
    await putLease("j", { holder: "another", until, dueAt: 0 });
    await expect.poll(() => held.signals[0]?.aborted, PATIENT).toBe(true);
    expect(held.running).toBe(0);
    // And when the other one is gone, it is the first one's turn again.
    await expect.poll(() => held.runs, PATIENT).toBe(2);
    expect(held.most).toBe(1);
  });

  test("that cannot be renewed ends the job", async () => {
    const held = new Held("j");
    let isBroken = false;
    const commit = async (change: Change) => {
      if (isBroken) throw new Error("no metadata");
      return world.stores.metadata.commit(change);
    };
    worker([held.job], 90, { metadata: withCommit(world.stores.metadata, commit) });
    await expect.poll(() => held.runs, PATIENT).toBe(1);
    isBroken = true;
    await expect.poll(() => held.signals[0]?.aborted, PATIENT).toBe(true);
    isBroken = false;
    await expect.poll(() => held.runs, PATIENT).toBe(2);
  });

  test("needs no audit event", async () => {
    const held = new Held("j");
    worker([held.job]);
    await expect.poll(() => held.runs, PATIENT).toBe(1);
    held.end();
    await expect.poll(async () => (await leaseOf("j"))?.holder, PATIENT).toBeNull();
    expect(await auditOf(world.stores.metadata)).toEqual([]);
  });
});

function withCommit(real: MetadataStore, commit: MetadataStore["commit"]): MetadataStore {
  return { get: (key) => real.get(key), list: (range) => real.list(range), close: () => real.close(), commit };
}

describe("stopping", () => {
  test("ends the running jobs, gives their leases back at once, and starts none any more", async () => {
    const [held, idle] = [new Held("j"), new Held("idle")];
    await putLease("idle", { holder: null, until: 0, dueAt: Date.now() + HOUR / 2 });
    const scheduler = worker([held.job, idle.job]);
    await expect.poll(() => held.runs, PATIENT).toBe(1);
    await scheduler.stop();
    expect(held.signals[0]?.aborted).toBe(true);
    expect(held.running).toBe(0);
    const lease = await leaseOf("j");
    expect(lease?.holder).toBeNull();
    // What was broken off is due again soon.
    expect(lease?.dueAt).toBeLessThanOrEqual(Date.now() + 60_000);
    world.ahead = 2 * HOUR;
    expect([held.runs, idle.runs]).toEqual([1, 0]);
    await scheduler.stop();
  });

  test("while a job is about to begin does not begin it", async () => {
    const held = new Held("j");
    const { promise, resolve } = Promise.withResolvers<void>();
    const commit = async (change: Change) => {
      const outcome = await world.stores.metadata.commit(change);
      await promise;
      return outcome;
    };
    const scheduler = worker([held.job], 30_000, { metadata: withCommit(world.stores.metadata, commit) });
    await expect.poll(async () => (await leaseOf("j"))?.holder, PATIENT).toBeTypeOf("string");
    const stopping = scheduler.stop();
    resolve();
    await stopping;
    expect(held.runs).toBe(0);
    expect((await leaseOf("j"))?.holder).toBeNull();
  });

  test("waits for a job that does not listen", async () => {
    let ended = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const deaf: Job = { name: "deaf", every: HOUR, run: () => promise.then(() => (ended = true)) };
    const scheduler = worker([deaf]);
    await expect.poll(() => leaseOf("deaf"), PATIENT).toBeDefined();
    await expect.poll(async () => (await leaseOf("deaf"))?.holder, PATIENT).not.toBeNull();
    const stopping = scheduler.stop();
    resolve();
    await stopping;
    expect(ended).toBe(true);
  });
});
