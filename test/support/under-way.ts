import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** What is under way in a data directory's `uploads`: all but the empty folders that processes keep for uploads to come. */
export async function underWayIn(directory: string): Promise<readonly string[]> {
  return (await readdir(join(directory, "uploads"))).filter((name) => !name.startsWith("+folder."));
}
