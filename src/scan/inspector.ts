import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { ModelDetails } from "../formats/model-details.ts";
import type { ModelFacts, Unreadable } from "../formats/model-facts.ts";
import type { ManifestCheck } from "../formats/tensor-manifest-check.ts";
import type { ManifestDiff } from "../formats/tensor-manifest-diff.ts";
import type { PackedFiles } from "../formats/tar-members.ts";
import { MAX_MANIFEST_BYTES } from "../formats/tensor-manifest-text.ts";
import type { Logger } from "../log.ts";
import type { Packing } from "../oci/layer-file.ts";
import { MAX_CARD_BYTES } from "./answer.ts";
import { type Ended, type Inspection, InspectionError, inspect } from "./inspection.ts";
import type { Place } from "./place.ts";
import { Slots } from "./slots.ts";

/**
 * Looks into files from others, each in a process of its own that a hostile file can at worst have killed. Paths lead to regular files;
 * `name` is the file's name for people: its ending says what the file claims to be. All calls wait while others are under way, and reject
 * with the signal's reason.
 */
export interface Inspector {
  /** What the header of a model file tells, or why it tells nothing. Rejects with `InspectionError` when that could not be found out. */
  facts(path: string, name: string, signal?: AbortSignal): Promise<ModelFacts | Unreadable>;
  /**
   * The same with the metadata and the tensors themselves, as far as they can be listed; of a file in an archive where a place is given.
   * Rejects with `InspectionError` as well when the process was ended before it answered, which is no fact about the file.
   */
  details(path: string, name: string, place?: Place): Promise<ModelDetails | Unreadable>;
  /** The files in a tar archive, for `details`. Rejects with `InspectionError` as that does. */
  files(path: string, packing: Packing): Promise<PackedFiles | Unreadable>;
  /** The beginning of the README in a tar archive. Rejects with `InspectionError` as `details` does. */
  card(path: string, packing: Packing): Promise<PackedCard | Unreadable>;
  /** The manifest of a model file's tensors, as text; the file is read whole. */
  generate(path: string, name: string, options?: ReadingOptions): Promise<{ readonly manifest: Uint8Array } | Unreadable>;
  /** Holds a model file, which is read whole, against a manifest: its text, or the path of it. */
  verify(path: string, name: string, manifest: Uint8Array | string, options?: ReadingOptions): Promise<ManifestCheck>;
  /** Compares the manifests in two files. */
  diff(from: string, to: string, signal?: AbortSignal): Promise<ManifestDiff | Unreadable>;
}

/** What was taken out of an archive. */
export interface PackedCard {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Is it longer than that? */
  readonly isCut: boolean;
}

/** How a file is read whole. */
export interface ReadingOptions {
  readonly signal?: AbortSignal | undefined;
  /** Is told now and then how many bytes were read. */
  readonly progress?: ((bytes: number) => void) | undefined;
}

/** How an inspector works. */
export interface InspectorOptions {
  /** How many processes may run at a time; further files wait. */
  readonly processes?: number;
  /** Milliseconds for reading a header. */
  readonly headerMilliseconds?: number;
  /** MiB of JavaScript values that a process may hold. */
  readonly heapMegabytes?: number;
  /** Bytes a second that a file which is read whole has to come at, on the average. */
  readonly leastRate?: number;
  readonly log?: Pick<Logger, "debug" | "warn">;
}

const HEADER_MILLISECONDS = 60_000;
const READS_HEADER: ReadonlySet<string> = new Set(["facts", "details", "files", "card"]);
const LEAST_RATE = 10 * 1024 * 1024;
/** Room for the descriptions of the most tensors that are read, in a file and in a manifest. */
const HEAP_MEGABYTES = 512;

/** An inspector that starts a process for each file. */
export function createInspector(options: InspectorOptions = {}): Inspector {
  return new ProcessInspector(options);
}

class ProcessInspector implements Inspector {
  readonly #slots: Slots;
  readonly #headerMilliseconds: number;
  readonly #leastRate: number;
  readonly #heapMegabytes: number;
  readonly #log: InspectorOptions["log"];

  constructor(options: InspectorOptions) {
    this.#slots = new Slots(options.processes ?? Math.max(1, Math.floor(availableParallelism() / 2)));
    this.#headerMilliseconds = options.headerMilliseconds ?? HEADER_MILLISECONDS;
    this.#leastRate = options.leastRate ?? LEAST_RATE;
    this.#heapMegabytes = options.heapMegabytes ?? HEAP_MEGABYTES;
    this.#log = options.log;
  }

  async facts(path: string, name: string, signal?: AbortSignal): Promise<ModelFacts | Unreadable> {
    const { answer, reason } = await this.#inspect([path], { task: "facts", name, signal });
    if (answer?.answer === "facts") return answer.facts;
    return unreadable(answer, reason);
  }

