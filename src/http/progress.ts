import type { Readable } from "node:stream";
import { RegistryError } from "../oci/errors.ts";
import { givingWay } from "./giving-way.ts";
import { addressKey } from "./limits.ts";
import type { Ask } from "./route.ts";
import type { SlowBodies } from "./slow-bodies.ts";
import { LONG } from "./standing.ts";

/** What a body must keep up, averaged over the window, which is the grace at its beginning as well. */
export interface Pace {
  /** Zero: any pace will do. */
  readonly bytesPerSecond: number;
  readonly windowMilliseconds: number;
  /** Bounds how many are in arrears at a time. */
  readonly slow?: SlowBodies;
}

/** As identity.md 8.6 advises: 4 KiB a second over half a minute. */
export const DEFAULT_PACE: Pace = { bytesPerSecond: 4096, windowMilliseconds: 30_000 };

/** How often a waiting body is looked at, as a part of its window. */
const LOOKS = 15;

/**
 * The bytes of a request's body, straight from the socket, while they keep up the pace that the server was set to; else it throws
 * `TOO_SLOW`. There is no limit on the time of a body that makes progress. The socket survives, so that the refusal can be answered.
 */
export function guardedBody(c: Ask): AsyncIterable<Uint8Array> {
  const { incoming, outgoing } = c.env;
  const began = performance.now();
  // Who waits for it gets this now, or the final answer alone when nobody reads its body (RFC 9110 §10.1.1).
  const atStart = (): void => {
    if (incoming.headers.expect !== undefined && incoming.httpVersion !== "1.0") outgoing.writeContinue();
  };
  const atEnd = async (): Promise<void> => {
    if (performance.now() - began > LONG) await c.get("stillStands")?.();
  };
  return givingWay(paced(incoming, c.get("pace"), { address: addressKey(c.get("address")), atStart, atEnd }), c.get("arrivals"));
}

/** Whom a body comes from, how it is asked for, and what is asked before it counts as whole. */
interface Sender {
  readonly address: string;
  readonly atStart: () => void;
  readonly atEnd: () => Promise<void>;
}

const ANYBODY: Sender = { address: "", atStart: () => undefined, atEnd: async () => undefined };

/** The chunks of a stream while they keep up the pace. One timer a body, and nothing that grows with its length. */
export async function* paced(source: Readable, pace: Pace, { address, atStart, atEnd }: Sender = ANYBODY): AsyncGenerator<Uint8Array> {
  atStart();
  const waiter = new Waiter(source);
  const credit = new Credit(pace);
  let [slow, isCounted] = [false, false];
  const look = (): void => {
    if (!isCounted && credit.isLow()) isCounted = pace.slow?.enter(address) ?? false;
    slow = credit.isSpent() || (!isCounted && pace.slow !== undefined && credit.isLow());
    if (slow) waiter.wake();
  };
  const timer = pace.bytesPerSecond > 0 ? setInterval(look, pace.windowMilliseconds / LOOKS) : undefined;
  try {
    for (;;) {
      const chunk: unknown = source.read();
      if (chunk instanceof Uint8Array) {
        credit.earn(chunk.length);
        yield chunk;
        continue;
      }
      if (waiter.isOver()) {
        await atEnd();
        return;
      }
      credit.startWaiting();
      await waiter.next();
      credit.stopWaiting();
      if (slow) throw new RegistryError("TOO_SLOW");
    }
  } finally {
    clearInterval(timer);
    if (isCounted) pace.slow?.leave(address);
    waiter.release();
  }
}

/**
 * Time that the sender lets us wait is taken from a credit of one window, each byte gives some back. Only waiting counts: a sender
 * is not blamed for a disk that is slow.
 */
class Credit {
  readonly #pace: Pace;
  #left: number;
  #waitingSince: number | undefined;

  constructor(pace: Pace) {
    this.#pace = pace;
    this.#left = pace.windowMilliseconds;
  }

  earn(bytes: number): void {
    const { bytesPerSecond, windowMilliseconds } = this.#pace;
    this.#left = Math.min(windowMilliseconds, this.#left + (bytes / bytesPerSecond) * 1000);
  }

  startWaiting(): void {
    this.#waitingSince = performance.now();
  }

  stopWaiting(): void {
    this.#left -= this.#waited();
    this.#waitingSince = undefined;
  }

  isSpent(): boolean {
    return this.#waitingSince !== undefined && this.#left <= this.#waited();
  }

  /** Has the sender used up half of its credit? One that sends as it may is never so far. */
  isLow(): boolean {
    return this.#left - this.#waited() < this.#pace.windowMilliseconds / 2;
  }

  #waited(): number {
    return this.#waitingSince === undefined ? 0 : performance.now() - this.#waitingSince;
  }
}

/** Waits for one stream's next event without a promise that outlives it. */
class Waiter {
  readonly #source: Readable;
  #wake: () => void = () => undefined;
  #error: Error | undefined;
  readonly #onEvent = (): void => this.#wake();
  readonly #onError = (error: Error): void => {
    this.#error = error;
    this.#wake();
  };

  constructor(source: Readable) {
    this.#source = source;
    for (const event of ["readable", "end", "close"]) source.on(event, this.#onEvent);
    source.on("error", this.#onError);
  }

  /** Has the stream given everything? Throws when it broke off. */
  isOver(): boolean {
    const error = this.#error ?? this.#source.errored;
    if (error !== null) throw error;
    if (this.#source.readableEnded) return true;
    if (this.#source.destroyed) throw new Error("the body broke off");
    return false;
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  wake(): void {
    this.#wake();
  }

  release(): void {
    for (const event of ["readable", "end", "close"]) this.#source.off(event, this.#onEvent);
    this.#source.off("error", this.#onError);
  }
}
