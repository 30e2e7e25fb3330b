import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { needPrograms } from "./debian-tools.ts";
import { debianMirror } from "./debian-unstable.ts";
import { mustRun } from "./run-program.ts";
import { toolCache } from "./tool-cache.ts";

const LIMIT_MS = 420_000;

/** Programs that are newer there than on this machine, in one root for all that use them. */
export const UNSTABLE_CLIENTS: readonly string[] = ["ca-certificates", "docker-cli", "podman", "skopeo"];

/**
 * A root file system of Debian's unstable release with packages in it, made the first time, for programs that need a newer C library than
 * this machine's. Needs root, and apt's mirror; throws with debootstrap's words.
 */
export async function debianRoot(packages: readonly string[]): Promise<string> {
  const digest = createHash("sha256")
    .update([...packages].toSorted().join(" "))
    .digest("hex");
  const root = join(toolCache("debian"), `root-${digest.slice(0, 12)}`);
  if (existsSync(root)) return root;
  await needPrograms({ debootstrap: "debootstrap" });
  await mkdir(toolCache("debian"), { recursive: true });
  const aside = await mkdtemp(join(toolCache("debian"), "root-"));
  try {
    process.stdout.write(`making a root of Debian unstable with ${packages.join(" ")}\n`);
    const wanted = ["--variant=minbase", `--include=${packages.join(",")}`, "unstable", join(aside, "root"), await debianMirror()];
    await mustRun("debootstrap", wanted, { limitMs: LIMIT_MS });
    await rm(join(aside, "root", "var", "cache", "apt"), { recursive: true, force: true });
    await rename(join(aside, "root"), root);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return root;
}

/**
 * A shell script that runs a program of the root, by its whole path, with the same arguments, environment and working folder. `shared` is a folder that it sees
 * at the same path; besides it has only the root, which it cannot change.
 */
export function inRoot(root: string, program: string, shared: string): string {
  return `#!/bin/sh
exec unshare --mount --propagation private sh -euc '
  root=$1 shared=$2 program=$3 folder=$PWD
  shift 3
  for memory in run tmp var/tmp; do mount -t tmpfs tmpfs "$root/$memory"; done
  mkdir -p "$root$shared"
  mount --bind "$shared" "$root$shared"
  for kernel in proc dev sys; do mount --rbind "/$kernel" "$root/$kernel"; done
  exec chroot "$root" /bin/sh -c "cd \\"\\$1\\" && shift && exec \\"\\$@\\"" sh "$folder" "$program" "$@"
' sh '${root}' '${shared}' '${program}' "$@"
`;
}
