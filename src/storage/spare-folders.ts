import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { noneWhenMissing } from "./claim.ts";
import { nameUnderWay, removeLeftovers } from "./under-way.ts";

const PRIVATE_FOLDER = 0o700;
/** No upload has such an id. */
const SPARE = "+folder.";
/** How many a process keeps: as many as uploads may well end before others begin. */
const MAX_SPARE = 64;

/**
 * Empty folders that are kept for uploads to come, beside the uploads and under names of this process: to end a folder and to make another
 * one is the dearest that a push does to files, since ext4 passes over what was freed in the last half minute when it looks for an inode.
 */
export class SpareFolders {
  readonly #beside: string;
  readonly #spare: string[] = [];

  private constructor(beside: string) {
    this.#beside = beside;
  }

  /** Ends those of processes that have ended. */
  static async in(beside: string): Promise<SpareFolders> {
    await removeLeftovers(beside, SPARE);
    return new SpareFolders(beside);
  }

  /** An empty folder that nobody else knows of. */
  take(): string {
    const known = this.#spare.pop();
    if (known !== undefined) return known;
    const made = join(this.#beside, nameUnderWay(SPARE));
    mkdirSync(made, { mode: PRIVATE_FOLDER });
    return made;
  }

  /** Takes a folder away and keeps it; false when it is not empty, or there are enough. */
  keep(folder: string): boolean {
    if (this.#spare.length >= MAX_SPARE || !isEmpty(folder)) return false;
    const kept = join(this.#beside, nameUnderWay(SPARE));
    renameSync(folder, kept);
    this.#spare.push(kept);
    return true;
  }
}

/** False when it is not there any more. */
function isEmpty(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0;
  } catch (error) {
    noneWhenMissing(error);
    return false;
  }
}
