import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Subject } from "./main-job-story.ts";
import { must } from "./must.ts";
import { untilAnswers } from "./registry-process.ts";
import { mustRun } from "./run-program.ts";

/** Where every way to run the image publishes it, unless told otherwise. */
export const ADDRESS = "127.0.0.1:8470";
/** Nobody else's, as the image has it. */
export const USER = 65_532;

/** On a machine without systemd, and whose root may not raise its own limits. */
const SETTINGS = `[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
`;

/** podman with settings of its own. */
export interface Podman {
  /** What programs need that call it themselves. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs one of its commands to its end; what it wrote on standard output. */
  run(...args: readonly string[]): Promise<string>;
}

/** podman for a trial, whose settings lie in this folder. */
export async function openPodman(folder: string): Promise<Podman> {
  const file = join(folder, "containers.conf");
  await writeFile(file, SETTINGS);
  const env = { CONTAINERS_CONF: file };
  return { env, run: (...args) => mustRun("podman", args, { env }) };
}

/** What the kernel says of a container's first process: nobody's user, no capability, no way to more, system calls filtered. */
export async function examineProcess(podman: Podman, container: string): Promise<void> {
  const script = 'console.log(require("node:fs").readFileSync("/proc/1/status", "utf8"))';
  const status = await podman.run("exec", container, "node", "-e", script);
  const wanted = {
    Uid: `${USER}\t${USER}\t${USER}\t${USER}`,
    CapEff: "0000000000000000",
    CapBnd: "0000000000000000",
    NoNewPrivs: "1",
    Seccomp: "2",
  };
  for (const [name, value] of Object.entries(wanted)) {
    if (!status.includes(`${name}:\t${value}\n`)) throw new Error(`process 1 has not ${name} ${value}:\n${status}`);
  }
}

/** A container that serves at the address, for whoever does a job against it: its volume is read from here. */
export async function subjectOf(podman: Podman, container: string): Promise<Subject> {
  const format = '{{range .Mounts}}{{if eq .Destination "/registry"}}{{.Source}}{{end}}{{end}}';
  const dataDirectory = (await podman.run("inspect", "--format", format, container)).trim();
  const output = (): string => {
    const { stdout, stderr } = spawnSync("podman", ["logs", container], { encoding: "utf8", env: { ...process.env, ...podman.env } });
    return stdout + stderr;
  };
  const url = `http://${ADDRESS}`;
  await untilAnswers(`${url}/health`, output);
  const key = async (name: string): Promise<string> => (await readFile(join(dataDirectory, "credentials", name), "utf8")).trim();
  return { url, host: ADDRESS, dataDirectory, output, key };
}

/** A container that was stopped has ended by itself. */
export async function mustHaveEnded(podman: Podman, container: string): Promise<void> {
  const code = (await podman.run("inspect", "--format", "{{.State.ExitCode}}", container)).trim();
  must(code === "0", `the container ended with ${code}`);
}
