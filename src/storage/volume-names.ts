import { readdir } from "node:fs/promises";

/** What mke2fs(8) makes in the root of each volume, for fsck(8) alone. */
const LOST_AND_FOUND = "lost+found";

/** The names of what is in a folder that may be the root of a volume. */
export async function namesInVolume(path: string): Promise<readonly string[]> {
  return (await readdir(path)).filter((name) => name !== LOST_AND_FOUND);
}
