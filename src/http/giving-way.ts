import { setImmediate } from "node:timers/promises";

/** What comes of a body before it gives way to anybody (bytes): so long nobody waits. */
const FIRST = 1024 * 1024;
/** What comes of it then from one time to the next: a millisecond's work. */
const TURN = 256 * 1024;
/** Requests a second. */
const MANY = 10;
/** For so long (ms) after somebody else has asked for something, more is expected. */
const COMPANY = 1_000;

/** The requests of a process that are soon answered, counted as they come. */
export class Arrivals {
  #count = 0;
  #lastAt = -Infinity;
  /** Since when a second is counted, what came in it, and what came in the one before. */
  #second = { begins: -Infinity, count: 0, before: 0 };

  get count(): number {
    return this.#count;
  }

  /** Has one come within the last second? */
  areRecent(): boolean {
    return performance.now() - this.#lastAt < COMPANY;
  }

  /** Have so many come in a second, lately, that somebody is served rather than that a probe looks whether all is well? */
  areMany(): boolean {
    const { begins, count, before } = this.#second;
    const age = performance.now() - begins;
    return age < 2 * COMPANY && Math.max(count, age < COMPANY ? before : 0) >= MANY;
  }

  /** Notes a request by its headers. One with a large body is none of those for whom others give way. */
  note(header: (name: string) => string | undefined): void {
    if (header("transfer-encoding") !== undefined || Number(header("content-length") ?? 0) > FIRST) return;
    const now = performance.now();
    const { begins, count, before } = this.#second;
    const age = now - begins;
    this.#second = age < COMPANY ? { begins, count: count + 1, before } : { begins: now, count: 1, before: age < 2 * COMPANY ? count : 0 };
    this.#count += 1;
    this.#lastAt = now;
  }
}

/**
 * A body that lets others through while it comes. Node takes up to two mebibytes from one socket before it looks at the others, or whether
 * a file was read: what takes a millisecond by itself takes several of such times beside a large body. Nobody gives way while nobody else
 * is there, since to pause a socket and go on costs about a tenth of what the bytes do.
 */
export async function* givingWay(body: AsyncIterable<Uint8Array>, arrivals: Arrivals): AsyncGenerator<Uint8Array> {
  const turns = new Turns(arrivals);
  for await (const chunk of body) {
    yield chunk;
    if (turns.isOver(chunk.length)) await setImmediate();
  }
}

/** Says whose turn it is, while one body comes. */
export class Turns {
  readonly #arrivals: Arrivals;
  readonly #before: number;
  #left = FIRST;

  constructor(arrivals: Arrivals) {
    this.#arrivals = arrivals;
    this.#before = arrivals.count;
  }

  /** Is it somebody else's, after so many more bytes? */
  isOver(bytes: number): boolean {
    this.#left -= bytes;
    if (this.#left > 0) return false;
    this.#left = TURN;
    return this.#arrivals.count > this.#before && this.#arrivals.areRecent();
  }
}
