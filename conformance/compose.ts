import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandsOf, seenOf } from "./backup-page.ts";
import { type Subject, doMainJob } from "./main-job-story.ts";
import { must } from "./must.ts";
import { type Podman, examineProcess, mustHaveEnded, openPodman, subjectOf } from "./podman.ts";
import { CHECKOUT } from "./registry-process.ts";
import { mustRun, run } from "./run-program.ts";

const FILE = join(CHECKOUT, "deploy/compose/compose.yaml");
/** What podman-compose puts before the names of what it makes. */
const PROJECT = "ai-model-registry-trial";
const AROUND = ["--podman-run-args=--pids-limit 256 --ulimit nproc=4096:4096", "--project-name", PROJECT, "--file", FILE] as const;
/** Volumes are found by their names alone, so that the trial has its own. */
const [VOLUME, RESTORED] = [`${PROJECT}_registry`, `${PROJECT}_restored`] as const;

/** The compose file by podman-compose, with an image. */
class Compose {
  readonly #podman: Podman;
  readonly #folder: string;
  readonly #env: Readonly<Record<string, string>>;

  constructor(podman: Podman, folder: string, image: string) {
    this.#podman = podman;
    this.#folder = folder;
    this.#env = { ...podman.env, IMAGE: image, DATA_VOLUME: VOLUME };
  }

  /** Does one of its commands. */
  do(...args: readonly string[]): Promise<string> {
    return mustRun("podman-compose", [...AROUND, ...args], { env: this.#env });
  }

  /** Does commands of the page in the trial's folder: its file and its volumes are those of the trial. */
  page(commands: string): Promise<string> {
    const docker = `docker() { shift; podman-compose ${AROUND.map((word) => `'${word}'`).join(" ")} "$@"; }`;
    const here = commands.replace(/(?<=DATA_VOLUME=)\S+/, RESTORED);
    return mustRun("sh", ["-e", "-c", `${docker}\n${here}`], { cwd: this.#folder, env: this.#env });
  }

  async container(): Promise<string> {
    const found = (await this.#podman.run("ps", "--quiet", "--filter", `label=com.docker.compose.project=${PROJECT}`)).trim();
    must(/^[0-9a-f]+$/.test(found), `compose says that it started the registry, and there runs ${found || "nothing"}`);
    return found;
  }

  async subject(): Promise<Subject> {
    return subjectOf(this.#podman, await this.container());
  }
}

/** Ends the container in order, with a backup made before and restored after it, by the commands of the page: what serves then shows the same. */
async function restartByRestore(podman: Podman, compose: Compose): Promise<Subject> {
  const container = await compose.container();
  const seen = await seenOf(await compose.subject());
  await compose.page(await commandsOf("compose: backup"));
  await compose.do("stop");
  await mustHaveEnded(podman, container);
  const said = await compose.page(await commandsOf("compose: restore"));
  must(/^Restored the state of /m.test(said), `nothing was restored\n${said}`);
  const after = await compose.subject();
  must(after.dataDirectory.includes(RESTORED), `it serves ${after.dataDirectory}`);
  must((await seenOf(after)) === seen, "what was restored shows something else than what was backed up");
  process.stdout.write("ok     a backup and a restore by compose, by the commands of the page\n");
  return after;
}

/** Brings the compose file up with an image, does the main job against what it runs, and takes it down again. */
export async function tryCompose(image: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-compose-"));
  const podman = await openPodman(folder);
  const compose = new Compose(podman, folder, image);
  try {
    await compose.do("up", "--detach", "--no-build");
    await examineProcess(podman, await compose.container());
    const restart = (): Promise<Subject> => restartByRestore(podman, compose);
    must(await doMainJob(await compose.subject(), restart), "the main job was not done against what compose runs");
    await compose.do("down", "--timeout", "60");
  } finally {
    // Whatever is left of a trial that failed, without hiding why.
    await run("podman-compose", [...AROUND, "down"], { env: podman.env });
    for (const volume of [VOLUME, RESTORED, `${PROJECT}_backup`])
      await run("podman", ["volume", "rm", "--force", volume], { env: podman.env });
    await run("podman", ["network", "rm", "--force", `${PROJECT}_default`], { env: podman.env });
    await rm(folder, { recursive: true, force: true });
  }
  process.stdout.write("ok     compose brings it up and down\n");
}
