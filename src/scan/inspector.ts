import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { ModelFacts, Unreadable } from "../formats/model-facts.ts";
import type { Logger } from "../log.ts";
import { type Ended, InspectionError, type Limits, inspect } from "./inspection.ts";
import { Slots } from "./slots.ts";

/** Looks into model files from others, each in a process of its own that a hostile file can at worst have killed. */
export interface Inspector {
  /**
   * What the header of a model file tells, or why it tells nothing. `name` is the file's name for people: its ending says what the file
   * claims to be. Rejects with `InspectionError` when that could not be found out, and with the signal's reason.
   */
  facts(path: string, name: string, signal?: AbortSignal): Promise<ModelFacts | Unreadable>;
}

export interface InspectorOptions {
  /** How many processes may run at a time; further files wait. */
  readonly processes?: number;
  /** For reading a header, in milliseconds. */
  readonly headerMilliseconds?: number;
  readonly log?: Pick<Logger, "debug" | "warn">;
}

const HEADER_MILLISECONDS = 60_000;
/** Room for the descriptions of the most tensors that are read. */
const HEAP_MEGABYTES = 512;

/** An inspector that starts a process for each file. */
export function createInspector(options: InspectorOptions = {}): Inspector {
  return new ProcessInspector(options);
}

class ProcessInspector implements Inspector {
  readonly #slots: Slots;
  readonly #limits: Limits;
  readonly #log: InspectorOptions["log"];

  constructor({
    processes = Math.max(1, Math.floor(availableParallelism() / 2)),
    headerMilliseconds = HEADER_MILLISECONDS,
    log,
  }: InspectorOptions) {
    this.#slots = new Slots(processes);
    this.#limits = { milliseconds: headerMilliseconds, heapMegabytes: HEAP_MEGABYTES };
    this.#log = log;
  }

  async facts(path: string, name: string, signal?: AbortSignal): Promise<ModelFacts | Unreadable> {
    const { result, reason } = await this.#slots.run(async () => {
      await using file = await openRegular(path);
      return this.#watched(await inspect({ task: "facts", name, files: [file.fd], limits: this.#limits, signal, progress: undefined }));
    }, signal);
    switch (result?.answer) {
      case "facts":
        return result.facts;
      case "unreadable":
        return { unreadable: result.reason };
      case "failed":
        throw new InspectionError(result.reason);
      case undefined:
        return { unreadable: `the process that read it gave no answer: ${reason}` };
    }
  }

  #watched(ended: Ended): Ended {
    const { result, reason, complaint, peak } = ended;
    if (result === undefined) this.#log?.warn({ reason, complaint }, "an inspection ended without an answer");
    else this.#log?.debug({ answer: result.answer, peak }, "a file was inspected");
    return ended;
  }
}

/** O_NONBLOCK: opening a FIFO would wait for somebody to write to it. Rejects with `InspectionError` for anything but a regular file. */
async function openRegular(path: string): Promise<FileHandle> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
  const file = await open(path, flags).catch((cause: unknown) => {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown";
    throw new InspectionError(`the file cannot be opened (${code})`, { cause });
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new InspectionError("it is not a regular file");
}
