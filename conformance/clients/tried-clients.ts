import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Client } from "../client-report.ts";
import { UNSTABLE_CLIENTS, debianRoot, inRoot } from "../debian-root.ts";
import { needPrograms } from "../debian-tools.ts";
import { COSIGN, CRANE, type GoTool, HELM, ORAS, REGCTL, installGoTool } from "../go-tool.ts";
import { pythonEnvironment } from "../python-environment.ts";
import { CHECKOUT } from "../registry-process.ts";
import { mustRun } from "../run-program.ts";
import { withContainerd } from "./containerd.ts";

/** A client as it is tried: its page, and the folder where its program is found before all others. */
export interface TriedClient {
  readonly client: Client;
  /** File below docs/clients. */
  readonly page: string;
  /** Folder with the programs that this version consists of; the ones that all pages may use come after it. */
  readonly programs?: string;
  /** Its version is whatever the system has, so that the table cannot say which it has to be. */
  readonly floating: boolean;
  /** It speaks to nothing that has no TLS. */
  readonly tls?: true;
  /** Something that has to run meanwhile; it gives the commands more variables. */
  readonly during?: <T>(folder: string, happen: (env: Readonly<Record<string, string>>) => Promise<T>) => Promise<T>;
}

/** Everything that is tried, and the folder of the programs that any page may use. */
export interface Clients {
  readonly tried: readonly TriedClient[];
  readonly common: string;
}

/** Programs that are tried or needed, and the packages that they are in. */
const OF_THIS_DEBIAN = {
  skopeo: "skopeo",
  podman: "podman",
  containerd: "containerd",
  ctr: "containerd",
  debootstrap: "debootstrap",
  unshare: "util-linux",
  openssl: "openssl",
};

/** Installs what is not there yet into folders below `folder`, which programs in a root of their own can see. */
export async function installClients(folder: string): Promise<Clients> {
  const common = join(folder, "bin");
  await mkdir(common);
  await script(join(common, "securectl"), `#!/bin/sh\nexec '${process.execPath}' '${join(CHECKOUT, "src/cli/main.ts")}' "$@"\n`);
  await needPrograms(OF_THIS_DEBIAN);
  // Compilers wait for the processor, the others for the network.
  const [ofGo, ofUnstable] = await Promise.all([installGoClients(common), installUnstableClients(folder)]);
  return { common, tried: [...ofGo, ...(await debianClients()), ...ofUnstable] };
}

/** Those that are compiled at an exact version. */
async function installGoClients(common: string): Promise<readonly TriedClient[]> {
  const clients: TriedClient[] = [];
  for (const tool of [ORAS, CRANE, REGCTL, HELM, COSIGN]) {
    await symlink(await installGoTool(tool), join(common, basename(tool.path)));
    clients.push(goClient(tool));
  }
  return clients;
}

/** Those of the Debian that this machine runs. */
async function debianClients(): Promise<readonly TriedClient[]> {
  const containerd = await debianClient("ctr", "ctr", "containerd.md");
  return [await debianClient("skopeo", "skopeo"), await debianClient("podman", "podman"), { ...containerd, during: withContainerd }];
}

/** Those of Debian's unstable release, in a root of their own. */
async function installUnstableClients(folder: string): Promise<readonly TriedClient[]> {
  const root = await debianRoot(UNSTABLE_CLIENTS);
  const programs = join(folder, "unstable");
  await mkdir(programs);
  for (const name of ["docker", "podman", "skopeo"]) await script(join(programs, name), inRoot(root, `/usr/bin/${name}`, folder));
  const podman = join(programs, "podman");
  // It has nothing of its own that speaks to registries, and needs a podman that knows artifacts.
  await symlink(join(await pythonEnvironment("clients/ramalama.txt"), "ramalama"), join(programs, "ramalama"));
  const ramalama = { client: { name: "ramalama", version: "0.25.0" }, page: "ramalama.md", programs, floating: false };
  return [
    ramalama,
    await debianClient("skopeo", join(programs, "skopeo")),
    await debianClient("podman", podman),
    await debianClient("podman", podman, "podman-artifact.md"),
    { ...(await debianClient("docker", join(programs, "docker"))), tls: true },
  ];
}

function goClient({ path, version }: GoTool): TriedClient {
  const name = basename(path);
  return { client: { name, version: version.replace(/^v/, "") }, page: `${name}.md`, floating: false };
}

/** A program of whatever Debian it comes from, which tells its version itself; `program` is found on the path, or by it. */
async function debianClient(name: string, program: string, page = `${name}.md`): Promise<TriedClient> {
  const said = await mustRun(program, ["--version"], program.includes("/") ? { cwd: dirname(program) } : {});
  const version = /\d+\.\d+\.\d+/.exec(said)?.[0];
  if (version === undefined) throw new Error(`${program} --version does not tell a version: ${said}`);
  const common = { client: { name, version }, page, floating: true };
  return program.includes("/") ? { ...common, programs: dirname(program) } : common;
}

async function script(file: string, text: string): Promise<void> {
  await writeFile(file, text);
  await chmod(file, 0o755);
}
