import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Config } from "./config.ts";
import { readCertificate } from "./http/tls.ts";
import type { Logger } from "./log.ts";
import { nextSteps } from "./next-steps.ts";
import { tidySigningKeys } from "./registry/attestation-keys.ts";
import { registerFirstModels } from "./registry/first-models.ts";
import { type FirstStart, firstStart } from "./registry/first-start.ts";
import { openRegistry, publicUrlOf } from "./services.ts";
import type { Address } from "./settings.ts";
import { type DataDirectory, openDataDirectory } from "./storage/data-directory.ts";
import type { Order } from "./worker.ts";

const reportSchema = z.discriminatedUnion("report", [
  z.object({ report: z.literal("prepared") }),
  z.object({ report: z.literal("ready") }),
  z.object({ report: z.literal("failed"), reason: z.string() }),
]);

/** Why the registry does not start, for the operator. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** A worker that crashes is started again, at first at once, then later and later while crashes go on; milliseconds. */
const FIRST_DELAY = 100;
const LAST_DELAY = 30_000;
/** A worker that lived so long crashed for a reason of its own. */
const HEALTHY = 60_000;
/** Beyond the grace of requests, for closing the stores. */
const CLOSING = 5_000;

/** Runs the registry until it is told to stop: holds the data directory, starts workers and keeps them alive. It serves nobody itself. */
export async function runPrimary(config: Config, log: Logger): Promise<void> {
  const told = stopSignals();
  const directory = await openDataDirectory(config.dataDirectory);
  try {
    const reserved = await reservePort(config.bind);
    try {
      await serve(config, { directory, reserved, told }, log);
    } finally {
      await reserved.free();
    }
  } finally {
    await directory.release();
  }
  log.info("stopped");
}

interface Held {
  readonly directory: DataDirectory;
  readonly reserved: ReservedPort;
  readonly told: StopSignals;
}

async function serve(config: Config, { directory, reserved, told }: Held, log: Logger): Promise<void> {
  const prepared = await prepare(config, { directory, reserved, told }, log);
  if (prepared === undefined) return log.info("stopping before all first models are registered; the next start goes on");
  const workers = new Workers(config, reserved, log);
  const started = await Promise.race([workers.start().then(() => true), told.once.then(() => false)]);
  if (started) announce(config, reserved.port, prepared.first, log);
  await told.once;
  log.info("stopping");
  await Promise.race([workers.stop(), told.twice.then(() => workers.kill())]);
}

/** The first signal asks for an orderly end, the second for one at once. */
interface StopSignals {
  readonly once: Promise<void>;
  readonly twice: Promise<void>;
  /** The first, for what is to end early. */
  readonly signal: AbortSignal;
}

