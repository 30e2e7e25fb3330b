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
/** Questions that have no answer yet, too late ones among them; more are not asked. */
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

/** What is held from the answer to a question on, until it is given back. */
interface Held {
  /** The answer that has it held. */
  readonly granted: Answer;
  /** What this process decides when there is no answer. */
  readonly alone: () => Answer | undefined | Promise<Answer>;
  /** Tells the primary that it is held no more. */
  readonly back: Question;
}

/**
 * The limits as the primary keeps them for all workers (identity.md 8.3). When it does not answer in time, the worker goes on with its own
 * share of every limit: nobody is let through who would not be, all workers together, and nobody waits for a process that hangs.
 */
export class PrimaryLimits implements Limits {
  readonly #parts: Parts;
  readonly #asked = new Map<number, (answer: Answer) => void>();
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
    const alone = (): Promise<Admission> | Admission => this.#parts.alone.admit(claim);
    const back = { ask: "end", upload: claim.upload } as const;
    return admissionSchema.parse(await this.#decide({ ask: "admit", claim }, { granted: "admitted", alone, back }));
  }

  arrive(claim: UploadClaim): Admission | Promise<Admission> {
    if (claim.left !== null) return this.#askForRoom(claim);
    this.#parts.send(NO_QUESTION, { ask: "arrive", claim });
    return "admitted";
  }

  async #askForRoom(claim: UploadClaim): Promise<Admission> {
    const alone = (): Promise<Admission> | Admission => this.#parts.alone.arrive(claim);
    const back = { ask: "pause", upload: claim.upload } as const;
    return admissionSchema.parse(await this.#decide({ ask: "arrive", claim }, { granted: "admitted", alone, back }));
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
    const alone = (): Promise<boolean> | boolean => this.#parts.alone.begin(work);
    return (await this.#decide({ ask: "begin", work }, { granted: true, alone, back: { ask: "done", work } })) === true;
  }

  done(work: Work): void {
    this.#parts.send(NO_QUESTION, { ask: "done", work });
    this.#parts.alone.done(work);
  }

  /** What a worker has is for itself to know: a share that is counted here would come on top of what the primary gave before. */
  async connect(counted: Counted): Promise<boolean | undefined> {
    const back = { ask: "disconnect", counted } as const;
    const answer = await this.#decide({ ask: "connect", counted }, { granted: true, alone: () => undefined, back });
    return answer === undefined ? undefined : answer === true;
  }

  disconnect(counted: Counted): void {
    this.#parts.send(NO_QUESTION, { ask: "disconnect", counted });
  }

  /** The primary has answered, each question once. */
  answered(number: number, answer: Answer): void {
    const asked = this.#asked.get(number);
    this.#asked.delete(number);
    asked?.(answer);
  }

  /** What the primary grants after this process went on alone, and was not granted here, is given back: nobody else would do it. */
  async #decide(question: Question, { granted, alone, back }: Held): Promise<Answer | undefined> {
    let decided: Answer | undefined;
    const answer = await this.#ask(question, (late) => {
      if (late === granted && decided !== granted) this.#parts.send(NO_QUESTION, back);
    });
    if (answer !== undefined) return answer;
    decided = await alone();
    return decided;
  }

  async #ask(question: Question, late?: (answer: Answer) => void): Promise<Answer | undefined> {
    if (performance.now() < this.#silentUntil || this.#asked.size >= MAX_ASKED) return undefined;
    const number = (this.#number += 1);
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    this.#asked.set(number, resolve);
    const timer = setTimeout(() => {
      this.#giveUp(number, late);
      resolve(undefined);
    }, PATIENCE);
    this.#parts.send(number, question);
    const answer = await promise;
    clearTimeout(timer);
    return answer;
  }

  #giveUp(number: number, late: ((answer: Answer) => void) | undefined): void {
    if (late === undefined) this.#asked.delete(number);
    else this.#asked.set(number, late);
    if (performance.now() >= this.#silentUntil) {
      this.#parts.log.warn({ milliseconds: PATIENCE }, "the primary does not answer: this worker goes on with its share of the limits");
    }
    this.#silentUntil = performance.now() + SILENCE;
  }
}
