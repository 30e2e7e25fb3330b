import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Config } from "./config.ts";
import { LimitKeeper, answerOf } from "./limits/keeper.ts";
import { type Question, questionSchema } from "./limits/question.ts";
import type { Logger } from "./log.ts";
import { type Snapshot, lasting, snapshotSchema, sumOf } from "./metrics/metric-set.ts";
import { StartError } from "./start-error.ts";
import type { Listening } from "./listening.ts";
import { UntakenConnections } from "./untaken-connections.ts";
import type { Order } from "./worker.ts";

const reportSchema = z.discriminatedUnion("report", [
  z.object({ report: z.literal("prepared") }),
  z.object({ report: z.literal("ready") }),
  z.object({ report: z.literal("alive") }),
  z.object({ report: z.literal("measured"), number: z.number(), snapshot: snapshotSchema }),
  z.object({ report: z.literal("limits"), number: z.number(), question: questionSchema }),
  z.object({ report: z.literal("failed"), reason: z.string() }),
]);

/** A worker that crashes is started again, at first at once, then later and later while crashes go on; milliseconds. */
const FIRST_DELAY = 100;
const LAST_DELAY = 30_000;
/** A worker that lived so long crashed for a reason of its own. */
const HEALTHY = 60_000;
/**
 * Half of what a worker's heap has for young values, in MiB. V8 would let it grow to several times that before it collects anything, and what
 * streams by makes nothing but young values.
 */
const SEMI_SPACE = 8;
/** Beyond the grace of requests, for closing the stores. */
const CLOSING = 5_000;
/** So many questions in a row stay without an answer before a worker counts as hung. */
const UNANSWERED = 6;

/** How long a worker may take to say what it counted; milliseconds. */
const MEASURING = 5_000;

/** What all workers share. */
export interface WorkersParts {
  readonly config: Config;
  readonly listening: Listening;
  /** Frees the address for a worker to listen; called by each. */
  readonly freeAddress: () => Promise<void>;
  readonly log: Logger;
}

/** The processes that serve: as many as are configured, each replaced when it crashes or hangs. */
export class Workers {
  readonly #parts: WorkersParts;
  readonly #alive = new Set<Worker>();
  /** Those that serve, with how many questions in a row they did not answer. */
  readonly #serving = new Map<Worker, number>();
  readonly #waiting = new Set<NodeJS.Timeout>();
  readonly #untaken = new UntakenConnections();
  readonly #measurements = new Map<number, (worker: Worker, snapshot: Snapshot) => void>();
  /** What each worker counted when it was last asked. */
  readonly #counted = new Map<Worker, Snapshot>();
  /** What workers counted that have ended. */
  #ended: Snapshot = {};
  #asked = 0;
  /** Limits hold over all workers, which ask here. */
  readonly #limits: LimitKeeper;
  readonly #lost = Promise.withResolvers<never>();
  readonly #asking: NodeJS.Timeout;
  #crashes = 0;
  /** Only while it runs are workers replaced; a stop may come before all of them serve. */
  #phase: "starting" | "running" | "ended" = "starting";

  constructor(parts: WorkersParts) {
    this.#parts = parts;
    cluster.setupPrimary({ execArgv: [`--max-semi-space-size=${SEMI_SPACE}`, ...process.execArgv] });
    this.#limits = new LimitKeeper(parts.config.limits, () => performance.now(), parts.config.workers);
    // Whoever does not wait for it has ended for another reason.
    this.#lost.promise.catch(() => undefined);
    this.#asking = setInterval(() => this.#ask(), parts.config.times.workerTimeout / UNANSWERED);
  }

  /** Rejects with `StartError` when nothing can be served any more. */
  get lost(): Promise<never> {
    return this.#lost.promise;
  }

