import { Buckets, type Charged, type Grant } from "./buckets.ts";
import { DEFAULT_RATES, type Limited, NAMESPACE_FACTOR, type Rates, sharedRates } from "./classes.ts";
import { type ConnectionCaps, type Counted, SharedConnections } from "./connections.ts";
import type { Limits } from "./limits.ts";
import type { Answer, Question } from "./question.ts";
import { type Work, WorkTurns } from "./turns.ts";
import { type Admission, type UploadCaps, type UploadClaim, UploadLedger } from "./uploads.ts";

/** Everything that can be set of the limits of requests. */
export interface Bounds {
  readonly rates: Rates;
  /** So many times the rates of one identity are those of a namespace. */
  readonly namespaceFactor: number;
  readonly uploads: UploadCaps;
  readonly connections: ConnectionCaps;
}

export const DEFAULT_BOUNDS: Bounds = {
  rates: DEFAULT_RATES,
  namespaceFactor: NAMESPACE_FACTOR,
  uploads: { perIdentity: 64, inAll: 256 },
  connections: { perAddress: 2_500, inAll: 10_000 },
};

/** Exports of the audit log at a time: each reads all of it. */
const WORK = { export: 1 } as const;

/** The bounds of one of so many processes that cannot ask each other. */
export function sharedBounds({ rates, namespaceFactor, uploads, connections }: Bounds, processes: number): Bounds {
  const share = (whole: number): number => Math.max(1, Math.floor(whole / processes));
  return {
    rates: sharedRates(rates, processes),
    namespaceFactor,
    uploads: { perIdentity: share(uploads.perIdentity), inAll: share(uploads.inAll) },
    connections,
  };
}

/** Limits that are kept here: nobody is waited for. */
type KeptLimits = {
  readonly [act in keyof Limits]: (...args: Parameters<Limits[act]>) => Exclude<ReturnType<Limits[act]>, Promise<unknown>>;
};

/** Keeps all limits of a registry that is so many processes. The clock is one that never goes back, in milliseconds. */
export class LimitKeeper {
  readonly #buckets: Buckets;
  readonly #uploads: UploadLedger;
  readonly #turns = new WorkTurns(WORK);
  readonly #connections: SharedConnections;
  readonly #clock: () => number;

  constructor({ rates, namespaceFactor, uploads, connections }: Bounds, clock: () => number, processes = 1) {
    this.#buckets = new Buckets(rates, namespaceFactor);
    this.#uploads = new UploadLedger(uploads);
    this.#connections = new SharedConnections(connections, processes);
    this.#clock = clock;
  }

  /** The limits as one process sees them, by a number of its own. */
  of(process: number): KeptLimits {
    const [uploads, turns, connections, clock] = [this.#uploads, this.#turns, this.#connections, this.#clock];
    return {
      take: (limited: Limited, charged: Charged, want: number): Grant => this.#buckets.take(limited, charged, want, clock()),
      admit: (claim: UploadClaim): Admission => uploads.admit(claim, clock()),
      arrive: (claim: UploadClaim): Admission => uploads.arrive(claim, process, clock()),
      pause: (upload: string) => uploads.pause(upload, process, clock()),
      end: (upload: string) => uploads.end(upload),
      begin: (work: Work): boolean => turns.begin(work, process),
      done: (work: Work) => turns.end(work, process),
      connect: (counted: Counted): boolean => connections.take(counted, process),
      disconnect: (counted: Counted) => connections.give(counted, process),
    };
  }

  /** A process has ended. */
  left(process: number): void {
    this.#uploads.left(process);
    this.#turns.left(process);
    this.#connections.left(process);
  }
}

/** Answers what another process wants to know. */
export function answerOf(limits: KeptLimits, question: Question): Answer {
  if (question.ask === "take") return limits.take(question.limited, question.charged, question.want);
  if ("claim" in question) return limits[question.ask](question.claim);
  if ("work" in question) return limits[question.ask](question.work) ?? null;
  if ("counted" in question) return limits[question.ask](question.counted) ?? null;
  limits[question.ask](question.upload);
  return null;
}

/** Limits that a process keeps alone. */
export function ownLimits(bounds: Bounds, clock: () => number): KeptLimits {
  return new LimitKeeper(bounds, clock).of(0);
}
