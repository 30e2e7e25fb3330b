import { mkdir, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { AuditReader } from "./crash-audit.ts";
import { type Doubts, type Known, checkAll, checkTrustedFolders } from "./crash-check.ts";
import { CrashClient } from "./crash-client.ts";
import { KillableServer, type Site, siteAt } from "./crash-server.ts";
import { StateTrial } from "./crash-state.ts";
import { SPARING_NOTHING, settle } from "./crash-settle.ts";
import { RepositoryTruth } from "./crash-truth.ts";
import type { Chance } from "./seeded-chance.ts";
import { Wire } from "./wire.ts";

const CLIENTS = 6;
/** Clients drive the server for so long (ms) before it is killed. */
const [SHORTEST, LONGEST] = [20, 1000];
/** And before it is stopped to look at a state: some answers to each client, since what they ask for spans the stop before. */
const [BRIEFEST, BRIEF] = [5, 120];
/** So often in a hundred a start is killed as well, within so long (ms). */
const [KILLED_STARTS, START] = [10, 2500];
/** Rounds after which it is waited until everything is collected that nobody needs. */
const SETTLING = 25;
/** Garbage of earlier rounds is collected while clients drive; what they are about to name is younger than the grace. */
const COLLECTING = { REGISTRY_GC_INTERVAL: "1s", REGISTRY_GC_GRACE: "60s", REGISTRY_UPLOAD_EXPIRY: "10m" } as const;

/** While the server is stopped, its clients are as slow as it takes to check a state: also from pushing a blob to naming it. */
const PATIENT = {
  ...COLLECTING,
  REGISTRY_GC_GRACE: "1h",
  REGISTRY_UPLOAD_EXPIRY: "1h",
  REGISTRY_UPLOAD_WINDOW: "1h",
  REGISTRY_HEADERS_TIMEOUT: "1h",
  REGISTRY_KEEP_ALIVE_TIMEOUT: "1h",
  REGISTRY_IDLE_TIMEOUT: "1h",
  REGISTRY_WORKER_TIMEOUT: "1h",
} as const;

/** States of the stopped registry that are looked at before each kill. */
interface StatesBetween {
  readonly states: number;
  /** The folder of their copies. */
  readonly copies: string;
}

/** One data directory, from its first start on, and everything that was acknowledged about it. */
export class CrashLife {
  readonly #folder: string;
  readonly #states: number;
  readonly #chance: Chance;
  readonly #clients: readonly CrashClient[];
  readonly #audit = new AuditReader();
  readonly #trial: StateTrial;
  readonly #counted = { kills: 0, killedStarts: 0, states: 0, starts: 0, done: 0, notDone: 0, uploadsResumed: 0, settled: 0 };
  readonly #took = { startMs: 0, checkMs: 0, stateMs: 0 };
  #site: Site | undefined;

  constructor(folder: string, chance: Chance, { states, copies }: StatesBetween) {
    this.#folder = folder;
    this.#states = states;
    this.#chance = chance;
    this.#trial = new StateTrial(folder, copies, chance.fork());
    this.#clients = Array.from({ length: CLIENTS }, (_, at) => new CrashClient(new RepositoryTruth(`models/crash-${at}`), chance.fork()));
  }

  get #known(): Known {
    return { truths: this.#truths, audit: this.#audit, folder: this.#folder };
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
  get kills(): number {
    return this.#counted.kills;
  }

  /** States that were checked so far, each of which a kill has left or would have left. */
  get rounds(): number {
    return this.#counted.kills + this.#counted.states;
  }

  get #settings(): typeof COLLECTING | typeof PATIENT {
    return this.#states === 0 ? COLLECTING : PATIENT;
  }

  /** Starts, checks what was acknowledged before, drives, kills. */
  async round(): Promise<void> {
    if (this.#chance.inHundred(KILLED_STARTS)) await this.#killedStart();
    const server = await this.#start(this.#settings);
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
    if (this.kills % SETTLING === 0) await this.#settle();
  }

  /** The last check, and an end in order. */
  async end(): Promise<void> {
    if (this.kills % SETTLING > 0) await this.#settle();
    this.#trial.end();
    await rm(this.#folder, { recursive: true, force: true });
  }

  figures(): string {
    const { kills, killedStarts, states, starts, done, notDone, uploadsResumed, settled } = this.#counted;
    const { startMs, checkMs, stateMs } = this.#took;
    const acknowledged = this.#clients.reduce((sum, client) => sum + client.acknowledged, 0);
    return [
      `${kills} kills under load and ${killedStarts} of starts`,
      `${states} states between`,
      `${acknowledged} changes acknowledged`,
      `of ${done + notDone} in doubt ${done} done and ${notDone} not`,
      `${uploadsResumed} uploads found where they were`,
      `${settled} times everything collected`,
      `${this.#audit.links} links of the audit proven`,
      `${Math.round(startMs / starts)} ms a start`,
      `${Math.round(checkMs / starts)} ms a check`,
      `${Math.round(stateMs / Math.max(1, states))} ms a state`,
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
    this.#took.startMs += performance.now() - began;
    return server;
  }

  async #killedStart(): Promise<void> {
    const server = this.#startServer(this.#settings);
    await sleep(this.#chance.between(0, START));
    await server.kill();
    this.#counted.killedStarts += 1;
  }

  async #check(server: KillableServer): Promise<void> {
    const began = performance.now();
    const wire = new Wire(server.url, await server.keys());
    this.#count(await checkAll(this.#known, wire));
    wire.close();
    this.#took.checkMs += performance.now() - began;
  }

  async #checkState(server: KillableServer): Promise<void> {
    const began = performance.now();
    this.#count(await this.#trial.check(server, this.#known));
    this.#counted.states += 1;
    this.#took.stateMs += performance.now() - began;
  }

  #count({ done, notDone, uploadsResumed }: Doubts): void {
    this.#counted.done += done;
    this.#counted.notDone += notDone;
    this.#counted.uploadsResumed += uploadsResumed;
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
    try {
      for (let left = this.#states; ; left -= 1) {
        const forSoLong = left === 0 ? this.#chance.between(SHORTEST, LONGEST) : this.#chance.between(BRIEFEST, BRIEF);
        const early = await Promise.race([sleep(forSoLong), failed]);
        if (left === 0 || early !== undefined) break;
        await this.#checkState(server);
      }
    } finally {
      isKilled = true;
      await server.kill();
      for (const wire of wires) wire.close();
    }
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
