import { open } from "node:fs/promises";

/** fsync(2) of a file, or of a folder, which makes the names in it durable. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
