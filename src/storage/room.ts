import { statfs } from "node:fs/promises";

/** What is kept free: a gibibyte, or a twentieth of a smaller file system. */
const RESERVE = 1024 ** 3;
const RESERVE_SHARE = 20;
/** For so long (ms) what a look found is taken for true: no disk is filled by a notable part of the reserve in that time. */
const MAX_AGE = 50;

/** The room that a file system has beside its reserve. */
export class Room {
  readonly #folder: string;
  /** The last look, and when it was (performance.now()). */
  #look: { readonly at: number; readonly left: Promise<number> } | undefined;

  /** Of the file system that this folder is on. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** In bytes; not above zero when only the reserve is left. */
  async left(): Promise<number> {
    const now = performance.now();
    if (this.#look === undefined || now - this.#look.at > MAX_AGE) this.#look = { at: now, left: this.#lookNow() };
    return this.#look.left;
  }

  async #lookNow(): Promise<number> {
    const { bavail, blocks, bsize } = await statfs(this.#folder);
    return bavail * bsize - Math.min(RESERVE, (blocks * bsize) / RESERVE_SHARE);
  }
}
