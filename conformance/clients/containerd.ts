import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { endChild, plainEnvironment } from "../registry-process.ts";

const READY_LIMIT_MS = 60_000;
const POLL_MS = 50;

/** Has something happen while a containerd of its own runs below a folder, which `ctr` finds by the variables that are handed over. */
export async function withContainerd<T>(folder: string, happen: (env: Readonly<Record<string, string>>) => Promise<T>): Promise<T> {
  const own = join(folder, "containerd");
  await mkdir(own);
  const [config, socket] = [join(own, "config.toml"), join(own, "containerd.sock")];
  const settings = [
    "version = 2",
    `root = "${own}/root"`,
    `state = "${own}/state"`,
    // What Kubernetes asks: it needs a network and plug-ins of its own.
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    "[grpc]",
    `address = "${socket}"`,
  ];
  await writeFile(config, `${settings.join("\n")}\n`);
  const child = spawn("containerd", ["--config", config], { env: plainEnvironment(), stdio: ["ignore", "ignore", "pipe"] });
  const said: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => said.push(chunk));
  try {
    const deadline = performance.now() + READY_LIMIT_MS;
    while (!existsSync(socket)) {
      if (child.exitCode !== null || performance.now() > deadline)
        throw new Error(`containerd does not run:\n${Buffer.concat(said).toString()}`);
      await sleep(POLL_MS);
    }
    return await happen({ CONTAINERD_ADDRESS: socket });
  } finally {
    await endChild(child);
  }
}
