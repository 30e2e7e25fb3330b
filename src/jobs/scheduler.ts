import { setTimeout as sleep } from "node:timers/promises";
import type { Services } from "../registry/ports.ts";
import { keys } from "../storage/keys.ts";
import { type LeaseRecord, leaseRecord } from "../storage/records.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "log">;

/** Something that is done again and again, by one worker at a time. */
export interface Job {
  /** Names the lease, for all workers. */
  readonly name: string;
  /** From the beginning of one run to that of the next, in milliseconds. */
  readonly every: number;
  /** Should end soon after the signal; what is lost then must be found by the next run. */
  readonly run: (signal: AbortSignal) => Promise<unknown>;
  /** Calls back when somebody in this process asks for it before it is due, until the function that it returns is called. */
  readonly onAsked?: (begin: () => void) => () => void;
}

export interface Scheduler {
  /** Ends the running jobs, gives their leases back, and starts none any more. */
  stop(): Promise<void>;
}

export interface SchedulerOptions {
  /** How long (ms) a lease lasts that is not renewed: after a crash another worker goes on then. */
  readonly lease?: number;
}

const LEASE = 30_000;
/** How long (ms) a failed job waits at most before it is tried again. */
const RETRY = 60_000;

/**
 * Runs jobs in whichever worker gets their lease. A lease keeps work from being done twice, no more: a job has to be right also when
 * a worker that lost its lease has not noticed yet.
 */
export function startScheduler(services: Needs, jobs: readonly Job[], { lease = LEASE }: SchedulerOptions = {}): Scheduler {
  const stopping = new AbortController();
  const holder = services.newId();
  const loops = jobs.map((job) => new Loop(services, job, { holder, lease, stopping: stopping.signal }).run());
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

interface Terms {
  readonly holder: string;
  readonly lease: number;
  readonly stopping: AbortSignal;
}

/** The lease of a job as it was read: its record, and its version for the change that rests on it. */
interface Found {
  readonly record: LeaseRecord;
  readonly version: number | "absent";
}

class Loop {
  readonly #services: Needs;
  readonly #job: Job;
  readonly #terms: Terms;
  /** By somebody in this process, since the job last began. */
  #isAsked = false;
  #awake = new AbortController();

  constructor(services: Needs, job: Job, terms: Terms) {
    this.#services = services;
    this.#job = job;
    this.#terms = terms;
  }

  async run(): Promise<void> {
    const { stopping, lease } = this.#terms;
    const forget = this.#job.onAsked?.(() => {
      this.#isAsked = true;
      this.#awake.abort();
    });
    while (!stopping.aborted) {
      const wait = await this.#turn().catch((error: unknown) => {
        this.#services.log.error({ err: error, job: this.#job.name }, "the lease of a job could not be read or written");
        return lease;
      });
      await sleep(wait, undefined, { signal: AbortSignal.any([stopping, this.#awake.signal]), ref: false }).catch(() => {});
      this.#awake = new AbortController();
    }
    forget?.();
  }

  /** Runs the job if it is due and free; how long to wait (ms) before the next look. */
  async #turn(): Promise<number> {
    const found = await this.#find();
    const wait = this.#waitFor(found.record);
    if (wait > 0) return wait;
    const now = this.#services.clock();
    if (await this.#put(found, { holder: this.#terms.holder, until: now + this.#terms.lease, dueAt: now + this.#job.every })) {
      this.#isAsked = false;
      await this.#hold(now);
    }
    return 0;
  }

  async #find(): Promise<Found> {
    const entry = await this.#services.metadata.get(keys.lease(this.#job.name));
    if (entry === undefined) return { record: { v: 1, holder: null, until: 0, dueAt: 0 }, version: "absent" };
    return { record: leaseRecord.parse(entry.value), version: entry.version };
  }

  /** Times farther away than they can have been set come from a clock that was wrong, and do not bind. */
  #waitFor({ holder, until, dueAt }: LeaseRecord): number {
    const { lease } = this.#terms;
    const now = this.#services.clock();
    const held = holder !== null && until <= now + lease ? until - now : 0;
    // A worker that ended in the midst of a job left its lease, and the job is due when that has run out.
    const due = !this.#isAsked && holder === null && dueAt <= now + this.#job.every ? dueAt - now : 0;
    return Math.min(Math.max(held, due, 0), lease);
  }

  async #put({ version }: Pick<Found, "version">, record: Omit<LeaseRecord, "v">): Promise<boolean> {
    const key = keys.lease(this.#job.name);
    const change = { expect: [{ key, version }], put: [{ key, value: { v: 1, ...record } }], remove: [], audit: [] };
    return (await this.#services.metadata.commit(change)) === "committed";
  }

  /** Runs the job while its lease is renewed, and gives the lease back. */
  async #hold(since: number): Promise<void> {
    const ended = new AbortController();
    const lost = new AbortController();
    const renewing = this.#renew(ended.signal, lost);
    const succeeded = await this.#runJob(AbortSignal.any([this.#terms.stopping, lost.signal]));
    ended.abort();
    await renewing;
    const after = succeeded ? this.#job.every : Math.min(this.#job.every, RETRY);
    const mine = await this.#find();
    if (mine.record.holder === this.#terms.holder) await this.#put(mine, { holder: null, until: 0, dueAt: since + after });
  }

  async #runJob(signal: AbortSignal): Promise<boolean> {
    const { log } = this.#services;
    if (signal.aborted) return false;
    try {
      const result = await this.#job.run(signal);
      log.debug({ job: this.#job.name, result }, "a job has ended");
      return !signal.aborted;
    } catch (error) {
      if (!signal.aborted) log.error({ err: error, job: this.#job.name }, "a job has failed");
      return false;
    }
  }

  async #renew(ended: AbortSignal, lost: AbortController): Promise<void> {
    while (!ended.aborted && !lost.signal.aborted) {
      await sleep(this.#terms.lease / 3, undefined, { signal: ended, ref: false }).catch(() => {});
      if (!ended.aborted && !(await this.#renewed())) lost.abort();
    }
  }

  async #renewed(): Promise<boolean> {
    const { holder, lease } = this.#terms;
    try {
      const mine = await this.#find();
      return mine.record.holder === holder && (await this.#put(mine, { ...mine.record, until: this.#services.clock() + lease }));
    } catch (error) {
      this.#services.log.error({ err: error, job: this.#job.name }, "the lease of a job could not be renewed");
      return false;
    }
  }
}
