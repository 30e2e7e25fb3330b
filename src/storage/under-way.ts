import { randomUUID } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { THIS_PROCESS, isAlive, noneWhenMissing } from "./claim.ts";

/** A name, never used before, for what this process makes elsewhere before it moves it to its place; `prefix` says what it is. */
export function nameUnderWay(prefix: string): string {
  return `${prefix}${THIS_PROCESS}.${randomUUID()}`;
}

/** What `nameUnderWay` adds to a prefix: the name of a process, and a UUID. */
const OWNED = /^[^.]+\.\d+\.\d+\.[0-9a-f]{8}\.[0-9a-f-]{36}$/;

/** Removes from a folder what processes that have ended left there under such names, and nothing else. */
export async function removeLeftovers(folder: string, prefix: string): Promise<void> {
  const names = (await readdir(folder).catch(noneWhenMissing)) ?? [];
  for (const name of names) {
    const owned = name.startsWith(prefix) ? name.slice(prefix.length) : "";
    if (OWNED.test(owned) && !owned.startsWith(`${THIS_PROCESS}.`) && !(await isAlive(owned)))
      await rm(join(folder, name), { recursive: true, force: true });
  }
}
