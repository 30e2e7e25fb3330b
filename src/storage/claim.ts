import { randomBytes } from "node:crypto";
import { readFileSync, renameSync } from "node:fs";
import { readFile, readdir, unlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { UploadBusyError } from "./blob-store.ts";

/**
 * Exclusive use of a file, across processes and without a lock that could outlive its holder: whoever wants the file `name` renames it to
 * `name.<boot>.<pid>.<start>.<nonce>`, which only one can do, and back when done. The name says who holds it; when that process is gone
 * (another boot, no such process, or another one that got the same pid), the next one takes it over by the same rename.
 * Names are changed without a thread: to hand it over would cost some twenty times the processor time of a rename.
 */
export interface Claim {
  /** Where the file is while it is claimed. */
  readonly path: string;
  /** Gives the file its name back. */
  release(): void;
  /** Removes the file and so ends the claim. */
  remove(): Promise<void>;
}

const NO_PROC = "0";
const BOOT = bootId();
/** Tells apart two copies of this module in one process, which do not see each other's `held`. */
const NONCE = randomBytes(4).toString("hex");
/** The name of this process, which no other one on this machine ever has. */
export const THIS_PROCESS = [BOOT, process.pid, startOf(statText()) ?? NO_PROC, NONCE].join(".");

/** What this process holds: a file that has this process's name and is not here was left by a release that failed. */
const held = new Set<string>();
/** Each try lost means that another process has moved the file meanwhile. */
const MAX_TRIES = 8;

/** Claims a file. Throws `UploadBusyError` while another holds it, and an error with code ENOENT when there is no such file. */
export async function claim(folder: string, name: string): Promise<Claim> {
  const path = join(folder, `${name}.${THIS_PROCESS}`);
  if (held.has(path)) throw new UploadBusyError("it is in use by another request");
  held.add(path);
  try {
    await take(folder, name, path);
  } catch (error) {
    held.delete(path);
    throw error;
  }
  return {
    path,
    release: () => {
      held.delete(path);
      renameSync(path, join(folder, name));
    },
    remove: () => unlink(path).finally(() => held.delete(path)),
  };
}

async function take(folder: string, name: string, path: string): Promise<void> {
  for (let tries = 1; !moved(join(folder, name), path, tries); tries += 1) {
    const holder = await claimIn(folder, name);
    if (holder === basename(path)) return;
    if (holder === undefined) continue;
    if (await isAlive(holder.slice(name.length + 1))) throw new UploadBusyError("it is in use by another process");
    if (moved(join(folder, holder), path, tries)) return;
  }
}

/** False when the file is no longer, or not yet, where it was looked for; that is an error when it has been so too often. */
function moved(from: string, to: string, tries: number): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (!isMissing(error) || tries >= MAX_TRIES) throw error;
    return false;
  }
}

/** Uses a file under whichever name it has at the moment; undefined when there is none. For reading only: nothing is claimed. */
export async function withCurrentName<T>(folder: string, name: string, use: (path: string) => Promise<T>): Promise<T | undefined> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const used = await use(join(folder, name)).catch(noneWhenMissing);
    if (used !== undefined) return used;
    const holder = await claimIn(folder, name).catch(noneWhenMissing);
    const usedByHolder = holder === undefined ? undefined : await use(join(folder, holder)).catch(noneWhenMissing);
    if (usedByHolder !== undefined) return usedByHolder;
  }
  return undefined;
}

async function claimIn(folder: string, name: string): Promise<string | undefined> {
  return (await readdir(folder)).find((file) => file.startsWith(`${name}.`));
}

function isMissing(error: unknown): boolean {
  return hasCode(error, "ENOENT");
}

/** Is this an error of the operating system with this code? */
export function hasCode(error: unknown, ...codes: readonly string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);
}

/** For `catch`: nothing when there was nothing, else the error. */
export function noneWhenMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

/** Does a process of such a name live, other than this one, which knows what it holds? */
export async function isAlive(holder: string): Promise<boolean> {
  const [boot, pid = "", start, nonce] = holder.split(".");
  if (boot !== BOOT || !/^[1-9][0-9]*$/.test(pid)) return false;
  // Another copy of this module in this very process; `held` is its own affair.
  if (Number(pid) === process.pid && start === THIS_PROCESS.split(".")[2]) return nonce !== NONCE;
  try {
    return startOf(await readFile(`/proc/${pid}/stat`, "utf8")) === start;
  } catch (error) {
    // Whatever else keeps this process from looking says nothing of the other.
    if (!hasCode(error, "ENOENT", "ESRCH")) return true;
    return start === NO_PROC && hasProcess(Number(pid));
  }
}

/** Without /proc (not on Linux) a pid that was given to another process cannot be told; the claim then waits for that one to end. */
function hasProcess(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return !hasCode(error, "ESRCH");
  }
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return NO_PROC;
  }
}

function statText(): string {
  try {
    return readFileSync("/proc/self/stat", "utf8");
  } catch {
    return "";
  }
}

/** When a process began, from its /proc stat; undefined when it has ended and only waits to be noticed (proc_pid_stat(5)). */
function startOf(stat: string): string | undefined {
  // The command's name stands in parentheses and may hold anything; state is the field after it, the start the twentieth.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state === "Z" || state === "X" ? undefined : fields[18];
}
