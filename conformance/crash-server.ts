import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { whileStopped } from "./crash-stop.ts";
import { CHECKOUT, freePort, plainEnvironment } from "./registry-process.ts";

/** Where a server runs that is killed again and again, and what it is told besides. */
export interface Site {
  readonly dataDirectory: string;
  /** The same at every start, as a service manager would have it. */
  readonly port: number;
}

/** A place for a server over a data directory, on a port that is free now. */
export async function siteAt(dataDirectory: string): Promise<Site> {
  return { dataDirectory, port: await freePort() };
}

const IDENTITIES = ["operator", "publisher", "runtime"] as const;
const POLL_MS = 5;
const READY_LIMIT_MS = 120_000;
const LAST_WORDS = 4000;

/** Groups that run: none of them outlives this process, unless it is killed itself. */
const running = new Set<number>();
process.once("exit", () => {
  for (const group of running) process.kill(-group, "SIGKILL");
});
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => process.exit(1));

/** The real server with all its workers, in a process group of its own that is killed as one. */
export class KillableServer {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #site: Site;
  readonly #said: Buffer[] = [];
  readonly #ended: Promise<unknown>;

  /** Starts it; `untilReady` waits until it serves. */
  constructor(site: Site, env: Readonly<Record<string, string>> = {}) {
    const { dataDirectory, port } = site;
    const settings = { BIND_ADDR: `127.0.0.1:${port}`, REGISTRY_DIR: dataDirectory, ...env };
    this.#site = site;
    this.url = `http://127.0.0.1:${port}`;
    this.#child = spawn(process.execPath, ["src/main.ts"], {
      cwd: CHECKOUT,
      env: plainEnvironment(settings),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) stream?.on("data", (chunk: Buffer) => this.#said.push(chunk));
    running.add(this.pid);
    this.#child.once("exit", () => running.delete(this.pid));
    this.#ended = once(this.#child, "close");
  }

  /** The primary's process id, which is also that of the group. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** All that it said. */
  get output(): string {
    return Buffer.concat(this.#said).toString("utf8");
  }

  get lastWords(): string {
    return this.output.slice(-LAST_WORDS);
  }

  /** Process ids of the workers that serve, as far as the server has said. */
  get workers(): readonly number[] {
    const ended = new Set([...this.output.matchAll(/"worker":(\d+),[^\n]*"msg":"worker ended/g)].map(([, pid]) => pid));
    const served = [...this.output.matchAll(/"worker":(\d+),"msg":"worker serves"/g)].map(([, pid]) => pid);
    return served.filter((pid) => !ended.has(pid)).map(Number);
  }

  /** Waits until all of its workers serve; throws when it ends instead. */
  async untilReady(): Promise<void> {
    const deadline = performance.now() + READY_LIMIT_MS;
    while (!this.output.includes('"msg":"listening"')) {
      if (this.#child.exitCode !== null) throw new Error(`the server ended at start:\n${this.lastWords}`);
      if (performance.now() > deadline) throw new Error(`the server does not serve after ${READY_LIMIT_MS / 1000} s:\n${this.lastWords}`);
      await sleep(POLL_MS);
    }
  }

  /** SIGKILL to all of its processes at once; returns when none of them is left. */
  async kill(): Promise<void> {
    if (this.isRunning) process.kill(-this.pid, "SIGKILL");
    // Each of them holds its standard output open for as long as it lives.
    await this.#ended;
  }

  /** Has something happen while none of its processes runs. */
  async whileStopped<T>(happen: () => Promise<T>): Promise<T> {
    return whileStopped(this.pid, happen);
  }

  /** Asks it to end, as a service manager does; throws unless it ends by itself with 0. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#ended;
    if (this.#child.exitCode !== 0) throw new Error(`the server ended with ${this.#child.exitCode ?? "a signal"}:\n${this.lastWords}`);
  }

  /** The keys of the first start, by their holders. */
  async keys(): Promise<Readonly<Record<string, string>>> {
    const folder = join(this.#site.dataDirectory, "credentials");
    const all = IDENTITIES.map(async (name) => [name, (await readFile(join(folder, name), "utf8")).trim()] as const);
    return Object.fromEntries(await Promise.all(all));
  }
}
