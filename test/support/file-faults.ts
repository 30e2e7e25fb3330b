import fs, { existsSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";

/** What becomes of the nth operation: it fails, it and all later ones do, or a rename is taken back by `crash` though it was reported done. */
export type FileFault = "fails" | "fails from then on" | "is lost";

const PROMISED = "chmod copyFile link lstat mkdir open opendir readFile readdir rename rm rmdir stat statfs unlink writeFile".split(" ");
/** Those of streams, and of `syncPath`. */
const CALLED_BACK = ["open", "read", "write", "writev", "fsync", "close"];
const OF_HANDLES = ["chmod", "read", "readFile", "stat", "sync", "write", "writeFile"];

type Call = (...args: unknown[]) => unknown;
type Calls = Record<string, Call>;

/** Has operations on files below some folders fail in this process, by whichever of Node's functions they are made. */
export class FileFaults {
  readonly #roots: readonly string[];
  readonly #real: (readonly [Calls, string, Call])[] = [];
  #nth = 0;
  #count = 0;
  #fault: FileFault = "fails";
  #failed: string | undefined;
  #seen: string[] = [];
  #lost: { readonly from: string; readonly to: string; readonly replaced: Buffer | undefined } | undefined;
  /** Writes of streams put half of what they are given. */
  #isShort = false;

  private constructor(roots: readonly string[]) {
    this.#roots = roots;
  }

  static async begin(roots: readonly string[]): Promise<FileFaults> {
    const faults = new FileFaults(roots);
    const any = await open("/", "r");
    const handles = Object.getPrototypeOf(any) as Calls;
    await any.close();
    faults.#replace(handles, OF_HANDLES, (name, real) => faults.#ofHandles(name, real));
    const [promised, all] = [fs.promises, fs] as unknown as readonly [Calls, Calls];
    faults.#replace(promised, PROMISED, (name, real) => faults.#promised(name, real));
    faults.#replace(all, CALLED_BACK, (name, real) => faults.#calledBack(name, real));
    syncBuiltinESMExports();
    return faults;
  }

  end(): void {
    for (const [from, name, real] of this.#real) from[name] = real;
    syncBuiltinESMExports();
  }

  /** The nth operation from now on; of renames alone with `is lost`. */
  arm(nth: number, fault: FileFault): void {
    [this.#nth, this.#count, this.#fault, this.#failed, this.#lost, this.#seen] = [nth, 0, fault, undefined, undefined, []];
  }

  /** From now on until `disarm`. */
  writeHalves(): void {
    this.#isShort = true;
  }

  /** The operation that failed since, when there were as many. */
  disarm(): string | undefined {
    [this.#nth, this.#isShort] = [0, false];
    return this.#failed;
  }

  /** Takes back the rename that was lost; a file whose folder is gone by now is gone with it. */
  crash(): void {
    const lost = this.#lost;
    this.#lost = undefined;
    if (lost === undefined || !existsSync(lost.to)) return;
    if (existsSync(dirname(lost.from))) renameSync(lost.to, lost.from);
    else rmSync(lost.to);
    if (lost.replaced !== undefined) writeFileSync(lost.to, lost.replaced, { mode: 0o600 });
  }

  /** Which operations there were since `arm`, each with the path of its file. */
  get seen(): readonly string[] {
    return this.#seen;
  }

  #replace(from: Calls, names: readonly string[], by: (name: string, real: Call) => Call): void {
    for (const name of names) {
      const real = from[name];
      if (real === undefined) throw new TypeError(`Node has no ${name}`);
      this.#real.push([from, name, real]);
      from[name] = by(name, real);
    }
  }

  /** Why an operation fails; undefined when it does not. */
  #failure(name: string, of: unknown): Error | undefined {
    if (this.#nth === 0 || this.#fault === "is lost") return undefined;
    const path = typeof of === "number" ? pathOf(of) : String(of);
    if (!this.#roots.some((root) => path === root || path.startsWith(`${root}/`))) return undefined;
    this.#count += 1;
    this.#seen.push(`${name} ${path}`);
    if (this.#count < this.#nth || (this.#count > this.#nth && this.#fault === "fails")) return undefined;
    this.#failed ??= `${name} ${path}`;
    return Object.assign(new Error(`EIO: i/o error, ${name} '${path}'`), { code: "EIO", errno: -5, syscall: name, path });
  }

  #lose([from, to]: readonly unknown[]): void {
    if (this.#nth === 0 || this.#fault !== "is lost" || !this.#roots.some((root) => String(to).startsWith(`${root}/`))) return;
    this.#count += 1;
    this.#seen.push(`rename ${String(to)}`);
    if (this.#count !== this.#nth) return;
    this.#failed = `rename ${String(to)}`;
    this.#lost = { from: String(from), to: String(to), replaced: existsSync(String(to)) ? readFileSync(String(to)) : undefined };
  }

  #promised(name: string, real: Call): Call {
    return async (...args) => {
      const failure = this.#failure(name, args[0]);
      if (failure !== undefined) throw failure;
      if (name === "rename") this.#lose(args);
      return real(...args);
    };
  }

  #ofHandles(name: string, real: Call): Call {
    const failure = (fd: number): Error | undefined => this.#failure(name, fd);
    return async function ofHandle(this: FileHandle, ...args: unknown[]) {
      const found = failure(this.fd);
      if (found !== undefined) throw found;
      if (name === "sync") return undefined;
      return Reflect.apply(real, this, args);
    };
  }

  #calledBack(name: string, real: Call): Call {
    return (...args) => {
      const failure = this.#failure(name, args[0]);
      const done = args.at(-1) as (error: Error | null) => void;
      if (failure !== undefined && name !== "close") return setImmediate(done, failure);
      // What is closed is closed, whatever is said of it.
      if (failure !== undefined) return real(args[0], () => done(failure));
      // A flush is most of the time, and what a disk does then no matter here.
      if (name === "fsync") return setImmediate(done, null);
      return real(...(this.#isShort ? halved(name, args) : args));
    };
  }
}

function pathOf(descriptor: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return "";
  }
}

/** Arguments of a write that puts half of what it was to put, of one byte that one. */
function halved(name: string, args: readonly unknown[]): readonly unknown[] {
  if (name === "write") {
    const [fd, bytes, offset, length, ...more] = args as [number, Uint8Array, number, number, ...unknown[]];
    return [fd, bytes, offset, Math.ceil(length / 2), ...more];
  }
  if (name !== "writev") return args;
  const [fd, pieces, ...more] = args as [number, readonly Uint8Array[], ...unknown[]];
  const [first = new Uint8Array()] = pieces;
  return [fd, [first.subarray(0, Math.ceil(first.length / 2))], ...more];
}
