import { chown, mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { commandsOf, seenOf } from "./backup-page.ts";
import { must } from "./must.ts";
import { type Podman, USER } from "./podman.ts";
import { CHECKOUT, type RunningRegistry } from "./registry-process.ts";
import { mustRun } from "./run-program.ts";

/** Where the page's volumes and its container are in the trial. */
export interface BackupPlaces {
  /** A folder of the trial's own, for what a backup is made of and by. */
  readonly folder: string;
  /** What the container that serves keeps everything in. */
  readonly data: string;
  readonly container: string;
}

/** A shell that does what the page says, in a folder of the trial, as if the page's volumes were there. */
async function runPage(podman: Podman, { folder, data, container }: BackupPlaces, commands: string): Promise<string> {
  const here = commands
    .replaceAll("registry-backup:/backup", `${folder}/backup:/backup`)
    .replaceAll(" registry:/registry", ` ${data}:/registry`)
    .replaceAll(" restored:/registry", ` ${folder}/restored:/registry`)
    .replaceAll("container:registry", `container:${container}`);
  return mustRun("sh", ["-e", "-c", here], { cwd: folder, env: podman.env });
}

/**
 * Backs a container up that serves, by the commands of the page, ends it, restores the backup into a folder that was not there, and has
 * another container serve that, by `start`: it shows the same.
 */
export async function tryContainerBackup(
  podman: Podman,
  places: BackupPlaces,
  registry: RunningRegistry,
  start: (data: string) => Promise<RunningRegistry>,
): Promise<void> {
  const restored = join(places.folder, "restored");
  await symlink(join(CHECKOUT, "deploy"), join(places.folder, "deploy"));
  for (const made of ["backup", "restored"]) {
    await mkdir(join(places.folder, made), { mode: 0o700 });
    await chown(join(places.folder, made), USER, USER);
  }
  const [making, restoring] = [await commandsOf("container: backup"), await commandsOf("container: restore")];
  await runPage(podman, places, making);
  const before = await seenOf(registry);
  await registry.stop();
  // The trial's container is gone with its end; how the backup is reached is said once.
  const [reaching = ""] = /^aside\(\)[^]*?^\}\n/m.exec(making) ?? [];
  await runPage(podman, places, reaching + restoring.replace(/^podman stop .*\n/m, ""));
  const after = await start(restored);
  try {
    must((await seenOf(after)) === before, "what was restored shows something else than what was backed up");
    await podman.run("exec", places.container, "securectl", "audit", "verify");
  } finally {
    await after.stop();
  }
  process.stdout.write("ok     a backup from a container beside it, and a restore, by the commands of the page\n");
}
