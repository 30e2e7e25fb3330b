import { mkdir, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { AuditReader } from "./crash-audit.ts";
import { checkAll, checkTrustedFolders } from "./crash-check.ts";
import { CrashClient } from "./crash-client.ts";
import { KillableServer, type Site, siteAt } from "./crash-server.ts";
import { SPARING_NOTHING, settle } from "./crash-settle.ts";
import { RepositoryTruth } from "./crash-truth.ts";
import type { Chance } from "./seeded-chance.ts";
import { Wire } from "./wire.ts";

const CLIENTS = 6;
/** Clients drive the server for so long (ms) before it is killed. */
const [SHORTEST, LONGEST] = [20, 1000];
/** So often in a hundred a start is killed as well, within so long (ms). */
const [KILLED_STARTS, START] = [10, 2500];
/** Rounds after which it is waited until everything is collected that nobody needs. */
const SETTLING = 25;
/** Garbage of earlier rounds is collected while clients drive; what they are about to name is younger than the grace. */
const COLLECTING = { REGISTRY_GC_INTERVAL: "1s", REGISTRY_GC_GRACE: "60s", REGISTRY_UPLOAD_EXPIRY: "10m" } as const;

/** One data directory, from its first start on, and everything that was acknowledged about it. */
export class CrashLife {
  readonly #folder: string;
  readonly #chance: Chance;
  readonly #clients: readonly CrashClient[];
  readonly #audit = new AuditReader();
  readonly #counted = { kills: 0, killedStarts: 0, starts: 0, startMs: 0, checkMs: 0, done: 0, notDone: 0, uploadsResumed: 0, settled: 0 };
  #site: Site | undefined;

  constructor(folder: string, chance: Chance) {
    this.#folder = folder;
    this.#chance = chance;
    this.#clients = Array.from({ length: CLIENTS }, (_, at) => new CrashClient(new RepositoryTruth(`models/crash-${at}`), chance.fork()));
  }

  get #truths(): readonly RepositoryTruth[] {
    return this.#clients.map(({ truth }) => truth);
  }

  /** The first start, which is killed as well before it has come to its end. */
  async begin(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    this.#site = await siteAt(this.#folder);
    await this.#killedStart();
  }

  /** Kills under load so far. */
  get rounds(): number {
    return this.#counted.kills;
  }

  /** Starts, checks what was acknowledged before, drives, kills. */
  async round(): Promise<void> {
    if (this.#chance.inHundred(KILLED_STARTS)) await this.#killedStart();
    const server = await this.#start(COLLECTING);
    try {
      await this.#check(server);
      await this.#drive(server);
    } catch (error) {
      process.stdout.write(`--- the server's last words ---\n${server.lastWords}\n`);
      throw error;
    } finally {
      await server.kill();
    }
    this.#counted.kills += 1;
    if (this.rounds % SETTLING === 0) await this.#settle();
  }

  /** The last check, and an end in order. */
  async end(): Promise<void> {
    if (this.rounds % SETTLING > 0) await this.#settle();
    await rm(this.#folder, { recursive: true, force: true });
  }

  figures(): string {
    const { kills, killedStarts, starts, startMs, checkMs, done, notDone, uploadsResumed, settled } = this.#counted;
    const acknowledged = this.#clients.reduce((sum, client) => sum + client.acknowledged, 0);
    return [
      `${kills} kills under load and ${killedStarts} of starts`,
      `${acknowledged} changes acknowledged`,
      `of ${done + notDone} in doubt ${done} done and ${notDone} not`,
      `${uploadsResumed} uploads found where they were`,
      `${settled} times everything collected`,
      `${this.#audit.links} links of the audit proven`,
      `${Math.round(startMs / starts)} ms a start`,
      `${Math.round(checkMs / starts)} ms a check`,
    ].join(", ");
  }

  #startServer(env: Readonly<Record<string, string>>): KillableServer {
    if (this.#site === undefined) throw new Error("this life has not begun");
    return new KillableServer(this.#site, env);
  }

  async #start(env: Readonly<Record<string, string>>): Promise<KillableServer> {
    const began = performance.now();
    const server = this.#startServer(env);
    try {
      await server.untilReady();
    } catch (error) {
      await server.kill();
      throw error;
    }
    this.#counted.starts += 1;
    this.#counted.startMs += performance.now() - began;
    return server;
  }

  async #killedStart(): Promise<void> {
    const server = this.#startServer(COLLECTING);
    await sleep(this.#chance.between(0, START));
    await server.kill();
    this.#counted.killedStarts += 1;
  }

  async #check(server: KillableServer): Promise<void> {
    const began = performance.now();
    const wire = new Wire(server.url, await server.keys());
    const { done, notDone, uploadsResumed } = await checkAll(this.#truths, wire, this.#audit, this.#folder);
    wire.close();
    this.#counted.done += done;
    this.#counted.notDone += notDone;
    this.#counted.uploadsResumed += uploadsResumed;
    this.#counted.checkMs += performance.now() - began;
  }

  async #drive(server: KillableServer): Promise<void> {
    const keys = await server.keys();
    const wires = this.#clients.map(() => new Wire(server.url, keys));
    let isKilled = false;
    const driving = Promise.all(this.#clients.map((client, at) => client.drive(wires[at] ?? new Wire(server.url, keys), () => isKilled)));
    const failed = driving.then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    await Promise.race([sleep(this.#chance.between(SHORTEST, LONGEST)), failed]);
    isKilled = true;
    await server.kill();
    for (const wire of wires) wire.close();
    const outcome = await failed;
    if (outcome !== undefined) throw outcome.error;
  }

  /** Has everything collected that nobody needs; uploads that nobody goes on with end. */
  async #settle(): Promise<void> {
    const server = await this.#start(SPARING_NOTHING);
    try {
      for (const truth of this.#truths) truth.uploads = [];
      await settle(this.#truths, this.#folder);
      await this.#check(server);
      await checkTrustedFolders(this.#truths, this.#folder);
      await server.stop();
    } catch (error) {
      process.stdout.write(`--- the server's last words ---\n${server.lastWords}\n`);
      throw error;
    } finally {
      await server.kill();
    }
    this.#counted.settled += 1;
  }
}
