import type { Charged, Grant } from "./limits/buckets.ts";
import type { Limited } from "./limits/classes.ts";
import type { Counted } from "./limits/connections.ts";
import type { Limits } from "./limits/limits.ts";
import { type Answer, type Question, admissionSchema, grantSchema } from "./limits/question.ts";
import type { Work } from "./limits/turns.ts";
import type { Admission, UploadClaim } from "./limits/uploads.ts";
import type { Logger } from "./log.ts";

/** How long a worker waits for the primary; and for how long it does not ask again when that was too long. Milliseconds. */
const PATIENCE = 1000;
const SILENCE = 5000;
/** Questions that wait for an answer at a time; more are not asked. */
const MAX_ASKED = 10_000;
/** The number of what is told without a question. */
const NO_QUESTION = 0;

interface Parts {
  /** Tells the primary. */
  readonly send: (number: number, question: Question) => void;
  /** What holds while the primary does not answer: this process's share. */
  readonly alone: Limits;
  readonly log: Logger;
}

/**
 * The limits as the primary keeps them for all workers (identity.md 8.3). When it does not answer in time, the worker goes on with its own
 * share of every limit: nobody is let through who would not be, all workers together, and nobody waits for a process that hangs.
 */
export class PrimaryLimits implements Limits {
  readonly #parts: Parts;
  readonly #asked = new Map<number, (answer: Answer | undefined) => void>();
  #number = NO_QUESTION;
  #silentUntil = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async take(limited: Limited, charged: Charged, want: number): Promise<Grant> {
    const answer = await this.#ask({ ask: "take", limited, charged, want });
    return answer === undefined ? this.#parts.alone.take(limited, charged, want) : grantSchema.parse(answer);
  }

  async admit(claim: UploadClaim): Promise<Admission> {
    const answer = await this.#ask({ ask: "admit", claim });
    return answer === undefined ? this.#parts.alone.admit(claim) : admissionSchema.parse(answer);
  }

  arrive(claim: UploadClaim): Admission | Promise<Admission> {
    if (claim.left !== null) return this.#askForRoom(claim);
    this.#parts.send(NO_QUESTION, { ask: "arrive", claim });
    return "admitted";
  }

  async #askForRoom(claim: UploadClaim): Promise<Admission> {
    const answer = await this.#ask({ ask: "arrive", claim });
    return answer === undefined ? this.#parts.alone.arrive(claim) : admissionSchema.parse(answer);
  }

  pause(upload: string): void {
    this.#parts.send(NO_QUESTION, { ask: "pause", upload });
    this.#parts.alone.pause(upload);
  }

  end(upload: string): void {
    this.#parts.send(NO_QUESTION, { ask: "end", upload });
    this.#parts.alone.end(upload);
  }

  async begin(work: Work): Promise<boolean> {
    const answer = await this.#ask({ ask: "begin", work });
    return answer === undefined ? this.#parts.alone.begin(work) : answer === true;
  }

  done(work: Work): void {
    this.#parts.send(NO_QUESTION, { ask: "done", work });
    this.#parts.alone.done(work);
  }

  /** What a worker has is for itself to know: a share that is counted here would come on top of what the primary gave before. */
  async connect(counted: Counted): Promise<boolean | undefined> {
    const answer = await this.#ask({ ask: "connect", counted });
    return answer === undefined ? undefined : answer === true;
  }

  disconnect(counted: Counted): void {
    this.#parts.send(NO_QUESTION, { ask: "disconnect", counted });
  }

  /** The primary has answered. */
  answered(number: number, answer: Answer): void {
    this.#asked.get(number)?.(answer);
  }

  async #ask(question: Question): Promise<Answer | undefined> {
    if (performance.now() < this.#silentUntil || this.#asked.size >= MAX_ASKED) return undefined;
    const number = (this.#number += 1);
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    this.#asked.set(number, resolve);
    const timer = setTimeout(() => this.#giveUp(resolve), PATIENCE);
    try {
      this.#parts.send(number, question);
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#asked.delete(number);
    }
  }

  #giveUp(resolve: (answer: undefined) => void): void {
    if (performance.now() >= this.#silentUntil) {
      this.#parts.log.warn({ milliseconds: PATIENCE }, "the primary does not answer: this worker goes on with its share of the limits");
    }
    this.#silentUntil = performance.now() + SILENCE;
    resolve(undefined);
  }
}