  async details(path: string, name: string, place?: Place): Promise<ModelDetails | Unreadable> {
    const { answer, reason } = await this.#inspect([path], { task: "details", name, place });
    if (answer?.answer === "details") return answer.details;
    return answeredUnreadable(answer, reason);
  }

  async files(path: string, packing: Packing): Promise<PackedFiles | Unreadable> {
    const { answer, reason } = await this.#inspect([path], { task: "files", name: "", place: { packing, at: 0, size: 0 } });
    if (answer?.answer !== "files") return answeredUnreadable(answer, reason);
    const { files, isWhole } = answer;
    return { files, isWhole };
  }

  async card(path: string, packing: Packing): Promise<PackedCard | Unreadable> {
    const pipe = { maxOutput: MAX_CARD_BYTES };
    const { answer, output, reason } = await this.#inspect([path], { task: "card", name: "", place: { packing, at: 0, size: 0 }, pipe });
    if (answer?.answer !== "card") return answeredUnreadable(answer, reason);
    return { path: answer.path, bytes: output, isCut: answer.isCut };
  }

  async generate(path: string, name: string, options: ReadingOptions = {}): Promise<{ readonly manifest: Uint8Array } | Unreadable> {
    try {
      const pipe = { maxOutput: MAX_MANIFEST_BYTES };
      const { answer, output, reason } = await this.#inspect([path], { task: "generate", name, pipe, ...options });
      return answer?.answer === "generated" ? { manifest: output } : { unreadable: whyNot(answer, reason) };
    } catch (error) {
      return { unreadable: messageOf(error) };
    }
  }

  async verify(path: string, name: string, manifest: Uint8Array | string, options: ReadingOptions = {}): Promise<ManifestCheck> {
    try {
      const [files, pipe] = typeof manifest === "string" ? [[path, manifest]] : [[path], { input: manifest }];
      const { answer, reason } = await this.#inspect(files, { task: "verify", name, ...(pipe && { pipe }), ...options });
      return answer?.answer === "checked" ? answer.check : cannotCheck(whyNot(answer, reason));
    } catch (error) {
      return cannotCheck(messageOf(error));
    }
  }

  async diff(from: string, to: string, signal?: AbortSignal): Promise<ManifestDiff | Unreadable> {
    try {
      const { answer, reason } = await this.#inspect([from, to], { task: "diff", name: "", signal });
      return answer?.answer === "compared" ? answer.diff : { unreadable: whyNot(answer, reason) };
    } catch (error) {
      return { unreadable: messageOf(error) };
    }
  }

  /** Opens the files and has a process read them, when it is its turn. */
  #inspect(paths: readonly string[], inspection: Omit<Inspection, "files" | "limits">): Promise<Ended> {
    return this.#slots.run(async () => {
      await using files = new AsyncDisposableStack();
      const handles: FileHandle[] = [];
      for (const path of paths) handles.push(files.use(await openRegular(path)));
      const size = READS_HEADER.has(inspection.task) ? 0 : ((await handles[0]?.stat())?.size ?? 0);
      const milliseconds = this.#headerMilliseconds + (size / this.#leastRate) * 1000;
      const limits = { milliseconds, heapMegabytes: this.#heapMegabytes };
      return this.#logged(await inspect({ ...inspection, files: handles.map(({ fd }) => fd), limits }));
    }, inspection.signal);
  }

  #logged(ended: Ended): Ended {
    const { answer, reason, complaint, peak } = ended;
    if (answer === undefined) this.#log?.warn({ reason, complaint }, "an inspection ended without an answer");
    else this.#log?.debug({ answer: answer.answer, peak }, "a file was inspected");
    return ended;
  }
}

/** Throws where it is not the file's fault. */
function unreadable(answer: Ended["answer"], reason: string): Unreadable {
  if (answer?.answer === "failed") throw new InspectionError(answer.reason);
  return { unreadable: whyNot(answer, reason) };
}

/** Throws as well where there is no answer: a process that was ended, by whomever, may give one the next time. */
function answeredUnreadable(answer: Ended["answer"], reason: string): Unreadable {
  if (answer === undefined) throw new InspectionError(whyNot(answer, reason));
  return unreadable(answer, reason);
}

function whyNot(answer: Ended["answer"], reason: string): string {
  const answered = answer?.answer === "unreadable" || answer?.answer === "failed";
  return answered ? answer.reason : `the process that read it gave no answer: ${reason}`;
}

function cannotCheck(why: string): ManifestCheck {
  return { outcome: "cannot-check", count: 0, lines: [why] };
}

/** What went wrong around a file; whatever else was thrown goes on. */
function messageOf(error: unknown): string {
  if (error instanceof InspectionError) return error.message;
  throw error;
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
