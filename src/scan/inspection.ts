import { type ChildProcess, spawn } from "node:child_process";
import { extname } from "node:path";
import { Duplex } from "node:stream";
import type { Answer, Task } from "./answer.ts";
import { AnswerLines } from "./answer-lines.ts";
import { type Place, placeText } from "./place.ts";
import { PROGRAM, sandboxFlags } from "./program.ts";

/** Why a file was not inspected though nothing was wrong with it; `message` is safe to show. */
export class InspectionError extends Error {
  override readonly name = "InspectionError";
}

/** What one process may use up. */
interface Limits {
  /** Milliseconds; then it is killed. */
  readonly milliseconds: number;
  /** MiB of JavaScript values. */
  readonly heapMegabytes: number;
}

/** How a process ended. */
export interface Ended {
  /** Its answer; undefined when it gave none that is one. */
  readonly answer: Answer | undefined;
  /** What it wrote to its pipe. */
  readonly output: Uint8Array;
  /** Why there is no answer, in words that are safe to show. */
  readonly reason: string;
  /** For the log: what it wrote on standard error, and the most memory that it had (bytes). */
  readonly complaint: string;
  readonly peak: number | undefined;
}

/** What a process is started with. */
export interface Inspection {
  readonly task: Task;
  /** The file's name, for what its ending claims. */
  readonly name: string;
  /** Where in an archive the file is, or how the archive is packed. */
  readonly place?: Place | undefined;
  /** Descriptors of the files, which become 3, 4, … there. */
  readonly files: readonly number[];
  /** A pipe behind the files: what it is fed, or how many bytes are taken from it. */
  readonly pipe?: { readonly input: Uint8Array } | { readonly maxOutput: number };
  readonly limits: Limits;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((bytes: number) => void) | undefined;
}

const MAX_COMPLAINT = 4 * 1024;
const MAX_ENDING = 32;
/** Standard input, output and error come first. */
const FIRST_FILE = 3;

/**
 * Starts a process that reads files from others, and waits for its end. It may read its own code and what it is handed, and nothing else:
 * no other file, no network, no process, nothing of this one's environment. Whatever the files do to it, it is killed when its time is
 * over. Rejects with `InspectionError` when it cannot be started, and with the signal's reason.
 */
export async function inspect(inspection: Inspection): Promise<Ended> {
  const { task, name, place, files, pipe, limits, signal } = inspection;
  signal?.throwIfAborted();
  const child = spawn(
    process.execPath,
    [...sandboxFlags(limits.heapMegabytes), PROGRAM, task, endingOf(name), ...(place === undefined ? [] : [placeText(place)])],
    {
      env: {},
      cwd: "/",
      stdio: ["ignore", "pipe", "pipe", ...files, ...(pipe === undefined ? [] : ["pipe" as const])],
      windowsHide: true,
    },
  );
  return new Watch(child, inspection).end();
}

/** All that counts of a name, in a form that can be an argument of a program whatever the name is. */
function endingOf(name: string): string {
  return extname(name).replaceAll("\0", "").slice(0, MAX_ENDING);
}

/** Follows one process to its end. */
class Watch {
  readonly #child: ChildProcess;
  readonly #inspection: Inspection;
  readonly #lines: AnswerLines;
  readonly #output: Buffer[] = [];
  #outputBytes = 0;
  #complaint = "";
  #killed: string | undefined;

  constructor(child: ChildProcess, inspection: Inspection) {
    this.#child = child;
    this.#inspection = inspection;
    this.#lines = new AnswerLines(inspection.progress);
  }

  async end(): Promise<Ended> {
    const { signal, limits } = this.#inspection;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#child.once("close", () => resolve());
    this.#child.once("error", (cause) => reject(new InspectionError("no process could be started to read the file", { cause })));
    const giveUp = (): void => this.#kill("it was no longer wanted");
    signal?.addEventListener("abort", giveUp, { once: true });
    const timer = setTimeout(() => this.#kill(`it took longer than ${Math.ceil(limits.milliseconds / 1000)} s`), limits.milliseconds);
    this.#attend();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    }
    signal?.throwIfAborted();
    return this.#ended();
  }

  #attend(): void {
    const { pipe, files } = this.#inspection;
    this.#child.stdout?.on("data", (chunk: Buffer) => this.#listen(chunk));
    this.#child.stderr?.on("data", (chunk: Buffer) => this.#hear(chunk));
    const end = this.#child.stdio[FIRST_FILE + files.length];
    if (pipe === undefined || !(end instanceof Duplex)) return;
    // A process that is gone reads nothing any more; its end tells why.
    end.on("error", () => undefined);
    if ("input" in pipe) end.end(pipe.input);
    else end.on("data", (chunk: Buffer) => this.#take(chunk, pipe.maxOutput));
  }

  #listen(chunk: Buffer): void {
    if (this.#killed === undefined && !this.#lines.add(chunk)) this.#kill("it answered what was not asked");
  }

  #take(chunk: Buffer, limit: number): void {
    this.#outputBytes += chunk.length;
    if (this.#outputBytes > limit) this.#kill("it wrote more than was asked");
    else this.#output.push(chunk);
  }

  #hear(chunk: Buffer): void {
    this.#complaint = (this.#complaint + chunk.toString("utf8")).slice(0, MAX_COMPLAINT);
  }

  #kill(why: string): void {
    this.#killed ??= why;
    this.#child.kill("SIGKILL");
  }

  #ended(): Ended {
    const { exitCode, signalCode } = this.#child;
    const { last } = this.#lines;
    return {
      answer: this.#killed === undefined && exitCode === 0 ? last?.result : undefined,
      output: Buffer.concat(this.#output),
      reason: this.#killed ?? (signalCode === null ? "it failed" : `it was ended by ${signalCode}`),
      complaint: this.#complaint,
      peak: last?.peak,
    };
  }
}
