import { mkdir, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { AuditReader } from "./crash-audit.ts";
import { checkAll } from "./crash-check.ts";
import { CrashClient } from "./crash-client.ts";
import { KillableServer, siteAt } from "./crash-server.ts";
import { SPARING_NOTHING, settle } from "./crash-settle.ts";
import { RepositoryTruth } from "./crash-truth.ts";
import { must } from "./must.ts";
import type { Chance } from "./seeded-chance.ts";
import { holderOf } from "./socket-holder.ts";
import { CutError, Wire } from "./wire.ts";

const CLIENTS = 8;
/** Clients drive for so long (ms) before a worker is killed, and after it. */
const [SHORTEST, LONGEST, AFTER] = [200, 1500, 500];
const REPLACED_LIMIT_MS = 120_000;
const POLL_MS = 20;

/** What became of the clients of the workers that were killed, and of the others. */
export interface WorkerKills {
  readonly kills: number;
  readonly cut: number;
  readonly undisturbed: number;
}

/**
 * Kills one worker at a time while clients drive all of them. Throws when a client of another worker notices, when what was acknowledged is
 * not there, or when the worker is not replaced.
 */
export async function killWorkers(folder: string, chance: Chance, kills: number): Promise<WorkerKills> {
  await mkdir(folder, { recursive: true });
  const site = await siteAt(folder);
  const server = new KillableServer(site);
  const clients = Array.from({ length: CLIENTS }, (_, at) => new CrashClient(new RepositoryTruth(`models/worker-${at}`), chance.fork()));
  const truths = clients.map(({ truth }) => truth);
  const audit = new AuditReader();
  const result = { kills: 0, cut: 0, undisturbed: 0 };
  try {
    await server.untilReady();
    const keys = await server.keys();
    for (; result.kills < kills; result.kills += 1) {
      const cut = await killOne(server, clients, chance);
      result.cut += cut;
      result.undisturbed += clients.length - cut;
      const wire = new Wire(server.url, keys);
      await checkAll({ truths, audit, folder }, wire);
      wire.close();
    }
    await server.stop();
    await settleAnew(new KillableServer(site, SPARING_NOTHING), truths, folder);
  } catch (error) {
    process.stdout.write(`--- the server's last words ---\n${server.lastWords}\n`);
    throw error;
  } finally {
    await server.kill();
  }
  await rm(folder, { recursive: true, force: true });
  return result;
}

/** Nothing that a worker left half made outlives a collection, either. */
async function settleAnew(server: KillableServer, truths: readonly RepositoryTruth[], folder: string): Promise<void> {
  try {
    await server.untilReady();
    await settle(truths, folder);
    await server.stop();
  } finally {
    await server.kill();
  }
}

/** Kills a worker; how many clients were cut, all of which it served. */
async function killOne(server: KillableServer, clients: readonly CrashClient[], chance: Chance): Promise<number> {
  const keys = await server.keys();
  const wires = clients.map(() => new Wire(server.url, keys));
  const living = server.workers;
  let isOver = false;
  const cut: CutError[] = [];
  const driving = clients.map(async (client, at) => {
    try {
      await client.drive(wires[at] ?? new Wire(server.url, keys), () => isOver);
    } catch (error) {
      if (!(error instanceof CutError)) throw error;
      cut.push(error);
    }
  });
  const all = Promise.all(driving);
  // Whoever fails is told of when all have ended.
  all.catch(() => undefined);
  await sleep(chance.between(SHORTEST, LONGEST));
  const victim = chance.pick(living) ?? 0;
  const others = living.filter((pid) => pid !== victim);
  const safe = new Set(wires.flatMap(({ ports }) => ports.filter((port) => holderOf(port, others) !== undefined)));
  must(cut.length === 0, `clients were cut, and nothing was killed yet: ${String(cut[0])}`);
  process.kill(victim, "SIGKILL");
  await untilReplaced(server, { victim, count: living.length });
  await sleep(AFTER);
  isOver = true;
  await all;
  for (const wire of wires) wire.close();
  // Whoever makes a new connection may be given to the worker until it is known that it is gone.
  const disturbed = cut.filter(({ port }) => port !== undefined && safe.has(port));
  must(disturbed.length === 0, `a client of another worker noticed that a worker was killed: ${String(disturbed[0])}`);
  return cut.length;
}

async function untilReplaced(
  server: KillableServer,
  { victim, count }: { readonly victim: number; readonly count: number },
): Promise<void> {
  const deadline = performance.now() + REPLACED_LIMIT_MS;
  while (server.workers.includes(victim) || server.workers.length < count) {
    must(performance.now() < deadline, `the worker was not replaced within ${REPLACED_LIMIT_MS / 1000} s`);
    await sleep(POLL_MS);
  }
}
