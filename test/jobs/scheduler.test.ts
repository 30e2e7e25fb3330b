import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Job, type Scheduler, startScheduler } from "../../src/jobs/scheduler.ts";
import { keys } from "../../src/storage/keys.ts";
import type { Change, MetadataStore } from "../../src/storage/metadata-store.ts";
import { type LeaseRecord, leaseRecord } from "../../src/storage/records.ts";
import { auditOf } from "../storage/metadata-store.suite.ts";
import { type World, openWorld } from "./garbage.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const HOUR = 60 * 60 * 1000;
let world: World;
let schedulers: Scheduler[];
/** What the clock of all workers says. It stands still unless a test moves it, so that no lease runs out because the machine is slow. */
let now: number;

beforeEach(async () => {
  world = await openWorld();
  schedulers = [];
  now = Date.now();
});

afterEach(async () => {
  await Promise.all(schedulers.map((scheduler) => scheduler.stop()));
  await world[Symbol.asyncDispose]();
});

/** One worker of several over the same metadata. */
function worker(jobs: readonly Job[], lease = 30_000, { metadata }: Pick<World["stores"], "metadata"> = world.stores): Scheduler {
  const scheduler = startScheduler({ ...world.stores, clock: () => now, metadata }, jobs, { lease });
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
    await expect.poll(() => held.runs).toBe(1);
    expect(await leaseOf("j")).toMatchObject({ holder: expect.any(String) as unknown });
    held.end();
    await expect.poll(async () => (await leaseOf("j"))?.holder).toBeNull();
    expect(held.most).toBe(1);
    expect(held.runs).toBe(1);
  });

  test("runs again when it is due, counted from when it began, in any worker", async () => {
    const held = new Held("j", HOUR);
    worker([held.job], 60);
    worker([held.job], 60);
    await expect.poll(() => held.runs).toBe(1);
    held.end();
    await expect.poll(async () => (await leaseOf("j"))?.holder).toBeNull();
    expect(await leaseOf("j")).toMatchObject({ dueAt: now + HOUR });
    now += HOUR;
    await expect.poll(() => held.runs).toBe(2);
    held.end();
  });

  test("does not wait for another job", async () => {
    const [slow, quick] = [new Held("slow"), new Held("quick")];
    worker([slow.job, quick.job]);
    await expect.poll(() => [slow.runs, quick.runs]).toEqual([1, 1]);
    quick.end();
    await expect.poll(async () => (await leaseOf("quick"))?.holder).toBeNull();
    expect(slow.running).toBe(1);
  });

  test("that fails is logged and tried again sooner than it would be due, and takes no other one down", async () => {
    let tries = 0;
    const failing = { name: "bad", every: HOUR, run: async () => Promise.reject(new Error(`no ${(tries += 1)}`)) };
    const good = new Held("good");
    worker([failing, good.job]);
    await expect.poll(() => tries).toBe(1);
    await expect.poll(async () => (await leaseOf("bad"))?.holder).toBeNull();
    expect(await leaseOf("bad")).toMatchObject({ dueAt: now + 60_000 });
    await expect.poll(() => good.runs).toBe(1);
  });

  test("of which a crashed worker holds the lease goes on elsewhere when that runs out, not before", async () => {
    const held = new Held("j");
    const { seen, metadata } = watched();
    await putLease("j", { holder: "crashed", until: now + 50, dueAt: now + HOUR });
    worker([held.job], 100, { metadata });
    await expect.poll(() => seen.looks).toBeGreaterThan(2);
    expect(held.runs).toBe(0);
    now += 50;
    await expect.poll(() => held.runs).toBe(1);
  });

  test("is not kept from running by times that a wrong clock wrote", async () => {
    const [held, free] = [new Held("held"), new Held("free")];
    await putLease("held", { holder: "crashed", until: now + 1000 * HOUR, dueAt: 0 });
    await putLease("free", { holder: null, until: 0, dueAt: now + 1000 * HOUR });
    worker([held.job, free.job]);
    await expect.poll(() => [held.runs, free.runs]).toEqual([1, 1]);
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
    await expect.poll(() => held.runs).toBe(1);
    held.end();
    await expect.poll(async () => (await leaseOf("j"))?.holder).toBeNull();
    ask();
    ask();
    await expect.poll(() => held.runs).toBe(2);
    held.end();
    await expect.poll(async () => (await leaseOf("j"))?.holder).toBeNull();
    expect(held.runs).toBe(2);
  });

  test("runs once more for who asks while it runs", async () => {
    const { held, ask, job } = asking("j");
    worker([job]);
    await expect.poll(() => held.runs).toBe(1);
    ask();
    expect(held.runs).toBe(1);
    held.end();
    await expect.poll(() => held.runs).toBe(2);
    expect(held.most).toBe(1);
  });

  test("waits for the lease of another worker, and forgets who asked when its scheduler stops", async () => {
    const { held, ask, listeners, job } = asking("j");
    const { seen, metadata } = watched();
    await putLease("j", { holder: "another", until: now + 50, dueAt: now + HOUR });
    const scheduler = worker([job], 100, { metadata });
    ask();
    await expect.poll(() => seen.looks).toBeGreaterThan(2);
    expect(held.runs).toBe(0);
    now += 50;
    await expect.poll(() => held.runs).toBe(1);
    await scheduler.stop();
    expect(listeners.size).toBe(0);
  });
});

