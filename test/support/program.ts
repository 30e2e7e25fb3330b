import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { COMPILED } from "./compiled.ts";
import { credentialsIn, refuseSecrets } from "./log-secrets.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** The server's program as operators run it: `node src/main.ts`, a process of its own with workers of its own. */
export interface Program {
  readonly process: ChildProcess;
  /** What it wrote so far. */
  readonly out: () => string;
  readonly err: () => string;
  /** Its log lines so far, parsed; throws when standard output holds anything else. */
  log(): readonly Readonly<Record<string, unknown>>[];
  /** The nth log line with this message, when it is there. */
  logged(message: string, count?: number): Promise<Readonly<Record<string, unknown>>>;
  /** Its exit code or signal, when it has ended and closed its output. */
  readonly ended: Promise<number | string>;
  /** Asks it to end, as a service manager does. */
  stop(): Promise<number | string>;
  /** Ends whatever still runs of it, also what a terminal that is gone has left, without any chance to tidy up. */
  kill(): Promise<void>;
}

/** Everything that there can be in a log, which is looked through for secrets when the program has ended. */
const TALKATIVE = { LOG_LEVEL: "trace", ...COMPILED };

/** Starts the program with an environment of its own; nothing of the caller's settings leaks into it. */
export function runProgram(env: Readonly<Record<string, string>>, args: readonly string[] = []): Program {
  return follow(spawn(process.execPath, [MAIN, ...args], { env: { ...TALKATIVE, ...env }, stdio: ["ignore", "pipe", "pipe"] }), env);
}

/** Starts the program with a descriptor of the caller's as standard output. */
export function runInto(output: number, env: Readonly<Record<string, string>>): Program {
  return follow(spawn(process.execPath, [MAIN], { env: { ...TALKATIVE, ...env }, stdio: ["ignore", output, "pipe"] }), env);
}

/**
 * Starts the program in a terminal of its own by `script`, which is what the process is and whose end closes the terminal; what it writes
 * comes as standard output. `command` is what runs in there, where "$0" "$@" is the program.
 */
export function runInTerminal(env: Readonly<Record<string, string>>, command: string): Program {
  const quoted = ["sh", "-c", command, process.execPath, MAIN].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const child = spawn("script", ["--quiet", "--command", `exec ${quoted}`, "/dev/null"], { env: { ...TALKATIVE, ...env }, stdio: "pipe" });
  return follow(child, env);
}

/** Starts the program as a service manager does that listens for it: the descriptors come as 3, 4, … and are said to be for this process. */
export function runActivated(env: Readonly<Record<string, string>>, descriptors: readonly number[]): Program {
  const told = { LISTEN_FDS: String(descriptors.length), ...TALKATIVE, ...env };
  const command = 'LISTEN_PID=$$ exec "$@"';
  return follow(
    spawn("/bin/sh", ["-c", command, "sh", process.execPath, MAIN], { env: told, stdio: ["ignore", "pipe", "pipe", ...descriptors] }),
    env,
  );
}

function follow(child: ChildProcess, { REGISTRY_DIR = "" }: Readonly<Record<string, string>>): Program {
  const [out, err]: [string[], string[]] = [[], []];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => out.push(text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => err.push(text));
  let over = false;
  const ended = once(child, "close").then(([code, signal]: unknown[]) => {
    over = true;
    refuseSecrets([...out, ...err].join("").split("\n"), credentialsIn(REGISTRY_DIR));
    return typeof code === "number" ? code : String(signal);
  });
  const lines = (): Record<string, unknown>[] =>
    out
      .join("")
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return {
    process: child,
    out: () => out.join(""),
    err: () => err.join(""),
    log: lines,
    logged: async (message, count = 1) => {
      for (;;) {
        const found = lines().filter(({ msg }) => msg === message)[count - 1];
        if (found !== undefined) return found;
        if (over) throw new Error(`the program ended without logging "${message}":\n${out.join("")}${err.join("")}`);
        await sleep(20);
      }
    },
    ended,
    stop: () => {
      child.kill("SIGTERM");
      return ended;
    },
    kill: async () => {
      child.kill("SIGKILL");
      for (let left = processesOver(REGISTRY_DIR); left.length > 0; left = processesOver(REGISTRY_DIR)) {
        for (const pid of left) endAtOnce(pid);
        await sleep(20);
      }
      await ended;
    },
  };
}

/** The processes of this machine that were started for a registry in some directory; whose parent is gone, they belong to nobody. */
function processesOver(directory: string): number[] {
  const said = `\0REGISTRY_DIR=${directory}\0`;
  const all = existsSync("/proc/self/environ") ? readdirSync("/proc").filter((name) => /^\d+$/.test(name)) : [];
  return all.filter((pid) => `\0${environmentOf(pid)}`.includes(said)).map(Number);
}

/** Empty for a process that has ended, or is another user's. */
function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    return "";
  }
}

function endAtOnce(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

/** Where a started program listens. */
export async function urlOf(program: Program): Promise<string> {
  return String((await program.logged("listening"))["url"]);
}

/** An Authorization header by the key in a credential file. */
export async function basicOf(directory: string, name: string): Promise<Record<string, string>> {
  const key = (await readFile(join(directory, "credentials", name), "utf8")).trim();
  return { authorization: `Basic ${Buffer.from(`${name}:${key}`).toString("base64")}` };
}
