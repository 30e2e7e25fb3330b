import type { Server } from "node:http";
import { Server as SecureServer } from "node:https";
import { z } from "zod";
import { type Config, configRows, isLocal } from "./config.ts";
import { die } from "./die.ts";
import { onEndSignal } from "./end-signals.ts";
import { TrustedProxies } from "./http/client-address.ts";
import { Connections } from "./http/connections.ts";
import { createRegistryApp } from "./http/doors.ts";
import { Arrivals } from "./http/giving-way.ts";
import { Limiter } from "./http/limits.ts";
import { DEFAULT_BOUNDS, createHttpServer, drain } from "./http/server.ts";
import { SlowBodies } from "./http/slow-bodies.ts";
import { followCertificate, readCertificate } from "./http/tls.ts";
import { registryJobs } from "./jobs/registry-jobs.ts";
import { type Scheduler, startScheduler } from "./jobs/scheduler.ts";
import { type Listening, listen } from "./listening.ts";
import { ownLimits, sharedBounds } from "./limits/keeper.ts";
import { type Answer, type Question, answerSchema } from "./limits/question.ts";
import { LineOutput } from "./line-output.ts";
import { type Logger, createLogger, logOn } from "./log.ts";
import type { Snapshot } from "./metrics/metric-set.ts";
import { PrimaryLimits } from "./primary-limits.ts";
import { makeGoodBeforeServing } from "./registry/make-good.ts";
import { measure } from "./registry/measure.ts";
import { type Registry, openRegistry } from "./services.ts";
import { packageVersion } from "./version.ts";

/** Bodies of one address that may be slow at a time, all workers together (identity.md 8.6). */
const SLOW_BODIES = 64;

/** What the primary tells a worker, and a worker the primary. */
export type Order =
  | { readonly order: "prepare"; readonly config: Config; readonly listening: Listening }
  | { readonly order: "listen" | "ping" | "drain" }
  | { readonly order: "limits"; readonly number: number; readonly answer: Answer }
  /** One worker alone looks at what is kept. */
  | { readonly order: "measure"; readonly number: number; readonly isForAll: boolean };
type Report =
  | { readonly report: "prepared" | "ready" | "alive" }
  | { readonly report: "limits"; readonly number: number; readonly question: Question }
  | { readonly report: "measured"; readonly number: number; readonly snapshot: Snapshot }
  | { readonly report: "failed"; readonly reason: string };

const orderSchema = z.discriminatedUnion("order", [
  z.object({
    order: z.literal("prepare"),
    config: z.custom<Config>((value) => typeof value === "object"),
    listening: z.object({ port: z.number(), descriptor: z.number().optional() }),
  }),
  z.object({ order: z.enum(["listen", "ping", "drain"]) }),
  z.object({ order: z.literal("limits"), number: z.number(), answer: answerSchema }),
  z.object({ order: z.literal("measure"), number: z.number(), isForAll: z.boolean() }),
]);

/** What a worker that serves can be told. */
interface Running {
  stop(): Promise<void>;
  /** Reports what it counted. */
  measure(order: { readonly number: number; readonly isForAll: boolean }): Promise<void>;
}

/** A process that serves: it does what the primary says, and ends with it. */
export function runWorker(): void {
  let stopping = false;
  let limits: PrimaryLimits | undefined;
  let running: Promise<Running | undefined> | undefined;
  const toListen = Promise.withResolvers<void>();
  const end = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    toListen.resolve();
    const served = await running;
    // A store that does not close is for the primary, whose patience ends.
    await served?.stop();
    process.exit(0);
  };
  // The primary is gone. Node's own listener, which comes after this one, would exit.
  process.prependListener("disconnect", die);
  // A terminal and a service manager signal the whole group; alone, a signal has the primary start another worker.
  onEndSignal(() => void end());
  process.on("message", (message) => {
    const order = orderSchema.parse(message);
    if (order.order === "prepare") {
      const output = new LineOutput(1);
      const log = createLogger(order.config.logLevel, logOn(output));
      limits = limitsOf(order.config, log);
      running = begin(order, { log, lostLines: () => output.lost, limits, draining: () => stopping, toListen: toListen.promise });
    } else if (order.order === "limits") limits?.answered(order.number, order.answer);
    else if (order.order === "listen") toListen.resolve();
    else if (order.order === "ping") report({ report: "alive" });
    else if (order.order === "measure") void running?.then((served) => served?.measure(order));
    else void end();
  });
}