describe("a lease", () => {
  test("is renewed as long as its job runs", async () => {
    const held = new Held("j");
    worker([held.job], 150);
    await expect.poll(() => held.runs).toBe(1);
    expect(await leaseOf("j")).toMatchObject({ until: now + 150 });
    now += 100;
    await expect.poll(async () => (await leaseOf("j"))?.until).toBe(now + 150);
    expect(held.signals[0]?.aborted).toBe(false);
    held.end();
  });

  test("that somebody else has taken ends the job, and is left to that one", async () => {
    const held = new Held("j");
    worker([held.job], 90);
    await expect.poll(() => held.runs).toBe(1);
    const another = { holder: "another", until: now + 80, dueAt: 0 };
    await putLease("j", another);
    await expect.poll(() => held.signals[0]?.aborted).toBe(true);
    expect([held.running, held.runs]).toEqual([0, 1]);
    expect(await leaseOf("j")).toMatchObject(another);
    now += 80;
    // And when the other one is gone, it is the first one's turn again.
    await expect.poll(() => held.runs).toBe(2);
    expect(held.most).toBe(1);
  });

  test("that cannot be renewed ends the job", async () => {
    const held = new Held("j");
    let isBroken = false;
    const commit = async (change: Change) => {
      if (isBroken) throw new Error("no metadata");
      return world.stores.metadata.commit(change);
    };
    worker([held.job], 90, { metadata: withOther(world.stores.metadata, { commit }) });
    await expect.poll(() => held.runs).toBe(1);
    isBroken = true;
    await expect.poll(() => held.signals[0]?.aborted).toBe(true);
    isBroken = false;
    now += 90;
    await expect.poll(() => held.runs).toBe(2);
  });

  test("needs no audit event", async () => {
    const held = new Held("j");
    worker([held.job]);
    await expect.poll(() => held.runs).toBe(1);
    held.end();
    await expect.poll(async () => (await leaseOf("j"))?.holder).toBeNull();
    expect(await auditOf(world.stores.metadata)).toEqual([]);
  });
});

/** The same metadata with something else in the place of a method. */
function withOther(real: MetadataStore, other: Partial<Pick<MetadataStore, "get" | "commit">>): MetadataStore {
  return {
    get: (key) => real.get(key),
    list: (range) => real.list(range),
    commit: (change) => real.commit(change),
    close: () => real.close(),
    ...other,
  };
}

/** Counts how often a worker has looked at a lease. */
function watched() {
  const seen = { looks: 0 };
  const get: MetadataStore["get"] = (key) => {
    seen.looks += 1;
    return world.stores.metadata.get(key);
  };
  return { seen, metadata: withOther(world.stores.metadata, { get }) };
}

describe("stopping", () => {
  test("ends the running jobs, gives their leases back at once, and starts none any more", async () => {
    const [held, idle] = [new Held("j"), new Held("idle")];
    await putLease("idle", { holder: null, until: 0, dueAt: now + HOUR / 2 });
    const scheduler = worker([held.job, idle.job]);
    await expect.poll(() => held.runs).toBe(1);
    await scheduler.stop();
    expect(held.signals[0]?.aborted).toBe(true);
    expect(held.running).toBe(0);
    const lease = await leaseOf("j");
    expect(lease?.holder).toBeNull();
    // What was broken off is due again soon.
    expect(lease?.dueAt).toBe(now + 60_000);
    now += 2 * HOUR;
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
    const scheduler = worker([held.job], 30_000, { metadata: withOther(world.stores.metadata, { commit }) });
    await expect.poll(async () => (await leaseOf("j"))?.holder).toBeTypeOf("string");
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
    await expect.poll(() => leaseOf("deaf")).toBeDefined();
    await expect.poll(async () => (await leaseOf("deaf"))?.holder).not.toBeNull();
    const stopping = scheduler.stop();
    resolve();
    await stopping;
    expect(ended).toBe(true);
  });
});
