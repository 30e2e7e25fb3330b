import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { type Digest, type DigestAlgorithm, digestFrom } from "../oci/digest.ts";
import type { Answer, Order } from "./hashing-thread.ts";

/** The thread's program stands beside this file: as TypeScript in a checkout, compiled in the package. */
const PROGRAM = fileURLToPath(new URL("./hashing-thread.ts", import.meta.url)).replace(/\.ts$/, extname(fileURLToPath(import.meta.url)));
/** Bytes that are read by one order: each costs this thread some ten microseconds, and the other one some milliseconds. */
const PIECE = 4 * 1024 * 1024;
/** So long (ms) the thread waits for more work before it ends. */
const LINGER = 2_000;
/** MiB of values, of which the thread has hardly any: what it reads it keeps in one buffer. */
const LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 };

/** The thread could not be started, or ended in the midst of its work; which says nothing about the file. */
export class HashingThreadError extends Error {
  override readonly name = "HashingThreadError";
}

/** Called before each piece with how many bytes were read so far, and at the end: resolves when the next may be, rejects to end it. */
export type MayGoOn = (read: number) => Promise<void>;

/** What a file was found to be. */
export interface HashedFile {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
}

/** Whoever hashes open files. */
export interface FileHashing {
  /**
   * The digest of a file, from its first byte to the last. Nobody reads from the descriptor any more when it resolves or rejects: with what
   * the system said, with what `mayGoOn` did, or with `HashingThreadError`.
   */
  hash(fd: number, algorithm: DigestAlgorithm, mayGoOn: MayGoOn): Promise<HashedFile>;
}

/** Hashes files in a thread of the lowest priority, in constant memory, several by turns. There is one only while there is something to do. */
export function createFileHashing(program = PROGRAM): FileHashing {
  return new ThreadHashing(program);
}

class ThreadHashing implements FileHashing {
  readonly #program: string;
  #thread: HashingThread | undefined;
  #files = 0;
  #lingering: NodeJS.Timeout | undefined;
  #last = 0;

  constructor(program: string) {
    this.#program = program;
  }

  async hash(fd: number, algorithm: DigestAlgorithm, mayGoOn: MayGoOn): Promise<HashedFile> {
    const file = (this.#last += 1);
    this.#files += 1;
    clearTimeout(this.#lingering);
    try {
      // To its end the same one: another would know nothing of what came before.
      this.#thread ??= this.#start();
      return await hashBy(this.#thread, { file, fd, algorithm }, mayGoOn);
    } finally {
      this.#files -= 1;
      if (this.#files === 0) this.#lingering = setTimeout(() => this.#thread?.end(), LINGER).unref();
    }
  }

  #start(): HashingThread {
    const thread: HashingThread = new HashingThread(this.#program, () => {
      if (this.#thread === thread) this.#thread = undefined;
    });
    return thread;
  }
}

async function hashBy(
  thread: HashingThread,
  what: Pick<Extract<Order, { order: "go on" }>, "file" | "fd" | "algorithm">,
  mayGoOn: MayGoOn,
): Promise<HashedFile> {
  try {
    for (let size = 0; ;) {
      await mayGoOn(size);
      const answer = await thread.ask({ order: "go on", ...what, position: size, length: PIECE });
      if ("code" in answer) throw Object.assign(new Error(answer.message), { code: answer.code });
      size += answer.read;
      if (answer.hash === undefined) continue;
      await mayGoOn(size);
      return { digest: digestFrom(what.algorithm, answer.hash), size };
    }
  } catch (error) {
    thread.tell({ order: "forget", file: what.file });
    throw error;
  }
}

/** One thread, from its start to its end. */
class HashingThread {
  readonly #worker: Worker;
  readonly #asked = new Map<number, PromiseWithResolvers<Answer>>();
  readonly #forget: () => void;
  #hasEnded = false;
  #failure: unknown;

  /** `forget` is called when it takes no more orders. Throws `HashingThreadError` when the system gives no thread. */
  constructor(program: string, forget: () => void) {
    this.#forget = forget;
    try {
      // Nothing of how this process was started concerns it.
      this.#worker = new Worker(program, { name: "hashing", env: {}, execArgv: [], resourceLimits: LIMITS });
    } catch (error) {
      throw lost(error);
    }
    // It keeps no process that has nothing else to do, unless somebody waits for it.
    this.#worker.unref();
    this.#worker.on("message", (answer: Answer) => this.#answered(answer));
    this.#worker.on("error", (error) => {
      this.#failure = error;
    });
    this.#worker.once("exit", () => this.#ended());
  }

  async ask(order: Order): Promise<Answer> {
    if (this.#hasEnded) throw lost(this.#failure);
    const asked = Promise.withResolvers<Answer>();
    this.#asked.set(order.file, asked);
    this.#worker.ref();
    this.#worker.postMessage(order, []);
    return asked.promise;
  }

  tell(order: Order): void {
    this.#worker.postMessage(order, []);
  }

  end(): void {
    this.#forget();
    void this.#worker.terminate();
  }

  #answered(answer: Answer): void {
    const asked = this.#asked.get(answer.file);
    this.#asked.delete(answer.file);
    if (this.#asked.size === 0) this.#worker.unref();
    asked?.resolve(answer);
  }

  /** Only now is it certain that it reads nothing any more. */
  #ended(): void {
    this.#hasEnded = true;
    this.#forget();
    for (const { reject } of this.#asked.values()) reject(lost(this.#failure));
    this.#asked.clear();
  }
}

function lost(cause: unknown): HashingThreadError {
  return new HashingThreadError("the thread that hashes files has ended", { cause });
}
