import { Buckets, type Charged, type Grant } from "./buckets.ts";
import { DEFAULT_RATES, type Limited, type Rates, sharedRates } from "./classes.ts";
import type { Limits } from "./limits.ts";
import type { Answer, Question } from "./question.ts";
import { type Work, WorkTurns } from "./turns.ts";
import { type Admission, type UploadCaps, type UploadClaim, UploadLedger } from "./uploads.ts";

/** Everything that can be set of the limits of requests. */
export interface Bounds {
  readonly rates: Rates;
  readonly uploads: UploadCaps;
}

export const DEFAULT_BOUNDS: Bounds = { rates: DEFAULT_RATES, uploads: { perIdentity: 64, inAll: 256 } };

/** Exports of the audit log at a time: each reads all of it. */
const WORK = { export: 1 } as const;

/** The bounds of one of so many processes that cannot ask each other. */
export function sharedBounds({ rates, uploads: { perIdentity, inAll } }: Bounds, processes: number): Bounds {
  const share = (whole: number): number => Math.max(1, Math.floor(whole / processes));
  return { rates: sharedRates(rates, processes), uploads: { perIdentity: share(perIdentity), inAll: share(inAll) } };
}

/** Limits that are kept here: nobody is waited for. */
type KeptLimits = {
  readonly [act in keyof Limits]: (...args: Parameters<Limits[act]>) => Exclude<ReturnType<Limits[act]>, Promise<unknown>>;
};

/** Keeps all limits of a registry. The clock is one that never goes back, in milliseconds. */
export class LimitKeeper {
  readonly #buckets: Buckets;
  readonly #uploads: UploadLedger;
  readonly #turns = new WorkTurns(WORK);
  readonly #clock: () => number;

  constructor({ rates, uploads }: Bounds, clock: () => number) {
    this.#buckets = new Buckets(rates);
    this.#uploads = new UploadLedger(uploads);
    this.#clock = clock;
  }

  /** The limits as one process sees them, by a number of its own. */
  of(process: number): KeptLimits {
    const [uploads, turns, clock] = [this.#uploads, this.#turns, this.#clock];
    return {
      take: (limited: Limited, charged: Charged, want: number): Grant => this.#buckets.take(limited, charged, want, clock()),
      admit: (claim: UploadClaim): Admission => uploads.admit(claim, clock()),
      arrive: (claim: UploadClaim): Admission => uploads.arrive(claim, process, clock()),
      pause: (upload: string) => uploads.pause(upload, process, clock()),
      end: (upload: string) => uploads.end(upload),
      begin: (work: Work): boolean => turns.begin(work, process),
      done: (work: Work) => turns.end(work, process),
    };
  }

  /** A process has ended. */
  left(process: number): void {
    this.#uploads.left(process);
    this.#turns.left(process);
  }
}

/** Answers what another process wants to know. */
export function answerOf(limits: KeptLimits, question: Question): Answer {
  if (question.ask === "take") return limits.take(question.limited, question.charged, question.want);
  if (question.ask === "admit" || question.ask === "arrive") return limits[question.ask](question.claim);
  if (question.ask === "begin") return limits.begin(question.work);
  if (question.ask === "done") limits.done(question.work);
  else if (question.ask === "pause" || question.ask === "end") limits[question.ask](question.upload);
  return null;
}

/** Limits that a process keeps alone. */
export function ownLimits(bounds: Bounds, clock: () => number): KeptLimits {
  return new LimitKeeper(bounds, clock).of(0);
}
