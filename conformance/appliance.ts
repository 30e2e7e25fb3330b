import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needPrograms } from "./debian-tools.ts";
import { ORAS, installGoTool } from "./go-tool.ts";
import { inOwnNetwork } from "./own-network.ts";
import { mustRun } from "./run-program.ts";
import { bootMachine } from "./systemd-machine.ts";
import { BUSY } from "./scenario.ts";
import { rateUnits } from "./unit-exposure.ts";
import { useAppliance } from "./unit-life.ts";

/*
 * Installs the registry as deploy/README.md says, on a machine whose process 1 is systemd, and has it do everything there, under its units
 * as they are. The machine is made of this one's files, in namespaces of its own; where that cannot be done, nothing is shown, and it fails.
 */

const PROGRAMS = {
  "systemd-analyze": "systemd",
  "systemd-notify": "systemd",
  busybox: "busybox-static",
  unshare: "util-linux",
  nsenter: "util-linux",
  openssl: "openssl",
} as const;

const LIMIT_MS = 380_000;

async function install(root: string): Promise<void> {
  await mustRun("deploy/install.sh", [join(root, "opt/ai-model-registry")], { limitMs: 400_000 });
  process.stdout.write("ok     deploy/install.sh\n");
}

/** In a network of its own, where the registry's address is free, and whoever asks it is on the same machine. */
async function tryInside(root: string): Promise<void> {
  await mustRun("busybox", ["ip", "address", "add", "192.0.2.1/32", "dev", "lo"]);
  // Settings as an operator gives them.
  await mkdir(join(root, "etc/ai-model-registry"), { recursive: true });
  const lines = Object.entries({ ...BUSY, REGISTRY_WORKER_TIMEOUT: "6s" }).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(join(root, "etc/ai-model-registry/environment"), lines.join(""));
  const machine = await bootMachine(root);
  try {
    await rateUnits(machine);
    await useAppliance(machine);
  } finally {
    await machine.end();
  }
}

const [, , root] = process.argv;
const folder = root ?? (await mkdtemp(join(tmpdir(), "ai-model-registry-appliance-")));
try {
  if (root !== undefined) await tryInside(root);
  else {
    await needPrograms(PROGRAMS);
    await installGoTool(ORAS);
    // Others than root have to reach what is installed there.
    await chmod(folder, 0o755);
    await install(folder);
    process.stdout.write(await inOwnNetwork([process.execPath, "conformance/appliance.ts", folder], LIMIT_MS));
  }
} catch (error) {
  process.stdout.write(`FAILED ${String(error)}\n`);
  process.exitCode = 1;
} finally {
  if (root === undefined) await rm(folder, { recursive: true, force: true });
}
