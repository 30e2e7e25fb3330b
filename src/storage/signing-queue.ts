import { SigningError } from "./signing-keys.ts";

/** Signatures that wait for their turn: tokens and cards often bear one session only. */
const MAX_WAITING = 64;

/** Signs one thing after the other; a bounded number waits. */
export class SigningQueue {
  readonly #what: string;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(what: string) {
    this.#what = what;
  }

  /** Throws `SigningError` when too many wait already. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_WAITING) throw new SigningError(`too many signatures wait for ${this.#what}`);
    this.#waiting += 1;
    const mine = this.#last.then(task).finally(() => {
      this.#waiting -= 1;
    });
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}
