/** Work of which only so much is done at a time, in all processes. */
export const WORK = ["export"] as const;
export type Work = (typeof WORK)[number];

/** Who does what now; by process, so that one that ends leaves nothing behind. */
export class WorkTurns {
  readonly #most: Readonly<Record<Work, number>>;
  readonly #working = new Map<Work, number[]>();

  constructor(most: Readonly<Record<Work, number>>) {
    this.#most = most;
  }

  /** May it begin? */
  begin(work: Work, process: number): boolean {
    const working = this.#working.get(work) ?? [];
    if (working.length >= this.#most[work]) return false;
    this.#working.set(work, [...working, process]);
    return true;
  }

  end(work: Work, process: number): void {
    const working = this.#working.get(work) ?? [];
    const at = working.indexOf(process);
    if (at >= 0) this.#working.set(work, working.toSpliced(at, 1));
  }

  left(process: number): void {
    for (const [work, working] of this.#working)
      this.#working.set(
        work,
        working.filter((each) => each !== process),
      );
  }
}
