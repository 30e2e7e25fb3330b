import { Slots } from "../scan/slots.ts";
import type { Pace } from "./verify-bytes.ts";

/** How somebody joins a piece of work. */
export interface Joining {
  /** Ends the wait of whoever brings it, and the work once nobody else waits. */
  readonly signal?: AbortSignal | undefined;
  /** At most so many bytes a second, zero for any; without it, as fast as may be. */
  readonly pace?: Pace | undefined;
  /** For how long (ms) the work goes on when nobody waits any more: whoever lost patience may come again. */
  readonly linger?: number | undefined;
}

/** What work is told: when it is in vain, and at which pace to go. */
export interface Terms {
  readonly signal: AbortSignal;
  readonly pace: Pace;
}

const ANY_PACE = (): number => 0;

/** Work under names: who asks for what is under way waits for that one. It ends early only when nobody waits any more. */
export class SharedWork<Name, Result> {
  readonly #underWay = new Map<Name, Shared<Result>>();

  /** The result of the work under this name, begun now unless it is under way. */
  async join(name: Name, joining: Joining, work: (terms: Terms) => Promise<Result>): Promise<Result> {
    joining.signal?.throwIfAborted();
    const shared = this.#underWay.get(name) ?? this.#begin(name, joining, work);
    return shared.wait(joining);
  }

  #begin(name: Name, { pace }: Joining, work: (terms: Terms) => Promise<Result>): Shared<Result> {
    const shared: Shared<Result> = new Shared(pace, work, () => {
      if (this.#underWay.get(name) === shared) this.#underWay.delete(name);
    });
    this.#underWay.set(name, shared);
    return shared;
  }
}

class Shared<Result> {
  readonly #abandoned = new AbortController();
  readonly #result: Promise<Result>;
  readonly #forget: () => void;
  #pace: Pace | undefined;
  #waiting = 0;
  #linger = 0;
  #giveUp: NodeJS.Timeout | undefined;

  /** `forget` is called when it is no longer to be joined: it has ended, or was given up. */
  constructor(pace: Pace | undefined, work: (terms: Terms) => Promise<Result>, forget: () => void) {
    this.#pace = pace;
    this.#forget = forget;
    this.#result = work({ signal: this.#abandoned.signal, pace: (read) => (this.#pace ?? ANY_PACE)(read) }).finally(() => {
      clearTimeout(this.#giveUp);
      forget();
    });
    // Whoever waits gets it; when nobody does any more, it is nobody's.
    this.#result.catch(() => undefined);
  }

  async wait({ signal, pace, linger = 0 }: Joining): Promise<Result> {
    // Nobody is made to wait for the pace of another.
    if (pace === undefined) this.#pace = undefined;
    this.#linger = Math.max(this.#linger, linger);
    this.#waiting += 1;
    clearTimeout(this.#giveUp);
    try {
      return await unlessAborted(this.#result, signal);
    } catch (error) {
      if (this.#waiting === 1) this.#leave();
      throw error;
    } finally {
      this.#waiting -= 1;
    }
  }

  /** The last one has lost patience. */
  #leave(): void {
    if (this.#linger === 0) this.#abandon();
    else this.#giveUp = setTimeout(() => this.#abandon(), this.#linger).unref();
  }

  #abandon(): void {
    this.#forget();
    this.#abandoned.abort();
  }
}

/** The same result, or the reason of the signal when that comes first. */
async function unlessAborted<T>(result: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return result;
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([result, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

interface UnderWay<Name, Result> {
  readonly shared: SharedWork<Name, Result>;
  readonly slots: Slots;
}

/** What one process does at a time over each store: shared work, of which so many pieces have a slot. */
export class WorkOver<Store extends object, Name, Result> {
  readonly #known = new WeakMap<Store, UnderWay<Name, Result>>();
  readonly #slots: number;

  constructor(slots: number) {
    this.#slots = slots;
  }

  of(store: Store): UnderWay<Name, Result> {
    const known = this.#known.get(store) ?? { shared: new SharedWork(), slots: new Slots(this.#slots) };
    this.#known.set(store, known);
    return known;
  }
}
