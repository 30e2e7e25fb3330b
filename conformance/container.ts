import { chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { tryContainerBackup } from "./container-backup.ts";
import { ADDRESS, type Podman, USER, examineProcess, openPodman } from "./podman.ts";
import { type RunningRegistry, startRegistry } from "./registry-process.ts";
import { BUSY, doEverything } from "./scenario.ts";
import { deadlyProfile } from "./seccomp-profile.ts";

const NAME = "ai-model-registry-trial";
/** That of the Containerfile, which the image format of OCI has no place for. */
const HEALTH = '["node", "/opt/ai-model-registry/dist/cli/main.js", "status"]';
/** Memory of the container alone, gone with it. */
const MEMORY_ONLY: ReadonlySet<string> = new Set(["/dev/shm", "/dev/mqueue"]);

/** Prints every folder that the user can write to; what the kernel shows of itself is not looked at. */
const WRITABLE = `
  const fs = require("node:fs");
  const found = [];
  const look = (folder) => {
    try { fs.accessSync(folder, fs.constants.W_OK); found.push(folder); } catch {}
    let entries = [];
    try { entries = fs.readdirSync(folder, { withFileTypes: true }); } catch {}
    for (const entry of entries) {
      const path = (folder === "/" ? "" : folder) + "/" + entry.name;
      if (entry.isDirectory() && !["/proc", "/sys", "/registry"].includes(path)) look(path);
    }
  };
  look("/");
  try { fs.accessSync("/registry", fs.constants.W_OK); found.push("/registry"); } catch {}
  console.log(JSON.stringify(found));
`;

interface Trial {
  readonly image: string;
  readonly profile: string;
  readonly data: string;
}

/** The container as deploy/README.md runs it, with its default address. */
function commandOf({ image, profile, data }: Trial): readonly [string, ...string[]] {
  const env = { ...BUSY, PUBLIC_URL: `http://${ADDRESS}`, TLS_TERMINATED_BY_PROXY: "true", WORKERS: "2" };
  const limits = ["--memory", "1g", "--pids-limit", "256", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];
  const rights = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges"];
  const variables = Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
  const where = ["--network", "host", "--volume", `${data}:/registry`, "--security-opt", `seccomp=${profile}`, "--health-cmd", HEALTH];
  return ["podman", "run", "--rm", "--name", NAME, "--pull", "never", ...rights, ...limits, ...where, ...variables, image];
}

async function examineWritable(podman: Podman): Promise<void> {
  const found = z.array(z.string()).parse(JSON.parse(await podman.run("exec", NAME, "node", "-e", WRITABLE)));
  const others = found.filter((path) => path !== "/registry" && !MEMORY_ONLY.has(path));
  if (others.length > 0 || !found.includes("/registry")) throw new Error(`the registry can write to ${found.join(", ")}`);
}

/** Runs the image and has it do everything; throws when anything is not as it must be. */
export async function tryContainer(image: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-container-"));
  const trial = { image, profile: join(folder, "seccomp.json"), data: await mkdtemp(join(tmpdir(), "ai-model-registry-volume-")) };
  await writeFile(trial.profile, JSON.stringify(await deadlyProfile()));
  await chown(trial.data, USER, USER);
  const podman = await openPodman(folder);
  const start = (data = trial.data): Promise<RunningRegistry> =>
    startRegistry({ BIND_ADDR: ADDRESS, ...podman.env }, data, commandOf({ ...trial, data }));
  let registry = await start();
  try {
    await examineProcess(podman, NAME);
    await examineWritable(podman);
    process.stdout.write("ok     nobody's user, no capabilities, nothing to write to but the volume\n");
    await podman.run("healthcheck", "run", NAME);
    await podman.run("exec", NAME, "ai-model-registry", "recover");
    process.stdout.write("ok     the health check, and a command in the running container\n");
    const restart = async (): Promise<RunningRegistry> => {
      await registry.stop();
      registry = await start();
      return registry;
    };
    if (!(await doEverything(registry, restart))) throw new Error("the container did not do everything");
    await tryContainerBackup(podman, { folder, data: trial.data, container: NAME }, registry, start);
    process.stdout.write("ok     on SIGTERM process 1 ends in order\n");
  } finally {
    await registry.dispose().catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  }
}
