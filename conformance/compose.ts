import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { doMainJob } from "./main-job-story.ts";
import { must } from "./must.ts";
import { examineProcess, mustHaveEnded, openPodman, subjectOf } from "./podman.ts";
import { mustRun, run } from "./run-program.ts";

const FILE = "deploy/compose/compose.yaml";
/** What podman-compose puts before the names of what it makes. */
const PROJECT = "ai-model-registry-trial";
const AROUND = ["--podman-run-args=--pids-limit 256 --ulimit nproc=4096:4096", "--project-name", PROJECT, "--file", FILE] as const;

/** Brings the compose file up with an image, does the main job against what it runs, and takes it down again; by podman-compose. */
export async function tryCompose(image: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-compose-"));
  const podman = await openPodman(folder);
  const compose = (...args: readonly string[]): Promise<string> => {
    return mustRun("podman-compose", [...AROUND, ...args], { env: { ...podman.env, IMAGE: image } });
  };
  try {
    await compose("up", "--detach", "--no-build");
    const container = (await podman.run("ps", "--quiet", "--filter", `label=com.docker.compose.project=${PROJECT}`)).trim();
    must(container !== "", "compose says that it started the registry, and nothing runs");
    const subject = await subjectOf(podman, container);
    await examineProcess(podman, container);
    const restart = async (): Promise<typeof subject> => {
      await compose("stop");
      await mustHaveEnded(podman, container);
      await compose("start");
      return subjectOf(podman, container);
    };
    must(await doMainJob(subject, restart), "the main job was not done against what compose runs");
    await compose("down", "--timeout", "60", "--volumes");
  } finally {
    // Whatever is left of a trial that failed, without hiding why.
    await run("podman-compose", [...AROUND, "down", "--volumes"], { env: podman.env });
    await run("podman", ["network", "rm", "--force", `${PROJECT}_default`], { env: podman.env });
    await rm(folder, { recursive: true, force: true });
  }
  process.stdout.write("ok     compose brings it up and down\n");
}
