import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Client } from "../client-report.ts";
import { debianRoot, inRoot } from "../debian-root.ts";
import { needPrograms } from "../debian-tools.ts";
import { CRANE, type GoTool, ORAS, REGCTL, installGoTool } from "../go-tool.ts";
import { CHECKOUT } from "../registry-process.ts";
import { mustRun } from "../run-program.ts";

/** A client as it is tried: its page, and the folder where its program is found before all others. */
export interface TriedClient {
  readonly client: Client;
  /** File below docs/clients. */
  readonly page: string;
  /** Folder with the programs that this version consists of; the ones that all pages may use come after it. */
  readonly programs?: string;
  /** Its version is whatever the system has, so that the table cannot say which it has to be. */
  readonly floating: boolean;
  /** Something that has to run meanwhile; it gives the commands more variables. */
  readonly during?: <T>(folder: string, happen: (env: Readonly<Record<string, string>>) => Promise<T>) => Promise<T>;
}

/** Everything that is tried, and the folder of the programs that any page may use. */
export interface Clients {
  readonly tried: readonly TriedClient[];
  readonly common: string;
}

const UNSTABLE = ["ca-certificates", "docker-cli", "podman", "skopeo"];

/** Installs what is not there yet into folders below `folder`, which programs in a root of their own can see. */
export async function installClients(folder: string): Promise<Clients> {
  const common = join(folder, "bin");
  await mkdir(common);
  await script(join(common, "securectl"), `#!/bin/sh\nexec '${process.execPath}' '${join(CHECKOUT, "src/cli/main.ts")}' "$@"\n`);
  const goPrograms = await Promise.all(
    [ORAS, CRANE, REGCTL].map(async (tool) => {
      await symlink(await installGoTool(tool), join(common, basename(tool.path)));
      return goClient(tool);
    }),
  );
  await needPrograms({ skopeo: "skopeo", podman: "podman", unshare: "util-linux" });
  const root = await debianRoot(UNSTABLE);
  const unstable = join(folder, "unstable");
  await mkdir(unstable);
  for (const name of ["podman", "skopeo"]) await script(join(unstable, name), inRoot(root, `/usr/bin/${name}`, folder));
  return {
    common,
    tried: [
      ...goPrograms,
      await debianClient("skopeo", "skopeo"),
      await debianClient("skopeo", join(unstable, "skopeo")),
      await debianClient("podman", "podman"),
      await debianClient("podman", join(unstable, "podman")),
    ],
  };
}

function goClient({ path, version }: GoTool): TriedClient {
  const name = basename(path);
  return { client: { name, version: version.replace(/^v/, "") }, page: `${name}.md`, floating: false };
}

/** A program of whatever Debian it comes from, which tells its version itself; `program` is found on the path, or by it. */
async function debianClient(name: string, program: string): Promise<TriedClient> {
  const said = await mustRun(program, ["--version"], program.includes("/") ? { cwd: dirname(program) } : {});
  const version = /\d+\.\d+\.\d+/.exec(said)?.[0];
  if (version === undefined) throw new Error(`${program} --version does not tell a version: ${said}`);
  const common = { client: { name, version }, page: `${name}.md`, floating: true };
  return program.includes("/") ? { ...common, programs: dirname(program) } : common;
}

async function script(file: string, text: string): Promise<void> {
  await writeFile(file, text);
  await chmod(file, 0o755);
}
