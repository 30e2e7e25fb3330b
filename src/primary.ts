import { once } from "node:events";
import { createServer } from "node:net";
import type { Config } from "./config.ts";
import { onEndSignal } from "./end-signals.ts";
import { readCertificate } from "./http/tls.ts";
import { LineOutput } from "./line-output.ts";
import type { Logger } from "./log.ts";
import { type MetricsListener, listenForMetrics } from "./metrics-listener.ts";
import { MetricSet, type Snapshot, sumOf } from "./metrics/metric-set.ts";
import { nextSteps } from "./next-steps.ts";
import { registerFirstModels } from "./registry/first-models.ts";
import { type FirstStart, firstStart } from "./registry/first-start.ts";
import { makeGoodAlone } from "./registry/make-good.ts";
import type { PassedSockets } from "./passed-sockets.ts";
import type { ServiceManager } from "./service-manager.ts";
import { openRegistry, publicUrlOf } from "./services.ts";
import type { Address } from "./settings.ts";
import { StartError } from "./start-error.ts";
import { type DataDirectory, openDataDirectory } from "./storage/data-directory.ts";
import { readSecretFile } from "./storage/secret-file.ts";
import { packageVersion } from "./version.ts";
import { Workers } from "./workers.ts";

/** What the program was started with besides its configuration. */
export interface Surroundings {
  readonly log: Logger;
  /** How many lines the log has lost. */
  readonly lostLines: () => number;
  readonly sockets: PassedSockets;
  readonly manager: ServiceManager;
}

/** Runs the registry until it is told to stop: holds the data directory, starts workers and keeps them alive. It serves nobody itself. */
export async function runPrimary(config: Config, { log, lostLines, sockets, manager }: Surroundings): Promise<void> {
  const told = stopSignals();
  const directory = await openDataDirectory(config.dataDirectory);
  if (directory.isOpenToOthers) {
    log.warn(
      { path: directory.paths.root },
      "OTHERS CAN REPLACE THE FOLDERS OF THE DATA DIRECTORY: chmod go-w it, or give it the sticky bit",
    );
  }
  try {
    const reserved = sockets.http === undefined ? await reservePort(config.bind) : passedPort(config.bind, sockets.http);
    try {
      await serve(config, { directory, reserved, told, manager, lostLines, metricsSocket: sockets.metrics }, log);
    } finally {
      await reserved.free();
    }
  } finally {
    await directory.release();
  }
  log.info("stopped");
}

interface Held extends Pick<Surroundings, "lostLines"> {
  readonly directory: DataDirectory;
  readonly reserved: ReservedPort;
  readonly told: StopSignals;
  readonly manager: ServiceManager;
  /** The socket for metrics, when one was passed. */
  readonly metricsSocket: number | undefined;
}

async function serve(config: Config, held: Held, log: Logger): Promise<void> {
  const { reserved, told, manager, lostLines, metricsSocket } = held;
  const prepared = await prepare(config, held, log);
  if (prepared === undefined) return log.info("stopping before all first models are registered; the next start goes on");
  const listening = { port: reserved.port, descriptor: reserved.descriptor };
  const workers = new Workers({ config, listening, freeAddress: () => reserved.free(), log });
  const watching = new AbortController();
  let metrics: MetricsListener | undefined;
  try {
    metrics = await openMetrics(config, { workers, lostLines, descriptor: metricsSocket }, log);
    const started = await Promise.race([workers.start().then(() => true), told.once.then(() => false)]);
    if (started) {
      announce(config, reserved.port, prepared.first, log);
      await manager.ready(`serving on port ${reserved.port}`);
      void manager.watch(() => workers.isAnswering, watching.signal);
    }
    await Promise.race([told.once, workers.lost]);
    log.info("stopping");
    // Nobody waits for it: the second signal is for an end at once.
    void manager.stopping();
    await Promise.race([workers.stop(), told.twice.then(() => workers.kill())]);
  } finally {
    watching.abort();
    metrics?.close();
    workers.kill();
  }
}

interface Measured extends Pick<Surroundings, "lostLines"> {
  readonly workers: Workers;
  readonly descriptor: number | undefined;
}

/** The listener for metrics, where one is configured. */
async function openMetrics(
  { metrics }: Config,
  { workers, lostLines, descriptor }: Measured,
  log: Logger,
): Promise<MetricsListener | undefined> {
  if (metrics === undefined) {
    if (descriptor === undefined) return undefined;
    throw new StartError("REGISTRY_METRICS_ADDR: must be the address of the socket for metrics that was passed");
  }
  const { address, tokenPath } = metrics;
  const token = tokenPath === undefined ? undefined : await readSecretFile(tokenPath);
  if (tokenPath !== undefined && token === undefined) throw new StartError(`REGISTRY_METRICS_TOKEN_PATH: ${tokenPath} is not there`);
  const version = packageVersion();
  const collect = async (): Promise<Snapshot> => {
    const own = new MetricSet();
    own.set("registry_build_info", { version, node: process.versions.node }, 1);
    own.set("registry_workers", {}, workers.serving);
    own.set("registry_log_lines_lost_total", {}, lostLines());
    return sumOf([await workers.measure(), own.snapshot()]);
  };
  try {
    const listener = await listenForMetrics({ address, descriptor, token: token?.secret, collect, log });
    log.info({ address: address.host, port: listener.port }, "metrics are served");
    return listener;
  } catch (error) {
    throw new StartError(noListener(error));
  }
}

function noListener(error: unknown): string {
  if (!(error instanceof Error)) return "REGISTRY_METRICS_ADDR: cannot listen there";
  return "code" in error ? `REGISTRY_METRICS_ADDR: cannot listen there (${String(error.code)})` : error.message;
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
  onEndSignal((signal) => {
    // A terminal that closes, which the shell and the kernel may each tell: nobody asks twice by that.
    if (signal === "SIGHUP" && count > 0) return;
    count += 1;
    early.abort();
    (count === 1 ? first : second).resolve();
  });
  return { once: first.promise, twice: second.promise, signal: early.signal };
}

/** The port that all workers are to share. */
interface ReservedPort {
  readonly port: number;
  /** The socket that already listens there, when one was passed. */
  readonly descriptor: number | undefined;
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
  return { port: typeof address === "object" && address !== null ? address.port : port, descriptor: undefined, free };
}

/** A socket that was passed needs no reserving; the workers hold it to be the configured one (`listening.ts`). */
function passedPort({ port }: Address, descriptor: number): ReservedPort {
  if (port === 0) throw new StartError("BIND_ADDR: must be the address and port of the socket that was passed");
  return { port, descriptor, free: () => Promise.resolve() };
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
    await makeGoodAlone(registry, { credentials: paths.credentials, integrityResult: config.integrityResultPath });
    const first = await firstStart(registry, paths.credentials, registry.serviceTokenPlace);
    const { path } = registry.serviceTokenPlace;
    const token = await registry.serviceToken();
    if (token === undefined && config.serviceTokenPath !== undefined) {
      log.warn({ path }, "there is no file at SERVICE_TOKEN_PATH: the service token is off until there is one");
    }
    if (token?.readableByOthers === true) log.warn({ path }, "OTHERS CAN READ THE SERVICE TOKEN: make its file private with chmod 600");
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
  if (first !== undefined) new LineOutput(2).write(nextSteps({ url, ...first }));
}
