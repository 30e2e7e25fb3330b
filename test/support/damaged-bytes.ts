import { chmod, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../../src/oci/digest.ts";
import { blobPath } from "../../src/storage/filesystem.ts";

/** Where a data directory has the bytes of a blob. */
export function fileOf(directory: string, digest: Digest): string {
  return blobPath(join(directory, "blobs"), digest);
}

/** Writes over the bytes of a published blob, as a bad disk or a root user does: in the same file, through all of its links. */
export async function overwrite(directory: string, digest: Digest, bytes: string): Promise<void> {
  const path = fileOf(directory, digest);
  const { mode } = await stat(path);
  await chmod(path, 0o644);
  await writeFile(path, bytes);
  await chmod(path, mode);
}

/** Puts a file in the place of a blob's, as a backup program does. */
export async function restore(directory: string, digest: Digest, bytes: string): Promise<void> {
  const path = fileOf(directory, digest);
  await rm(path, { force: true });
  await writeFile(path, bytes, { mode: 0o444 });
}
