import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UNSTABLE_CLIENTS, debianRoot, inRoot } from "./debian-root.ts";
import { must } from "./must.ts";
import { mustRun, run } from "./run-program.ts";

const SERVICE = "ai-model-registry.service";
/** What its command must take away or bound, as podman is told it. */
const OPTIONS: readonly string[] = [
  "--read-only",
  "--read-only-tmpfs=false",
  "--cap-drop all",
  "--security-opt=no-new-privileges",
  "--security-opt seccomp=/etc/ai-model-registry/seccomp.json",
  "--user 65532:65532",
  "--volume ai-model-registry:/registry",
  "--publish 127.0.0.1:8470:8470",
  "--stop-timeout=60",
  "--memory=1536m",
  "--pids-limit=256",
];

/** podman's own generator makes services of the files of Quadlet, and systemd has nothing to say against them. */
export async function tryQuadlet(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-quadlet-"));
  try {
    await cp("deploy/quadlet", join(folder, "files"), { recursive: true });
    const generator = join(folder, "generator");
    await writeFile(generator, inRoot(await debianRoot(UNSTABLE_CLIENTS), "/usr/libexec/podman/quadlet", folder), { mode: 0o755 });
    const out = await mustRun(generator, ["--dryrun"], { cwd: folder, env: { QUADLET_UNIT_DIRS: join(folder, "files") } });
    const units = out.split(/^---(.+)---$/m).slice(1);
    const paths: string[] = [];
    for (let at = 0; at < units.length; at += 2) {
      const path = join(folder, units[at] ?? "");
      await writeFile(path, units[at + 1] ?? "");
      paths.push(path);
    }
    must(paths.length === 2 && paths.includes(join(folder, SERVICE)), `it made ${paths.join(", ")}\n${out}`);
    const command = (/^ExecStart=.* run .*$/m.exec(out)?.[0] ?? "").replaceAll(" -v ", " --volume ");
    const missing = OPTIONS.filter((option) => !command.includes(` ${option} `));
    must(missing.length === 0, `its command lacks ${missing.join(", ")}\n${command}`);
    // It ends well whatever it has to say.
    const { out: told, err } = await run("systemd-analyze", ["verify", ...paths]);
    must(!(told + err).includes("ai-model-registry"), `systemd has something to say against them\n${told}${err}`);
    process.stdout.write("ok     podman's generator makes services of the Quadlet files\n");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
