import { type ChildProcess, spawn } from "node:child_process";
import { hasCode } from "./claim.ts";
import { SigningError } from "./signing-keys.ts";

/** A program that is run once, is handed some bytes on standard input, and answers on standard output. */
export interface ChildProgram {
  /** What it is, at the beginning of a message. */
  readonly what: string;
  /** A path, or a name that is looked for where programs are. */
  readonly path: string;
  readonly args: readonly string[];
  /** Undefined: that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input: Uint8Array;
  /** Milliseconds until it is killed, with all that it has started. */
  readonly timeout: number;
  /** Bytes that it may answer. */
  readonly maxOutput: number;
}

/** How a program ended. */
export interface EndedProgram {
  /** Its exit code, or the signal that killed it. */
  readonly end: number | string;
  readonly output: Uint8Array;
  /** The beginning of what it said on standard error. */
  readonly said: string;
}

const MAX_SAID = 4096;

/** Runs a program to its end. Throws `SigningError` when it cannot be run, takes too long or answers too much. */
export async function runToEnd({ what, path, args, env, input, timeout, maxOutput }: ChildProgram): Promise<EndedProgram> {
  // A group of its own, so that what the program itself started ends with it.
  const child = spawn(path, args, { stdio: ["pipe", "pipe", "pipe"], detached: true, ...(env === undefined ? {} : { env }) });
  const { promise, resolve, reject } = Promise.withResolvers<EndedProgram>();
  const late = setTimeout(() => reject(new SigningError(`${what} took more than ${timeout} ms`)), timeout);
  const output = gathered(child.stdout, maxOutput, () => reject(new SigningError(`${what} gave more than ${maxOutput} bytes`)));
  const said = gathered(child.stderr, MAX_SAID, () => undefined);
  // A program that ends before it has read all is judged by its end.
  child.stdin.on("error", () => undefined);
  child.once("error", (error) => reject(new SigningError(`${what} cannot be run`, { cause: error })));
  child.once("close", (code, signal) => {
    resolve({ end: code ?? signal ?? "nothing", output: output(), said: new TextDecoder().decode(said()) });
  });
  child.stdin.end(input);
  try {
    return await promise;
  } finally {
    clearTimeout(late);
    endGroup(child);
  }
}

/** Keeps the first bytes of a stream, and calls back when there are more. */
function gathered(stream: NodeJS.ReadableStream, most: number, tooMuch: () => void): () => Uint8Array {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.on("data", (chunk: Buffer) => {
    if (length + chunk.length > most) tooMuch();
    if (length < most) chunks.push(chunk.subarray(0, most - length));
    length += chunk.length;
  });
  return () => new Uint8Array(Buffer.concat(chunks));
}

/** Whatever is left of it; a group that has ended is no error. */
function endGroup(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if (!hasCode(error, "ESRCH")) throw error;
  }
}
