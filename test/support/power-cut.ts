import fs, { constants, fstatSync, lstatSync, openSync, readFileSync, readdirSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { type FileHandle, copyFile, mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Without it nobody can look at what was flushed by its descriptor. */
export const HAS_DESCRIPTORS = fs.existsSync("/proc/self/fd");

/** LMDB flushes by itself, natively, before a commit is answered; of its file only the name is for others to flush. */
const DATABASE = "data.mdb";

interface Named {
  readonly inode: bigint;
  readonly isFolder: boolean;
}

interface Paths {
  readonly from: string;
  readonly to: string;
}

/** What a power cut at one moment would leave. */
export interface Moment {
  readonly folders: ReadonlyMap<bigint, ReadonlyMap<string, Named>>;
  readonly files: ReadonlyMap<bigint, Buffer>;
}

/**
 * What a power cut would leave of folders: what was flushed (fsync(2)) and nothing else, as the file system may have it at worst. A file has
 * the bytes of its last flush, a folder the names. It watches the process from `begin` on, until `end`.
 */
export class PowerCut {
  readonly #folders = new Map<bigint, ReadonlyMap<string, Named>>();
  readonly #files = new Map<bigint, Buffer>();
  readonly #roots: readonly string[];
  #moments: Moment[] | undefined;
  /** Open descriptors keep the inodes of what is removed from being given to others. */
  readonly #held = new Map<bigint, number>();
  readonly #loses: "unflushed" | "names";
  #unwatch: () => void = () => undefined;

  private constructor(roots: readonly string[], loses: "unflushed" | "names") {
    this.#roots = roots;
    this.#loses = loses;
  }

  /** `names`: of a disk that flushes files and not folders, against what it says. What is there at first is durable. */
  static async begin(roots: readonly string[], loses: "unflushed" | "names" = "unflushed"): Promise<PowerCut> {
    const cut = new PowerCut(roots, loses);
    for (const root of roots) cut.#takeAll(root);
    await cut.#watch();
    return cut;
  }

  end(): void {
    this.#unwatch();
    for (const descriptor of this.#held.values()) fs.closeSync(descriptor);
  }

  /** From now on it keeps what a power cut after each flush would leave, at worst and where all names are durable at once; `moments` are these. */
  keepMoments(): void {
    this.#moments = [];
  }

  get moments(): readonly Moment[] {
    return this.#moments ?? [];
  }

  /** Writes what is left of a folder to another one: now, or at an earlier moment. */
  async leave(folder: string, into: string, at: Moment = { folders: this.#folders, files: this.#files }): Promise<void> {
    await mkdir(into, { recursive: true });
    await this.#leaveNames(inodeOf(folder), { from: folder, to: into }, at);
  }

  async #leaveNames(folder: bigint, { from, to }: Paths, at: Moment): Promise<void> {
    for (const [name, { inode, isFolder }] of at.folders.get(folder) ?? []) {
      const paths = { from: join(from, name), to: join(to, name) };
      const { mode } = fstatSync(this.#held.get(inode) ?? -1);
      if (isFolder) {
        await mkdir(paths.to, { recursive: true, mode });
        await this.#leaveNames(inode, paths, at);
      } else if (paths.from.endsWith(`/metadata/${DATABASE}`)) await copyFile(paths.from, paths.to);
      else await writeFile(paths.to, at.files.get(inode) ?? "", { mode });
    }
  }

  #keepMoment(): void {
    if (this.#moments === undefined) return;
    const files = new Map(this.#files);
    this.#moments.push({ folders: new Map(this.#folders), files }, { folders: this.#namesNow(), files });
  }

  /** The names in all folders as they are, flushed or not. */
  #namesNow(): ReadonlyMap<bigint, ReadonlyMap<string, Named>> {
    const folders = new Map<bigint, ReadonlyMap<string, Named>>();
    const look = (path: string): void => {
      const names = this.#namesIn(path);
      folders.set(inodeOf(path), names);
      for (const [name, { isFolder }] of names) if (isFolder) look(join(path, name));
    };
    for (const root of this.#roots) look(root);
    return folders;
  }

  #takeAll(path: string): void {
    const isFolder = lstatSync(path).isDirectory();
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    this.#take(descriptor);
    fs.closeSync(descriptor);
    if (isFolder) for (const name of readdirSync(path)) this.#takeAll(join(path, name));
  }

  /** Takes what a descriptor is open for as flushed. */
  #take(descriptor: number): void {
    const path = `/proc/self/fd/${descriptor}`;
    const { ino } = fstatSync(descriptor, { bigint: true });
    this.#hold(ino, path);
    if (!fstatSync(descriptor).isDirectory()) {
      this.#files.set(ino, readFileSync(path));
      return;
    }
    if (this.#loses === "names" && this.#folders.has(ino)) return;
    this.#folders.set(ino, this.#namesIn(path));
  }

  #namesIn(path: string): ReadonlyMap<string, Named> {
    // Sockets say only that a process lives.
    const entries = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isFile() || entry.isDirectory());
    return new Map(entries.map((entry) => [entry.name, this.#named(join(path, entry.name), entry.isDirectory())]));
  }

  #named(path: string, isFolder: boolean): Named {
    const { ino } = lstatSync(path, { bigint: true });
    this.#hold(ino, path);
    return { inode: ino, isFolder };
  }

  #hold(inode: bigint, path: string): void {
    if (!this.#held.has(inode)) this.#held.set(inode, openSync(path, constants.O_RDONLY));
  }

  async #watch(): Promise<void> {
    const any = await open("/", "r");
    const handles = Object.getPrototypeOf(any) as { sync: FileHandle["sync"]; datasync: FileHandle["datasync"] };
    await any.close();
    const { sync, datasync } = handles;
    const { fsync } = fs;
    const take = (descriptor: number): void => {
      this.#take(descriptor);
      this.#keepMoment();
    };
    handles.sync = async function flushed(this: FileHandle) {
      await sync.call(this);
      take(this.fd);
    };
    handles.datasync = handles.sync;
    // What streams call that are told to flush, and `syncPath`.
    fs.fsync = ((descriptor: number, done: fs.NoParamCallback) =>
      fsync(descriptor, (error) => {
        if (error === null) take(descriptor);
        done(error);
      })) as typeof fsync;
    syncBuiltinESMExports();
    this.#unwatch = () => {
      Object.assign(handles, { sync, datasync });
      fs.fsync = fsync;
      syncBuiltinESMExports();
    };
  }
}

function inodeOf(path: string): bigint {
  return lstatSync(path, { bigint: true }).ino;
}
