import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { commandsOf, seenOf } from "./backup-page.ts";
import { type Subject, doMainJob } from "./main-job-story.ts";
import { must } from "./must.ts";
import { ADDRESS, type Podman, examineProcess, openPodman, subjectOf } from "./podman.ts";
import { StandInCluster } from "./stand-in-cluster.ts";

const NAME = "ai-model-registry-trial";

/** What helm says after an install: how an operator comes by a key, and does without one in the pod. */
async function tryNotes(cluster: StandInCluster, values: string, operatorKey: string): Promise<void> {
  const commands = (await cluster.notes("--values", values)).match(/\((?=umask).*|securectl --server.*|kubectl(?= ).*doctor$/gm) ?? [];
  must(commands.length === 3, `it says ${commands.join(", ")}`);
  await cluster.do(commands.join("\n"));
  must((await readFile(join(dirname(values), "operator"), "utf8")).trim() === operatorKey, "the key is another one");
  process.stdout.write("ok     the commands that helm shows after an install\n");
}

/** The commands of the page that back up and restore, over the volumes of the chart's pods: what is restored shows the same. */
async function tryBackup(podman: Podman, cluster: StandInCluster): Promise<void> {
  const before = await subjectOf(podman, cluster.serving);
  const seen = await seenOf(before);
  await cluster.do(await commandsOf("chart: backup"));
  const said = await cluster.do(await commandsOf("chart: restore"));
  must(/^Restored the state of /m.test(said), `nothing was restored\n${said}`);
  const after = await subjectOf(podman, cluster.serving);
  must(after.dataDirectory !== before.dataDirectory, "it serves the volume of before");
  must((await seenOf(after)) === seen, "what was restored shows something else than what was backed up");
  process.stdout.write("ok     a backup and a restore of the chart's pod, by the commands of the page\n");
}

/** Runs the chart's pod by podman, with an image, and does the main job against it, which an upgrade interrupts. */
export async function tryPod(image: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-pod-"));
  const podman = await openPodman(folder);
  const cluster = new StandInCluster(podman, folder, NAME);
  const values = { publicUrl: `http://${ADDRESS}`, image: { repository: image, tag: "latest" }, backup: { enabled: true } };
  const file = join(folder, "registry.yaml");
  await writeFile(file, stringify(values));
  try {
    const upgrade = async (): Promise<Subject> => {
      await cluster.do(await commandsOf("chart: install"));
      return subjectOf(podman, cluster.serving);
    };
    const subject = await upgrade();
    await examineProcess(podman, cluster.serving);
    const isReadOnly = (await podman.run("inspect", "--format", "{{.HostConfig.ReadonlyRootfs}}", cluster.serving)).trim();
    must(isReadOnly === "true", "its root file system can be written");
    await tryNotes(cluster, file, await subject.key("operator"));
    must(await doMainJob(subject, upgrade), "the main job was not done against the chart's pod");
    await tryBackup(podman, cluster);
  } finally {
    await cluster.dispose();
    await rm(folder, { recursive: true, force: true });
  }
  process.stdout.write("ok     podman runs the pod of the chart, and upgrades it\n");
}
