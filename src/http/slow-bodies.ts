/** How many bodies may be slow at a time, by the address that they come from: each holds a connection for as long as it can. */
export class SlowBodies {
  readonly #most: number;
  readonly #slow = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Counts one more, unless there are too many from there. */
  enter(address: string): boolean {
    const slow = this.#slow.get(address) ?? 0;
    if (slow >= this.#most) return false;
    this.#slow.set(address, slow + 1);
    return true;
  }

  leave(address: string): void {
    const slow = (this.#slow.get(address) ?? 0) - 1;
    if (slow > 0) this.#slow.set(address, slow);
    else this.#slow.delete(address);
  }
}
