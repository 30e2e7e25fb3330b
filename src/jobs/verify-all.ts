import { setTimeout as sleep } from "node:timers/promises";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { rowsOf } from "../registry/ordered-rows.ts";
import { reachedFolders } from "../registry/runtime-folders.ts";
import { type BlobVerification, type VerifyServices, verifyBlob } from "../registry/verify-blob.ts";
import { verifyFolder } from "../registry/verify-folder.ts";
import { type ResultServices, publishResult } from "../registry/verify-result.ts";
import { dueVerification, endVerification, markVerification, verificationStatus } from "../registry/verify-run.ts";
import { keys, under } from "../storage/keys.ts";
import type { VerificationRun } from "../storage/records.ts";

/** What the check of all blobs needs. */
export type VerifyAllServices = VerifyServices & ResultServices;

/** When and how fast blobs are checked that nobody asked for. */
export interface VerifyAllOptions {
  /** From the beginning of one check to that of the next, in milliseconds; zero: never. */
  readonly interval: number;
  /** Bytes a second; zero: any. */
  readonly rate: number;
  /** Does this process answer others just now? A check then goes on gently, whoever waits for it. */
  readonly isAnswering?: (() => boolean) | undefined;
  /** How often (ms) a run is looked after: whether it was cancelled or asked for, and how far it has come. */
  readonly look?: number;
}

/** Bytes a second beside those who are answered: a tenth of a core's time. */
const GENTLE = 100_000_000;
/** A pause (ms) after each blob beside them: to look a small one up costs a third of it. */
const PAUSE = 3;
const LOOK = 500;
/** How many looks between two records of how far a run has come. */
const LOOKS_A_MARK = 4;
const PAGE = 256;
/** How many blobs that could not be read are named. */
const MAX_NAMED = 100;

/**
 * Checks all blobs, one after the other in the order of their digests, when that was asked for or is due; goes on where another worker
 * stopped. A signal ends it early, and the next run goes on.
 */
export async function verifyAll(services: VerifyAllServices, options: VerifyAllOptions, signal: AbortSignal): Promise<void> {
  for (;;) {
    // What a crash left between the end of a run and its file.
    await publishResult(services);
    if (signal.aborted) return;
    const run = await dueVerification(services, options.interval);
    if (run === undefined) return;
    await new Walk(services, run, options, signal).toTheEnd();
  }
}

/** One worker's way through a run. */
class Walk {
  readonly #services: VerifyAllServices;
  readonly #options: VerifyAllOptions;
  readonly #stopping: AbortSignal;
  /** The run is not this worker's any more, or nobody knows whether it is. */
  readonly #over = new AbortController();
  /** Of the two, whichever comes first. */
  readonly #signal: AbortSignal;
  /** As it was last written down, and as it is. */
  #marked: VerificationRun;
  #run: VerificationRun;

  constructor(services: VerifyAllServices, run: VerificationRun, options: VerifyAllOptions, stopping: AbortSignal) {
    this.#services = services;
    this.#options = options;
    this.#stopping = stopping;
    this.#signal = AbortSignal.any([stopping, this.#over.signal]);
    [this.#marked, this.#run] = [run, run];
  }

  async toTheEnd(): Promise<void> {
    const ended = new AbortController();
    const watching = this.#watch(ended.signal);
    const failure = await this.#checkAll();
    ended.abort();
    await watching;
    if (this.#over.signal.aborted) return;
    if (this.#stopping.aborted) await this.#mark();
    else await endVerification(this.#services, this.#run, failure);
  }

  /** Why not all of them could be checked, unless a signal ended it. */
  async #checkAll(): Promise<string | undefined> {
    const { after } = this.#run;
    try {
      for await (const { key } of rowsOf(this.#services, [under(keys.blobs(), PAGE, after === null ? [] : [after])])) {
        const digest = digestSchema.parse(key[1]);
        const result = await this.#check(digest);
        this.#run = tallied(this.#run, digest, result);
        await this.#giveWay();
      }
      // Last, so that those made anew are made of bytes that were found to be right.
      for await (const folder of reachedFolders(this.#services)) {
        await verifyFolder(this.#services, folder, { signal: this.#signal, pace: () => this.#rate() });
        await this.#giveWay();
      }
    } catch (error) {
      if (this.#signal.aborted) return undefined;
      this.#services.log.error({ err: error }, "the check of all blobs has failed");
      return "it could not be carried to its end; the log says why";
    }
    return undefined;
  }

  async #giveWay(): Promise<void> {
    if (this.#options.isAnswering?.() === true) await sleep(PAUSE, undefined, { signal: this.#signal });
  }

  /** One blob that cannot be checked keeps no other one. */
  async #check(digest: Digest): Promise<BlobVerification> {
    const { by } = this.#run;
    const pace = (read: number): number => {
      this.#run = { ...this.#run, bytesUnderWay: read };
      return this.#rate();
    };
    try {
      return await verifyBlob(this.#services, digest, { signal: this.#signal, pace, askedBy: by ?? undefined });
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#services.log.error({ err: error, digest }, "a blob could not be checked");
      return { outcome: "unreadable", code: "unknown" };
    }
  }

  /** Bytes a second; zero: any. */
  #rate(): number {
    const { rate, isAnswering } = this.#options;
    const wanted = this.#run.by === null ? rate : 0;
    return isAnswering?.() === true ? Math.min(wanted || GENTLE, GENTLE) : wanted;
  }

  async #watch(ended: AbortSignal): Promise<void> {
    try {
      for (let looks = 1; !ended.aborted; looks += 1) {
        await sleep(this.#options.look ?? LOOK, undefined, { signal: ended }).catch(() => {});
        const isMine = ended.aborted || (looks % LOOKS_A_MARK === 0 ? await this.#mark() : await this.#look());
        if (!isMine) this.#over.abort();
      }
    } catch (error) {
      this.#over.abort();
      throw error;
    }
  }

  /** Is it this worker's still? */
  async #look(): Promise<boolean> {
    return (await verificationStatus(this.#services)).current?.id === this.#run.id;
  }

  async #mark(): Promise<boolean> {
    const marked = await markVerification(this.#services, this.#marked, this.#run);
    if (marked === null) return false;
    this.#marked = marked;
    this.#run = { ...this.#run, by: marked.by };
    return true;
  }
}

function tallied(run: VerificationRun, digest: Digest, result: BlobVerification): VerificationRun {
  const passed = { ...run, after: digest, bytesUnderWay: 0 };
  if (result.outcome === "gone") return passed;
  const isDamaged = result.outcome === "damaged" || result.outcome === "missing";
  const isUnreadable = result.outcome === "unreadable";
  return {
    ...passed,
    blobsChecked: run.blobsChecked + 1,
    bytesChecked: run.bytesChecked + ("size" in result ? result.size : 0),
    blobsDamaged: run.blobsDamaged + Number(isDamaged),
    blobsUnreadable: run.blobsUnreadable + Number(isUnreadable),
    unreadable: isUnreadable ? [...run.unreadable, digest].slice(0, MAX_NAMED) : run.unreadable,
  };
}
