/*
 * Run in the place of the registry by its unit: tries what the unit is to refuse, and writes what came of each try to the one folder that
 * it has. Types are taken away beforehand, since a Node that may not compile cannot do that. With the argument "memory" it takes memory until it is ended.
 */
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { chmodSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";

const MEGABYTE = 1024 * 1024;
const folder = process.env["REGISTRY_DIR"] ?? "";
const report = (found: Readonly<Record<string, unknown>>): void => writeFileSync(join(folder, "probe.json"), JSON.stringify(found));

interface SystemError {
  readonly code?: string;
  /** Where the code is of what is not about files. */
  readonly info?: { readonly code: string };
}

function codeOf(error: unknown): string {
  const { code, info } = error as SystemError;
  return info?.code ?? code ?? String(error);
}

function attempt(act: () => void): string {
  try {
    act();
    return "done";
  } catch (error) {
    return codeOf(error);
  }
}

/** By a datagram, whose sender is told at once when the kernel drops it. */
function sent(host: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    const end = (error: unknown): void => {
      resolve(error === null ? "done" : codeOf(error));
    };
    socket.once("error", end).send("probe", 9, host, end);
  });
}

if (process.argv[2] === "memory") {
  const taken: Buffer[] = [];
  // More than the unit has, and no more than that where nothing limits it.
  while (taken.length * 64 < 2048) {
    taken.push(Buffer.alloc(64 * MEGABYTE, 1));
    report({ megabytes: taken.length * 64 });
  }
  process.exit();
}

const write = (path: string): string => attempt(() => writeFileSync(path, "probe"));
const own = join(folder, "probe");
const status = readFileSync("/proc/self/status", "utf8");
const statusOf = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
report({
  "write to its state directory": write(own),
  "write to /etc": write("/etc/probe"),
  "write to /usr": write("/usr/probe"),
  "write to its program": write("/opt/ai-model-registry/probe"),
  "write to /var/lib": write("/var/lib/probe"),
  "write to /home": write("/home/probe"),
  "write to /root": write("/root/probe"),
  "write to a temporary folder of its own": write("/tmp/probe"),
  "run a shell": codeOf(spawnSync("/bin/sh", ["-c", "true"]).error ?? { code: "done" }),
  "run a compiler": spawnSync(process.execPath, ["--eval", "1"]).signal ?? "done",
  "give a file the rights of its owner": attempt(() => chmodSync(own, 0o4755)),
  "change its priority": attempt(() => setPriority(0, 5)),
  "become root": attempt(() => process.setuid?.(0)),
  "reach this machine": await sent("127.0.0.1"),
  "reach another machine": await sent("192.0.2.1"),
  "see other processes": readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid)).length,
  devices: readdirSync("/dev").filter((name) => /^(?:sd|vd|nvme|mem|kmsg|kvm|fuse)/.test(name)),
  network: readlinkSync("/proc/self/ns/net"),
  user: process.getuid?.(),
  capabilities: [statusOf("CapEff"), statusOf("CapBnd")],
  "no new privileges": statusOf("NoNewPrivs"),
  "system calls are filtered": statusOf("Seccomp"),
});
// Sockets that are open do not keep it.
process.exit();
