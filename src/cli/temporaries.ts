import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Files and folders that are being written, for a signal that ends the process. */
const temporaries = new Set<string>();

/** Removes what an interrupted command would leave behind; for handlers of signals. */
export function removeTemporaries(): void {
  for (const path of temporaries) rmSync(path, { force: true, recursive: true });
}

/**
 * Makes a file or folder under another name beside its place, which it takes when `write` has resolved: nobody ever finds a half of it
 * there. Whatever goes wrong, nothing is left.
 */
export async function inPlaceOf<T>(path: string, write: (temporary: string) => Promise<T>): Promise<T> {
  const temporary = join(dirname(path), `.securectl-${randomBytes(8).toString("hex")}.part`);
  temporaries.add(temporary);
  try {
    const result = await write(temporary);
    await rename(temporary, path);
    return result;
  } catch (error) {
    await rm(temporary, { force: true, recursive: true });
    throw error;
  } finally {
    temporaries.delete(temporary);
  }
}