interface Cues {
  readonly log: Logger;
  /** How many lines the log of this process has lost. */
  readonly lostLines: () => number;
  readonly limits: PrimaryLimits;
  readonly draining: () => boolean;
  /** When the primary says that the port is free. */
  readonly toListen: Promise<void>;
}

/** Limits hold over all workers: the primary keeps them. */
function limitsOf({ limits, workers }: Config, log: Logger): PrimaryLimits {
  return new PrimaryLimits({ send: ask, alone: ownLimits(sharedBounds(limits, workers), () => performance.now()), log });
}

function ask(number: number, question: Question): void {
  report({ report: "limits", number, question });
}

interface Beginning {
  readonly config: Config;
  readonly listening: Listening;
}

async function begin({ config, listening }: Beginning, cues: Cues): Promise<Running | undefined> {
  const { log } = cues;
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, "worker failed");
    die();
  });
  try {
    const registry = await openRegistry(config, listening.port, log, cues.limits);
    const arrivals = new Arrivals();
    const server = await serverOf(registry, config, { ...cues, arrivals });
    await makeGoodBeforeServing(registry);
    report({ report: "prepared" });
    await cues.toListen;
    await listen(server, config.bind.host, listening);
    const times = { ...config.times, verifyRate: config.verifyRate, isAnswering: () => arrivals.areMany() };
    const scheduler = startScheduler(registry, registryJobs(registry, times));
    report({ report: "ready" });
    return {
      stop: () => stopServing({ server, registry, scheduler }, config),
      measure: async ({ number, isForAll }) => {
        registry.metrics.set("registry_log_lines_lost_total", {}, cues.lostLines());
        if (isForAll) await measure(registry, registry.metrics);
        report({ report: "measured", number, snapshot: registry.metrics.snapshot() });
      },
    };
  } catch (error) {
    log.error({ err: error }, "worker failed to start");
    report({ report: "failed", reason: error instanceof Error ? error.message : "unknown" }, die);
    return undefined;
  }
}

function report(message: Report, then: () => void = () => undefined): void {
  process.send?.(message, then);
}

async function serverOf(registry: Registry, config: Config, cues: Cues & { readonly arrivals: Arrivals }): Promise<Server> {
  const { newId, log, metrics } = registry;
  const connections = connectionsOf(registry, config, cues);
  const app = await appOf(registry, config, { ...cues, connections });
  const bounds = boundsOf(config);
  const certificate = config.tls && (await readCertificate(config.tls));
  const server = createHttpServer(app, { bounds, newId, tls: certificate });
  connections.bound(server);
  if (server instanceof SecureServer && config.tls !== undefined && certificate !== undefined)
    followCertificate(server, config.tls, { seen: certificate.seen, log, metrics });
  return server;
}

function connectionsOf(
  { metrics }: Registry,
  { limits: { connections: caps }, workers, trustedProxies }: Config,
  { limits }: Cues,
): Connections {
  return new Connections({ caps, processes: workers, limits, metrics, proxies: new TrustedProxies(trustedProxies) });
}

interface Parts {
  readonly server: Server;
  readonly registry: Registry;
  readonly scheduler: Scheduler;
}

async function stopServing({ server, registry, scheduler }: Parts, { times }: Config): Promise<void> {
  const stopped = scheduler.stop();
  if (!(await drain(server, times.shutdownGrace))) registry.log.warn("requests were cut when their time to end was over");
  await stopped;
  await registry.close();
}

interface AppCues extends Pick<Cues, "draining" | "limits"> {
  readonly connections: Connections;
  readonly arrivals: Arrivals;
}

async function appOf(
  registry: Registry,
  config: Config,
  { draining, limits, connections, arrivals }: AppCues,
): Promise<ReturnType<typeof createRegistryApp>> {
  const pace = {
    bytesPerSecond: config.minUploadRate,
    windowMilliseconds: config.times.uploadWindow,
    slow: new SlowBodies(Math.ceil(SLOW_BODIES / config.workers)),
  };
  const token = await registry.serviceToken();
  const { insecureDevMode } = config;
  return createRegistryApp(registry, {
    serviceToken: token?.secret,
    draining,
    insecureDevMode,
    isLocal: isLocal(config),
    pace,
    arrivals,
    proxies: new TrustedProxies(config.trustedProxies),
    connections,
    limiter: new Limiter(limits, config.limits.rates),
    metrics: registry.metrics,
    about: { version: packageVersion(), configuration: configRows(config) },
  });
}

function boundsOf({ times }: Config): typeof DEFAULT_BOUNDS {
  const { headers, keepAlive, idle } = times;
  return { ...DEFAULT_BOUNDS, headers, keepAlive, idle };
}
