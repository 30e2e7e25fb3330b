import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** The checkout that is tried. */
export const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));

const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 60_000;
const POLL_MS = 50;
const ANSWER_LIMIT_MS = 5_000;

/** A registry that runs on loopback over a data directory of its own. */
export interface RunningRegistry {
  readonly url: string;
  /** host:port, as clients write it before a repository. */
  readonly host: string;
  readonly pid: number;
  readonly dataDirectory: string;
  /** Everything that the server has written to standard output and standard error so far. */
  output(): string;
  /** The API key of a first-start identity: `operator`, `publisher` or `runtime`. */
  key(identity: string): Promise<string>;
  /** SIGTERM and wait; throws unless the server ends by itself with exit code 0. The data directory stays. */
  stop(): Promise<void>;
  /** Stop, and remove the data directory whatever happens. */
  dispose(): Promise<void>;
}

/** Compiled code, which all programs of a checkout share: most of what a start costs is to read the program. */
const COMPILED = join(CHECKOUT, "node_modules/.cache/compiled");

/** The variables a child gets: nothing of the caller's own registry settings leaks into the trial. */
export function plainEnvironment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = ["PATH", "HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME", "GOFLAGS", "GOPROXY", "SSL_CERT_FILE"];
  const inherited = kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]] as const]));
  return { ...Object.fromEntries(inherited), NODE_COMPILE_CACHE: COMPILED, ...more };
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("the system gave no port");
  return address.port;
}

/** For a registry whose container may go: its network goes with it and closes no connection, so that one which is kept would lead nowhere. */
export const UNKEPT = { connection: "close" } as const;

/** Waits until the URL answers 200; throws with what there is to say when it does not, or as soon as whoever serves it has ended. */
export async function untilAnswers(
  url: string,
  output: () => string,
  limitMs = READY_LIMIT_MS,
  hasEnded = (): boolean => false,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  let last = "nothing";
  while (performance.now() < deadline) {
    if (hasEnded()) throw new Error(`the server ended at start:\n${output()}`);
    try {
      const answer = await fetch(url, { headers: UNKEPT, signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
      await answer.body?.cancel();
      if (answer.status === 200) return;
      last = String(answer.status);
    } catch (error) {
      last = String(error);
    }
    await sleep(POLL_MS);
  }
  throw new Error(`${url} did not answer 200 within ${limitMs / 1000} s, but ${last}:\n${output()}`);
}

/** Waits until the URL answers 200, or throws with what the process has said. */
export function untilReady(url: string, child: ChildProcess, output: () => string, limitMs = READY_LIMIT_MS): Promise<void> {
  return untilAnswers(url, output, limitMs, () => child.exitCode !== null || child.signalCode !== null);
}

/** Ends a child that this program started: SIGTERM, and SIGKILL when it does not go. Answers its exit code, null when it had to be killed. */
export async function endChild(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const limit = AbortSignal.timeout(STOP_LIMIT_MS);
  const killer = (): void => void child.kill("SIGKILL");
  limit.addEventListener("abort", killer);
  await ended;
  limit.removeEventListener("abort", killer);
  return child.exitCode;
}

/** The server as it comes in a checkout. */
const SERVER: readonly [string, ...string[]] = [process.execPath, "src/main.ts"];

/**
 * Starts the server, with all its workers unless told otherwise, and waits until it is ready; over a fresh data directory, or the one that
 * a registry which was stopped has left. `command` is another way to start it: a process that is the server in the end.
 */
export async function startRegistry(
  env: Readonly<Record<string, string>> = {},
  dataDirectory?: string,
  [program, ...args] = SERVER,
): Promise<RunningRegistry> {
  const folder = dataDirectory ?? (await mkdtemp(join(tmpdir(), "ai-model-registry-data-")));
  const host = env["BIND_ADDR"] ?? `127.0.0.1:${await freePort()}`;
  const url = `http://${host}`;
  const child = spawn(program, args, {
    cwd: CHECKOUT,
    env: plainEnvironment({ BIND_ADDR: host, REGISTRY_DIR: folder, ...env }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = createWriteStream(`${folder}.log`, { flags: "a" });
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      said.push(chunk);
      log.write(chunk);
    });
  }
  const output = (): string => Buffer.concat(said).toString("utf8");
  const stop = async (): Promise<void> => {
    const code = await endChild(child);
    log.end();
    if (code !== 0) throw new Error(`the server ended with ${code ?? "a signal"} instead of 0:\n${output().slice(-4000)}`);
  };
  const dispose = async (): Promise<void> => {
    try {
      await stop();
    } finally {
      await rm(folder, { recursive: true, force: true });
      await rm(`${folder}.log`, { force: true });
    }
  };
  try {
    await untilReady(`${url}/health`, child, output);
  } catch (error) {
    await endChild(child);
    throw error;
  }
  const key = async (identity: string): Promise<string> => (await readFile(join(folder, "credentials", identity), "utf8")).trim();
  return { url, host, pid: child.pid ?? 0, dataDirectory: folder, output, key, stop, dispose };
}

/** As the operator, makes a namespace that `publisher` owns: what is pushed there comes from an ordinary publisher. */
export async function createNamespace(registry: RunningRegistry, name: string): Promise<void> {
  const answer = await fetch(`${registry.url}/v1/namespaces`, {
    method: "POST",
    headers: { authorization: `Bearer ${await registry.key("operator")}`, "content-type": "application/json" },
    body: JSON.stringify({ name, owner: "publisher" }),
  });
  if (!answer.ok) throw new Error(`the namespace ${name} was refused: ${answer.status} ${await answer.text()}`);
  await answer.body?.cancel();
}