  /** Is there one that answered when it was last asked? */
  get isAnswering(): boolean {
    return [...this.#serving.values()].some((unanswered) => unanswered <= 1);
  }

  /** Resolves when all serve; throws `StartError` when one cannot. */
  async start(): Promise<void> {
    try {
      await Promise.all(Array.from({ length: this.#parts.config.workers }, () => this.#spawn()));
      if (this.#phase === "starting") this.#phase = "running";
    } catch (error) {
      // A worker that ends before it serves because it was told to is no failure, and the others are to end in order, too.
      if (this.#phase === "starting") this.kill();
      throw error;
    }
  }

  /** What all workers have counted, and how it is now; those that do not answer in time count with what they said before. */
  async measure(): Promise<Snapshot> {
    const asked = new Set(this.#serving.keys());
    const number = (this.#asked += 1);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#measurements.set(number, (worker, snapshot) => {
      this.#counted.set(worker, snapshot);
      asked.delete(worker);
      if (asked.size === 0) resolve();
    });
    let isForAll = true;
    for (const worker of asked) {
      tell(worker, { order: "measure", number, isForAll });
      isForAll = false;
    }
    if (asked.size === 0) resolve();
    const limit = new AbortController();
    await Promise.race([promise, sleep(MEASURING, undefined, { signal: limit.signal }).catch(() => undefined)]);
    limit.abort();
    this.#measurements.delete(number);
    return sumOf([this.#ended, ...this.#counted.values()]);
  }

  /** How many serve. */
  get serving(): number {
    return this.#serving.size;
  }

  /** Asks all to end their requests; resolves when they have, or were killed when they took too long. */
  async stop(): Promise<void> {
    this.#quit();
    const ended = [...this.#alive].map((worker) => once(worker, "exit"));
    for (const worker of this.#alive) tell(worker, { order: "drain" });
    const limit = new AbortController();
    const late = sleep(this.#parts.config.times.shutdownGrace + CLOSING, undefined, { signal: limit.signal }).then(
      () => this.kill(),
      () => undefined,
    );
    await Promise.race([Promise.all(ended), late]);
    limit.abort();
  }

  kill(): void {
    this.#quit();
    for (const worker of this.#alive) worker.process.kill("SIGKILL");
  }

  /** Starts a worker; resolves when it serves, and rejects when it ends before. */
  #spawn(): Promise<void> {
    const { config, listening, freeAddress, log } = this.#parts;
    const ready = Promise.withResolvers<void>();
    const worker = cluster.fork();
    this.#untaken.watch(worker);
    const born = performance.now();
    let reason = "a worker ended before it served";
    this.#alive.add(worker);
    worker.on("online", () => tell(worker, { order: "prepare", config, listening }));
    worker.on("message", (message: unknown) => {
      const report = reportSchema.parse(message);
      // What it said at the last may come after its end.
      if (!this.#alive.has(worker)) return;
      if (report.report === "limits") this.#answer(worker, report);
      else if (report.report === "prepared") void freeAddress().then(() => tell(worker, { order: "listen" }));
      else if (report.report === "failed") ({ reason } = report);
      else if (report.report === "measured") this.#measurements.get(report.number)?.(worker, report.snapshot);
      else {
        this.#serving.set(worker, 0);
        if (report.report === "alive") return;
        log.info({ worker: worker.process.pid }, "worker serves");
        ready.resolve();
      }
    });
    worker.on("exit", (code, signal) => {
      this.#alive.delete(worker);
      this.#serving.delete(worker);
      this.#limits.left(worker.id);
      this.#ended = sumOf([this.#ended, lasting(this.#counted.get(worker) ?? {})]);
      this.#counted.delete(worker);
      ready.reject(new StartError(reason));
      if (this.#phase === "running") this.#replace(worker, { code, signal, age: performance.now() - born });
    });
    return ready.promise;
  }

  #answer(worker: Worker, { number, question }: { readonly number: number; readonly question: Question }): void {
    const answer = answerOf(this.#limits.of(worker.id), question);
    if (number > 0) tell(worker, { order: "limits", number, answer });
  }

  #replace(worker: Worker, how: { readonly code: number | null; readonly signal: string | null; readonly age: number }): void {
    const { listening, log } = this.#parts;
    if (listening.descriptor !== undefined && this.#serving.size === 0) return this.#lose(worker, how);
    this.#crashes = how.age > HEALTHY ? 0 : this.#crashes + 1;
    const delay = Math.min(LAST_DELAY, FIRST_DELAY * 2 ** Math.max(0, this.#crashes - 1));
    log.error({ worker: worker.process.pid, ...how, delay }, "worker ended; another one is started");
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      this.#spawn().catch((error: unknown) => log.error({ err: error }, "worker could not be started again"));
    }, delay);
    this.#waiting.add(timer);
  }

  /** Node closes a socket with the last worker that listened; one that was passed cannot be opened again from in here. */
  #lose(worker: Worker, how: object): void {
    this.#parts.log.error({ worker: worker.process.pid, ...how }, "the last worker ended, and the socket that was passed with it");
    this.#lost.reject(new StartError("no worker is left that serves the socket which was passed: whoever holds it is to start another"));
  }

  /** A worker whose loop stands still would leave its share of all requests without an answer for ever. */
  #ask(): void {
    for (const [worker, unanswered] of this.#serving) {
      if (unanswered < UNANSWERED) {
        this.#serving.set(worker, unanswered + 1);
        tell(worker, { order: "ping" });
      } else {
        this.#parts.log.error({ worker: worker.process.pid }, "worker does not answer; it is killed");
        worker.process.kill("SIGKILL");
      }
    }
  }

  #quit(): void {
    this.#phase = "ended";
    clearInterval(this.#asking);
    for (const timer of this.#waiting) clearTimeout(timer);
    this.#waiting.clear();
  }
}

/** A worker that is gone already needs no telling. */
function tell(worker: Worker, order: Order): void {
  worker.send(order, () => undefined);
}
