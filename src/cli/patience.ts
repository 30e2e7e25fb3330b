import { setTimeout } from "node:timers/promises";
import { CliError } from "./failure.ts";
import { ConnectionError } from "./http.ts";

/** Failures in a row without a byte more than before, after which a transfer is given up. */
const MAX_STALLS = 6;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 30_000;
/** What passes by itself: too slow, too many requests, and the registry being away or busy. A full disk (507) does not. */
const PASSING: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/** How often a transfer is gone on with: as long as it gains something. */
export class Patience {
  readonly #interrupted: (why: string) => void;
  #furthest = 0;
  #stalls = 0;

  /** `interrupted` gets why, each time that a transfer is to be gone on with. */
  constructor(interrupted: (why: string) => void = () => undefined) {
    this.#interrupted = interrupted;
  }

  /** Tells how many bytes have safely arrived. */
  reached(bytes: number): void {
    if (bytes > this.#furthest) [this.#furthest, this.#stalls] = [bytes, 0];
  }

  /** Waits before the next try, longer each time that nothing was gained; throws what cannot pass by itself. */
  async afterFailure(error: unknown): Promise<void> {
    if (!(error instanceof CliError) || !(error instanceof ConnectionError || PASSING.has(error.answer?.status ?? 0))) throw error;
    this.#stalls += 1;
    if (this.#stalls > MAX_STALLS) throw error;
    this.#interrupted(error.message);
    const { retryAfter } = error.answer ?? {};
    const wanted = retryAfter === undefined ? FIRST_PAUSE * 2 ** (this.#stalls - 1) : retryAfter * 1000;
    await setTimeout(Math.min(wanted, LONGEST_PAUSE));
  }
}
