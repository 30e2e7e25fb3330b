import { constants, existsSync, mkdirSync, readdirSync, renameSync, statSync, unlinkSync, utimesSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { nameUnderWay, removeLeftovers } from "./under-way.ts";
import type { openWritable } from "./writable-file.ts";

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
/** The bytes of an upload, in its folder. */
export const DATA = "data";
/** An empty file that becomes `data`; whoever looks for an upload's bytes looks for none of this name. */
export const UNUSED = "unused";
/** No upload has such an id. */
const SPARE = "+folder.";
/** How many a process keeps: as many as uploads may well end before others begin. */
const MAX_SPARE = 64;

interface Spare {
  readonly folder: string;
  readonly hasFile: boolean;
}

/**
 * The folders of uploads, those that have ended kept for those to come, beside them and under names of this process, with the file where
 * nothing was written to it. To end a folder or a file and to make another is the dearest that a push does to names, most of all on ext4
 * without a journal, which passes over what was freed in the last half minute when it looks for an inode.
 */
export class StagingFolders {
  readonly #uploads: string;
  readonly #openFile: typeof openWritable;
  readonly #spare: Spare[] = [];

  private constructor(uploads: string, openFile: typeof openWritable) {
    this.#uploads = uploads;
    this.#openFile = openFile;
  }

  /** Ends those that processes kept which have ended. */
  static async in(uploads: string, openFile: typeof openWritable): Promise<StagingFolders> {
    await removeLeftovers(uploads, SPARE);
    return new StagingFolders(uploads, openFile);
  }

  /** Makes a folder of an empty upload, at once whole; an error with code ENOTEMPTY where there is one. */
  async begin(folder: string): Promise<void> {
    const spare = this.#takeSpare() ?? this.#make();
    const data = join(spare.folder, DATA);
    try {
      if (spare.hasFile) {
        const now = Date.now() / 1000;
        utimesSync(join(spare.folder, UNUSED), now, now);
        renameSync(join(spare.folder, UNUSED), data);
      } else {
        this.#openFile(data, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, PRIVATE_FILE).close();
      }
      renameSync(spare.folder, folder);
    } catch (error) {
      await rm(spare.folder, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * Ends an upload that left nothing but a published file, or an empty one, and keeps its folder. False where it left more, where somebody
   * writes to it, and where that fails: what is left then is in nobody's way, and for the caller to remove.
   */
  end(folder: string): boolean {
    if (this.#spare.length >= MAX_SPARE) return false;
    try {
      const left = putAside(folder);
      if (left === undefined || readdirSync(folder).length !== left.length) return false;
      const kept = this.#newName();
      renameSync(folder, kept);
      this.#spare.push({ folder: kept, hasFile: left.length > 0 });
      return true;
    } catch {
      return false;
    }
  }

  /** One that is still there: somebody may have tidied up by hand. */
  #takeSpare(): Spare | undefined {
    for (let spare = this.#spare.pop(); spare !== undefined; spare = this.#spare.pop()) if (existsSync(spare.folder)) return spare;
    return undefined;
  }

  #make(): Spare {
    const folder = this.#newName();
    mkdirSync(folder, { mode: PRIVATE_FOLDER });
    return { folder, hasFile: false };
  }

  #newName(): string {
    return join(this.#uploads, nameUnderWay(SPARE));
  }
}

/**
 * What the folder of an upload is to hold then: nothing, where its bytes were published, or the file, where it got none, under a name by
 * which nobody finds it. Undefined, and all as it was, where it has bytes of its own or somebody else has claimed it (`claim.ts`).
 */
function putAside(folder: string): readonly string[] | undefined {
  const data = join(folder, DATA);
  const found = statSync(data, { throwIfNoEntry: false });
  if (found === undefined || (found.nlink === 1 && found.size > 0)) return undefined;
  if (found.nlink > 1) {
    unlinkSync(data);
    return [];
  }
  const unused = join(folder, UNUSED);
  renameSync(data, unused);
  // Until the rename others could write to it.
  const now = statSync(unused);
  if (now.size === 0 && now.nlink === 1) return [UNUSED];
  unlinkSync(unused);
  return [];
}
