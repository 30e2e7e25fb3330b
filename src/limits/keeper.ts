import { Buckets, type Charged, type Grant } from "./buckets.ts";
import type { Limited, Rates } from "./classes.ts";
import type { Limits } from "./limits.ts";
import type { Answer, Question } from "./question.ts";

/** Keeps all limits of a registry. The clock is one that never goes back, in milliseconds. */
export class LimitKeeper implements Limits {
  readonly #buckets: Buckets;
  readonly #clock: () => number;

  constructor(rates: Rates, clock: () => number) {
    this.#buckets = new Buckets(rates);
    this.#clock = clock;
  }

  take(limited: Limited, charged: Charged, want: number): Grant {
    return this.#buckets.take(limited, charged, want, this.#clock());
  }

  /** Answers what another process asks. */
  answer({ limited, charged, want }: Question): Answer {
    return this.take(limited, charged, want);
  }
}
