import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** A file system of a few megabytes, for tests of what happens when it is full. */
export interface SmallFilesystem extends AsyncDisposable {
  /** Runs a script with the folder where it is mounted as its argument; what the script says, as JSON. */
  run(script: URL): Promise<Readonly<Record<string, unknown>>>;
}

const run = promisify(execFile);

/**
 * A tmpfs in namespaces of its own, which needs no privilege on most systems and is gone with the script that uses it. Undefined where
 * that is not allowed.
 */
export async function smallFilesystem(size: string): Promise<SmallFilesystem | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "amr-small-"));
  const inside = async (...program: readonly string[]): Promise<string> => {
    const mount = `mount -t tmpfs -o size=${size} tmpfs "$0" && exec "$@"`;
    const { stdout } = await run("unshare", ["--user", "--map-root-user", "--mount", "sh", "-c", mount, folder, ...program]);
    return stdout;
  };
  const dispose = () => rm(folder, { recursive: true, force: true });
  try {
    await inside("true");
  } catch {
    await dispose();
    return undefined;
  }
  return {
    run: async (script) => JSON.parse(await inside(process.execPath, script.pathname, folder)) as Readonly<Record<string, unknown>>,
    [Symbol.asyncDispose]: dispose,
  };
}
