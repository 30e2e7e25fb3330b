import { execFile } from "node:child_process";
import { copyFile, constants, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Btrfs makes none that is smaller (bytes). */
const SIZE = 128 * 1024 ** 2;

/** A folder on a file system that clones files: the usual one where it does, else one that is mounted for as long as it is used. */
export interface CloningFolder extends AsyncDisposable {
  readonly path: string;
}

/** Undefined where there is none, and none may be mounted. */
export async function cloningFolder(): Promise<CloningFolder | undefined> {
  const path = await mkdtemp(join(tmpdir(), "amr-clones-"));
  const remove = (): Promise<void> => rm(path, { recursive: true, force: true });
  if (await clones(path)) return { path, [Symbol.asyncDispose]: remove };
  const image = `${path}.img`;
  try {
    await writeFile(image, "");
    await truncate(image, SIZE);
    await run("mkfs.btrfs", ["-q", image]);
    await run("mount", ["-o", "loop", image, path]);
  } catch {
    await rm(image, { force: true });
    await remove();
    return undefined;
  }
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await run("umount", [path]);
      await rm(image, { force: true });
      await remove();
    },
  };
}

async function clones(folder: string): Promise<boolean> {
  const [from, to] = [join(folder, "from"), join(folder, "to")];
  await writeFile(from, "x");
  const isClone = await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE).then(
    () => true,
    () => false,
  );
  await rm(from);
  await rm(to, { force: true });
  return isClone;
}
