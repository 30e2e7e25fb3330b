/** How many connections there may be at a time, in all processes. */
export interface ConnectionCaps {
  readonly perAddress: number;
  readonly inAll: number;
}

/** Whose connections are counted: an address's (IPv6 by /64), or everybody's. */
export type Counted = string | null;

/**
 * Of so many connections each process may have these without asking: all processes together half of them. The other half is for whichever
 * process gets more, so that hardly anybody who connects waits for an answer, and there are never more than so many.
 */
export function ownConnections(most: number, processes: number): number {
  return Math.floor(most / (2 * processes));
}

/** The connections that no process has for its own: taken and given back one at a time. */
export class SharedConnections {
  readonly #caps: ConnectionCaps;
  /** By whose they are, how many of them each process has. */
  readonly #taken = new Map<Counted, Map<number, number>>();

  constructor(caps: ConnectionCaps, processes: number) {
    const shared = (most: number): number => most - processes * ownConnections(most, processes);
    this.#caps = { perAddress: shared(caps.perAddress), inAll: shared(caps.inAll) };
  }

  /** Is there one more? Then the process has it until it gives it back. */
  take(counted: Counted, process: number): boolean {
    const taken = this.#taken.get(counted) ?? new Map<number, number>();
    const sum = [...taken.values()].reduce((one, other) => one + other, 0);
    if (sum >= (counted === null ? this.#caps.inAll : this.#caps.perAddress)) return false;
    this.#taken.set(counted, taken.set(process, (taken.get(process) ?? 0) + 1));
    return true;
  }

  give(counted: Counted, process: number): void {
    this.#set(counted, process, (this.#taken.get(counted)?.get(process) ?? 0) - 1);
  }

  /** A process has ended, and all of its connections with it. */
  left(process: number): void {
    for (const counted of this.#taken.keys()) this.#set(counted, process, 0);
  }

  #set(counted: Counted, process: number, count: number): void {
    const taken = this.#taken.get(counted);
    if (count > 0) taken?.set(process, count);
    else taken?.delete(process);
    if (taken?.size === 0) this.#taken.delete(counted);
  }
}
