import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { needPrograms } from "./debian-tools.ts";
import { startRegistry } from "./registry-process.ts";
import { mustRun } from "./run-program.ts";
import { BUSY, doEverything } from "./scenario.ts";
import { ERRNO, PROFILE, profileOf } from "./seccomp-profile.ts";

/*
 * Traces the compiled server while it does everything, and its commands, with and without compiling, and writes the profile that allows what it asked the
 * kernel for. `npm run image` tries the result, with death in the place of refusal.
 */

/** A summary of strace: the name of a system call is the last word of its line; the last line is of all. */
function callsIn(summary: string): readonly string[] {
  return summary.split("\n").flatMap((line) => /^\s*[\d.]+\s.*\s(?!total$)(\w+)$/.exec(line)?.[1] ?? []);
}

async function traced(folder: string, flags: readonly string[]): Promise<readonly string[]> {
  const summaries: string[] = [];
  const next = (): readonly [string, ...string[]] => {
    const summary = join(folder, `${flags.join("")}${summaries.length}`);
    summaries.push(summary);
    // The tracer is the grandchild, so that the process that is started is the server.
    return ["strace", "-D", "-f", "-c", "-qq", "-o", summary, process.execPath, ...flags, "dist/main.js"];
  };
  let registry = await startRegistry(BUSY, undefined, next());
  const restart = async (): Promise<typeof registry> => {
    const { host, dataDirectory } = registry;
    await registry.stop();
    registry = await startRegistry({ ...BUSY, BIND_ADDR: host }, dataDirectory, next());
    return registry;
  };
  try {
    if (!(await doEverything(registry, restart))) throw new Error("the server did not do everything while it was traced");
    for (const command of [
      ["dist/cli/main.js", "status"],
      ["dist/main.js", "recover"],
    ]) {
      const [program, ...args] = next();
      await mustRun(program, [...args.slice(0, -1), ...command], {
        env: { REGISTRY_URL: registry.url, REGISTRY_DIR: registry.dataDirectory },
      });
    }
  } finally {
    await registry.dispose();
  }
  return (await Promise.all(summaries.map(summaryIn))).flatMap(callsIn);
}

/** It is written when the last process has ended, shortly after the first has. */
async function summaryIn(file: string): Promise<string> {
  for (;;) {
    const size = await stat(file).then(
      (found) => found.size,
      () => 0,
    );
    if (size > 0) return readFile(file, "utf8");
    await sleep(100);
  }
}

await needPrograms({ strace: "strace" });
await mustRun("npm", ["run", "--silent", "build"]);
const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-seccomp-"));
try {
  const calls = [...(await traced(folder, ["--disable-sigusr1"])), ...(await traced(folder, ["--disable-sigusr1", "--jitless"]))];
  const profile = profileOf(calls, ERRNO);
  await writeFile(PROFILE, `${JSON.stringify(profile, null, 2)}\n`);
  process.stdout.write(`${new Set(calls).size} system calls were seen; ${PROFILE} is written\n`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
