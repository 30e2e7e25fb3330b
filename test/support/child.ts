import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** A process of a test, and what it said. */
export interface Child {
  readonly process: ChildProcess;
  /** Lines of its standard output so far. */
  readonly lines: string[];
  /** Resolves when it has said so many lines. */
  said(count: number): Promise<void>;
  /** Its exit code or signal, when it has ended. */
  ended(): Promise<number | string>;
  /** Ends it without any chance to tidy up. */
  kill(): Promise<void>;
}

/** Runs a script of the tests with the Node that runs them; what it says on standard error ends up in this process's. */
export function startChild(script: URL, ...args: readonly string[]): Child {
  return startProgram(process.execPath, script.pathname, ...args);
}

export function startProgram(program: string, ...args: readonly string[]): Child {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    child.emit("said");
  });
  const end = once(child, "close").then(([code, signal]: unknown[]) => (typeof code === "number" ? code : String(signal)));
  return {
    process: child,
    lines,
    said: async (count) => {
      while (lines.length < count) {
        const ended = await Promise.race([once(child, "said").then(() => undefined), end]);
        if (ended !== undefined && lines.length < count) throw new Error(`the process ended with ${ended} after ${lines.length} lines`);
      }
    },
    ended: () => end,
    kill: async () => {
      child.kill("SIGKILL");
      await end;
    },
  };
}
