import { closeSync, constants, fstatSync, fsync, openSync } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hasCode } from "./claim.ts";

/**
 * fsync(2) of a file, or of a folder, which makes the names in it durable; the size. Only that waits for a disk, so that only that takes a
 * thread, which is dearer than to open what is there, to look at it and to close it together.
 */
export async function syncPath(path: string): Promise<number> {
  const file = openSync(path, constants.O_RDONLY);
  try {
    await new Promise<void>((resolve, reject) => {
      fsync(file, (error) => (error === null ? resolve() : reject(error)));
    });
    return fstatSync(file).size;
  } finally {
    closeSync(file);
  }
}

/** fsync(2) of a folder and of all folders below it. */
export async function syncFolders(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isDirectory()) await syncFolders(join(folder, entry.name));
  await syncPath(folder);
}

/** Makes a folder and those above it that are missing, and the names of all that it made durable. */
export async function makeDurableFolder(path: string, mode?: number): Promise<void> {
  const first = await makeMissing(path, mode);
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) {
    await syncPath(dirname(made)).catch((error: unknown) => {
      // Where one may write and not read, only who owns the place can flush it.
      if (!hasCode(error, "EACCES")) throw error;
    });
  }
}

/**
 * Makes a folder and those above it that are missing; the topmost that it made. Each is tried twice at most: where a kernel lets nobody
 * make a folder and calls it missing, as /proc does, Node's own recursion tries for ever.
 */
async function makeMissing(path: string, mode: number | undefined): Promise<string | undefined> {
  try {
    return (await makeOne(path, mode)) ? path : undefined;
  } catch (error) {
    if (!hasCode(error, "ENOENT") || dirname(path) === path) throw error;
  }
  const first = await makeMissing(dirname(path), mode);
  return (await makeOne(path, mode)) ? (first ?? path) : first;
}

/** False when the folder is there already. */
async function makeOne(path: string, mode: number | undefined): Promise<boolean> {
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    if (!hasCode(error, "EEXIST") || !(await stat(path)).isDirectory()) throw error;
    return false;
  }
}
