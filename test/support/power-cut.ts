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

/**
 * What a power cut would leave of folders: what was flushed (fsync(2)) and nothing else, as the file system may have it at worst. A file has
 * the bytes of its last flush, a folder the names. It watches the process from `begin` on, until `end`.
 */
export class PowerCut {
  readonly #folders = new Map<bigint, ReadonlyMap<string, Named>>();
  readonly #files = new Map<bigint, Buffer>();
  /** Open descriptors keep the inodes of what is removed from being given to others. */
  readonly #held = new Map<bigint, number>();
  readonly #loses: "unflushed" | "names";
  #unwatch: () => void = () => undefined;

  private constructor(loses: "unflushed" | "names") {
    this.#loses = loses;
  }

  /** `names`: of a disk that flushes files and not folders, against what it says. What is there at first is durable. */
  static async begin(roots: readonly string[], loses: "unflushed" | "names" = "unflushed"): Promise<PowerCut> {
    const cut = new PowerCut(loses);
    for (const root of roots) cut.#takeAll(root);
    await cut.#watch();
    return cut;
  }

  end(): void {
    this.#unwatch();
    for (const descriptor of this.#held.values()) fs.closeSync(descriptor);
  }

  /** Writes what is left of a folder to another one. */
  async leave(folder: string, into: string): Promise<void> {
    await mkdir(into, { recursive: true });
    for (const [name, { inode, isFolder }] of this.#folders.get(inodeOf(folder)) ?? []) {
      const [from, to] = [join(folder, name), join(into, name)];
      if (isFolder) await this.#leaveFolder(inode, { from, to });
      else await this.#leaveFile(inode, { from, to });
    }
  }

  async #leaveFolder(inode: bigint, { from, to }: { readonly from: string; readonly to: string }): Promise<void> {
    const { mode } = fstatSync(this.#held.get(inode) ?? -1);
    await mkdir(to, { recursive: true, mode });
    for (const [name, child] of this.#folders.get(inode) ?? []) {
      const paths = { from: join(from, name), to: join(to, name) };
      await (child.isFolder ? this.#leaveFolder(child.inode, paths) : this.#leaveFile(child.inode, paths));
    }
  }

  async #leaveFile(inode: bigint, { from, to }: { readonly from: string; readonly to: string }): Promise<void> {
    if (from.endsWith(`/metadata/${DATABASE}`)) return copyFile(from, to);
    const { mode } = fstatSync(this.#held.get(inode) ?? -1);
    await writeFile(to, this.#files.get(inode) ?? "", { mode });
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
    // Sockets say only that a process lives.
    const entries = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isFile() || entry.isDirectory());
    this.#folders.set(ino, new Map(entries.map((entry) => [entry.name, this.#named(join(path, entry.name), entry.isDirectory())])));
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
    const take = (descriptor: number): void => this.#take(descriptor);
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
