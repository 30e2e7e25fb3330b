import { execFile } from "node:child_process";
import { CHECKOUT, plainEnvironment } from "./registry-process.ts";

const LIMIT_MS = 120_000;

/** How a program ended, and what it wrote. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What a program is given. */
export interface Command {
  readonly input?: string | Uint8Array;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds after which it is ended; two minutes unless told otherwise. */
  readonly limitMs?: number;
}

/** Runs a program to its end, whatever its exit code; it gets nothing of the registry settings of this one. */
export function run(file: string, args: readonly string[], command: Command = {}): Promise<Ran> {
  const { input = "", cwd = CHECKOUT, env = {}, limitMs = LIMIT_MS } = command;
  return new Promise((resolve) => {
    const options = { cwd, env: plainEnvironment(env), timeout: limitMs, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(file, args, options, (error, out, err) => {
      if (error === null) return resolve({ code: 0, out, err });
      if (typeof error.code === "number") return resolve({ code: error.code, out, err });
      // It could not be started, or was ended: what it said itself does not tell.
      return resolve({ code: 1, out, err: `${err}${error.message}\n` });
    });
    // One that ends without reading it tells so by its exit code.
    child.stdin?.on("error", () => undefined).end(input);
  });
}

/** Runs a program that has to end with 0; what it wrote on standard output. Throws with all that it wrote otherwise. */
export async function mustRun(file: string, args: readonly string[], command: Command = {}): Promise<string> {
  const { code, out, err } = await run(file, args, command);
  if (code !== 0)
    throw new Error(`${[file, ...args].join(" ")} ended with ${code}
${out}${err}`);
  return out;
}