function stopSignals(): StopSignals {
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const early = new AbortController();
  let count = 0;
  const onSignal = (): void => {
    count += 1;
    early.abort();
    (count === 1 ? first : second).resolve();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  return { once: first.promise, twice: second.promise, signal: early.signal };
}

/** The port that all workers are to share. */
interface ReservedPort {
  readonly port: number;
  /** Frees it for a worker to listen; to be called any number of times. */
  free(): Promise<void>;
}

/**
 * Holds the port until the first worker is about to listen: one that is taken is told before anything starts, and the one that is
 * picked for port 0 stays ours meanwhile. Who comes too early is turned away.
 */
async function reservePort({ host, port }: Address): Promise<ReservedPort> {
  const holder = createServer((socket) => socket.destroy());
  try {
    holder.listen({ host: host === "" ? undefined : host, port });
    await once(holder, "listening");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    throw new StartError(`BIND_ADDR: cannot listen there (${code}); stop what does, or choose another address`);
  }
  const address = holder.address();
  const closed = once(holder, "close").then(() => undefined);
  const free = (): Promise<void> => {
    if (holder.listening) holder.close();
    return closed;
  };
  return { port: typeof address === "object" && address !== null ? address.port : port, free };
}

interface Prepared {
  /** Undefined at every start but the first. */
  readonly first: FirstStart | undefined;
}

/**
 * What must be right before a worker starts; makes the first credentials and registers the first models when there are none. Undefined when
 * it was told to stop meanwhile.
 */
async function prepare(config: Config, { directory, reserved, told }: Held, log: Logger): Promise<Prepared | undefined> {
  const { paths } = directory;
  if (config.tls !== undefined) await readCertificate(config.tls).catch(refuseCertificate);
  const registry = await openRegistry(config, reserved.port, log);
  try {
    await tidySigningKeys(registry);
    const first = await firstStart(registry, paths.credentials, registry.serviceTokenPlace);
    const token = await registry.serviceToken();
    if (token?.readableByOthers === true) {
      log.warn({ path: registry.serviceTokenPlace.path }, "OTHERS CAN READ THE SERVICE TOKEN: make its file private with chmod 600");
    }
    const { lockPath, allowLegacyMigration: believeStates } = config;
    await registerFirstModels(registry, { lockPath, directory: paths.root, believeStates, signal: told.signal });
    if (config.insecureDevMode) log.warn("INSECURE_DEV_MODE is on: for development on this machine only");
    return { first };
  } catch (error) {
    if (told.signal.aborted && error === told.signal.reason) return undefined;
    throw error;
  } finally {
    await registry.close();
  }
}

function refuseCertificate(error: unknown): never {
  const why = error instanceof Error ? error.message : "unknown";
  throw new StartError(`TLS_CERT_PATH, TLS_KEY_PATH: no usable pair of certificate and key (${why})`);
}

function announce(config: Config, port: number, first: FirstStart | undefined, log: Logger): void {
  const url = publicUrlOf({
    publicUrl: config.publicUrl,
    scheme: config.tls === undefined ? "http" : "https",
    host: config.bind.host,
    port,
  });
  log.info({ url, address: config.bind.host, port, workers: config.workers }, "listening");
  // Standard output is for log lines that programs read; this is for people.
  if (first !== undefined) process.stderr.write(nextSteps({ url, ...first }));
}

/** The processes that serve. */
class Workers {
  readonly #config: Config;
  readonly #reserved: ReservedPort;
  readonly #log: Logger;
  readonly #alive = new Set<Worker>();
  readonly #waiting = new Set<NodeJS.Timeout>();
  #crashes = 0;
  /** Only while it runs are workers replaced; a stop may come before all of them serve. */
  #phase: "starting" | "running" | "ended" = "starting";

  constructor(config: Config, reserved: ReservedPort, log: Logger) {
    this.#config = config;
    this.#reserved = reserved;
    this.#log = log;
  }

  /** Resolves when all serve; throws `StartError` when one cannot. */
  async start(): Promise<void> {
    try {
      await Promise.all(Array.from({ length: this.#config.workers }, () => this.#spawn()));
      if (this.#phase === "starting") this.#phase = "running";
    } catch (error) {
      // A worker that ends before it serves because it was told to is no failure, and the others are to end in order, too.
      if (this.#phase === "starting") this.kill();
      throw error;
    }
  }

  /** Starts a worker; resolves when it serves, and rejects when it ends before. */
  #spawn(): Promise<void> {
    const ready = Promise.withResolvers<void>();
    const worker = cluster.fork();
    const born = performance.now();
    let reason = "a worker ended before it served";
    this.#alive.add(worker);
    worker.on("online", () => tell(worker, { order: "prepare", config: this.#config, port: this.#reserved.port }));
    worker.on("message", (message: unknown) => {
      const report = reportSchema.parse(message);
      if (report.report === "prepared") void this.#reserved.free().then(() => tell(worker, { order: "listen" }));
      else if (report.report === "failed") ({ reason } = report);
      else {
        this.#log.info({ worker: worker.process.pid }, "worker serves");
        ready.resolve();
      }
    });
    worker.on("exit", (code, signal) => {
      this.#alive.delete(worker);
      ready.reject(new StartError(reason));
      if (this.#phase === "running") this.#replace(worker, { code, signal, age: performance.now() - born });
    });
    return ready.promise;
  }

  #replace(worker: Worker, how: { readonly code: number | null; readonly signal: string | null; readonly age: number }): void {
    this.#crashes = how.age > HEALTHY ? 0 : this.#crashes + 1;
    const delay = Math.min(LAST_DELAY, FIRST_DELAY * 2 ** Math.max(0, this.#crashes - 1));
    this.#log.error({ worker: worker.process.pid, ...how, delay }, "worker ended; another one is started");
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      this.#spawn().catch((error: unknown) => this.#log.error({ err: error }, "worker could not be started again"));
    }, delay);
    this.#waiting.add(timer);
  }

  /** Asks all to end their requests; resolves when they have, or were killed when they took too long. */
  async stop(): Promise<void> {
    this.#quit();
    const ended = [...this.#alive].map((worker) => once(worker, "exit"));
    for (const worker of this.#alive) tell(worker, { order: "drain" });
    const limit = new AbortController();
    const late = sleep(this.#config.times.shutdownGrace + CLOSING, undefined, { signal: limit.signal }).then(
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

  #quit(): void {
    this.#phase = "ended";
    for (const timer of this.#waiting) clearTimeout(timer);
    this.#waiting.clear();
  }
}

/** A worker that is gone already needs no telling. */
function tell(worker: Worker, order: Order): void {
  worker.send(order, () => undefined);
}
