import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { open } from "lmdb";

/** The one file of an environment that is content; the other one holds locks. */
const DATA = "data.mdb";

/**
 * Copies the metadata of a registry, as they were at one moment, into a new folder; those who use them meanwhile go on. The path of the copy's
 * file. The copy is a store of its own, and compact.
 */
export async function copyLmdb(directory: string, into: string): Promise<string> {
  await mkdir(into, { recursive: true, mode: 0o700 });
  const database = open({ path: directory, readOnly: true });
  try {
    await database.backup(into, true);
  } finally {
    await database.close();
  }
  return join(into, DATA);
}
