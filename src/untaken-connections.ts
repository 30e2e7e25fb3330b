import type { Worker } from "node:cluster";

/** A connection that is on its way to a worker, under the number by which the worker answers. */
interface Handed {
  readonly sequence: unknown;
  readonly connection: Closable;
}

interface Closable {
  close(): void;
}

/**
 * Ends connections that no worker takes. Node's primary hands one at a time to a worker, and keeps it until the worker has said whether it took
 * it. That never comes from a worker that ended; and one that had just closed its listener, the last that there was, gives the connection back
 * to a queue that nobody looks at any more. The client would wait for as long as the primary lives.
 */
export class UntakenConnections {
  /** Unanswered yet. */
  readonly #handed = new Map<Worker, Handed>();
  /** Given back, and not handed to anybody since. */
  readonly #refused = new Set<Closable>();

  /** To be called before the worker can have listened. */
  watch(worker: Worker): void {
    const { process } = worker;
    const send: (...args: never[]) => boolean = process.send.bind(process);
    process.send = (...args: unknown[]): boolean => {
      const [message, connection] = args;
      if (isClosable(connection)) this.#hand(worker, { sequence: fieldOf(message, "seq"), connection });
      return Boolean(Reflect.apply(send, process, args));
    };
    // Before Node's own listener, which hands the next one to the worker.
    process.prependListener("internalMessage", (message: unknown) => this.#answered(worker, message));
    // It has ended, and all that it said has been read.
    process.once("close", () => this.#lost(worker));
  }

  #hand(worker: Worker, handed: Handed): void {
    this.#handed.set(worker, handed);
    this.#refused.delete(handed.connection);
  }

  #answered(worker: Worker, message: unknown): void {
    const handed = this.#handed.get(worker);
    if (handed === undefined || handed.sequence !== fieldOf(message, "ack")) return;
    this.#handed.delete(worker);
    if (fieldOf(message, "accepted") !== true) this.#refused.add(handed.connection);
    // When Node's listener has done with it.
    queueMicrotask(() => this.#settle());
  }

  #lost(worker: Worker): void {
    // Node does not notice that it is gone while it owes an answer, and would listen for it for ever.
    worker.disconnect();
    this.#handed.get(worker)?.connection.close();
    this.#handed.delete(worker);
    this.#settle();
  }

  /** Whoever listens has a connection to answer for as long as any waits. What waits when nobody has one waits for nobody. */
  #settle(): void {
    if (this.#handed.size > 0) return;
    for (const connection of this.#refused) connection.close();
    this.#refused.clear();
  }
}

function isClosable(value: unknown): value is Closable {
  return typeof value === "object" && value !== null && "close" in value && typeof value.close === "function";
}

function fieldOf(message: unknown, name: "seq" | "ack" | "accepted"): unknown {
  return typeof message === "object" && message !== null ? Reflect.get(message, name) : undefined;
}
