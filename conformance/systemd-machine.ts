import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Ran, mustRun, run } from "./run-program.ts";

/** A machine whose process 1 is systemd, inside of this one: it shares the kernel, the network of who boots it, and the programs of /usr. */
export interface Machine {
  /** Its file system, as it is seen from here. */
  readonly root: string;
  /** Runs commands as root, by bash, to their end. */
  run(commands: string): Promise<Ran>;
  /** The same, for commands that have to succeed; what they wrote on standard output. Throws with all that they wrote otherwise. */
  must(commands: string): Promise<string>;
  /** The last that was said in it. */
  journal(): string;
  /** Ends all of its processes at once, and leaves nothing behind but its files. */
  end(): Promise<void>;
}

const NAME = "ai-model-registry-machine";
const BOOT_LIMIT_MS = 60_000;
const POLL_MS = 100;
const COMMAND_LIMIT_MS = 300_000;
const PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";

/** A hierarchy of cgroups, by which processes are kept together and limited. */
interface Hierarchy {
  readonly type: string;
  readonly where: string;
  readonly options: string;
}

/** Those of this machine: one, or with cgroups of version 1 one for each kind of limit. */
async function hierarchies(): Promise<readonly Hierarchy[]> {
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" "));
  const found = mounts.map(([, where = "", type = "", options = ""]) => ({ type, where, options }));
  // Nothing of a service is limited by cpusets, and a new group of them can hold no process.
  return found.filter(({ type, options }) => type === "cgroup2" || (type === "cgroup" && !options.split(",").includes("cpuset")));
}

/** First, in namespaces of its own, it joins a group of its own in each hierarchy, which is the top of all that it sees. */
const joining = (all: readonly Hierarchy[]): string => `
${all.map(({ where }) => `mkdir -p ${where}/${NAME} && echo 0 > ${where}/${NAME}/cgroup.procs`).join("\n")}
exec unshare --mount --propagation private --cgroup sh -euc "$2" sh "$1"
`;

/** Then it makes this machine's programs and devices, and nothing else of it, the machine's own, and becomes systemd. */
const booting = (all: readonly Hierarchy[]): string => `
mount --bind "$1" "$1"
cd "$1"
mount --bind /usr usr
mount -o remount,bind,ro usr
# No unit that packages of this machine would start; what the page installs is in /etc.
for wants in usr/lib/systemd/system/*.wants usr/local/bin; do mount -t tmpfs tmpfs "$wants"; done
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
[ "$(stat -f -c %T /sys/fs/cgroup)" != tmpfs ] || mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
${all.map(({ type, where, options }) => `mkdir -p .${where} && mount -t ${type} -o ${options} cgroup .${where}`).join("\n")}
for memory in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$memory"; done
chmod 1777 tmp
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
# One that a service is not to see.
touch dev/kvm
mount --bind /dev/null dev/kvm
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
pivot_root . old
# Shared, as a kernel without containers has it: what is mounted for a service shows where it was mounted.
exec chroot . sh -euc 'umount -l /old && mount --make-rshared / && exec env -i container=machine PATH=${PATHS} /usr/lib/systemd/systemd --unit=multi-user.target'
`;

/** The files that a system has to have of its own, and the units that keep what services say. */
async function layOut(root: string, id: string): Promise<void> {
  const folders = [
    "etc/systemd/system",
    "var/log",
    "var/lib",
    "var/tmp",
    "root",
    "home",
    "srv",
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "old",
    "usr",
  ];
  for (const folder of folders) await mkdir(join(root, folder), { recursive: true });
  for (const name of ["bin", "sbin", "lib", "lib64"]) await symlink(`usr/${name}`, join(root, name));
  await symlink("../run", join(root, "var/run"));
  const etc = (name: string, content: string): Promise<void> => writeFile(join(root, "etc", name), content);
  await etc("machine-id", `${id}\n`);
  await etc("passwd", "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
  await etc("group", "root:x:0:\nnogroup:x:65534:\n");
  await etc("nsswitch.conf", "passwd: files systemd\ngroup: files systemd\n");
  await copyFile("/etc/ld.so.cache", join(root, "etc/ld.so.cache"));
  for (const unit of ["sockets.target.wants/systemd-journald.socket", "sysinit.target.wants/systemd-journald.service"]) {
    const [folder = "", name = ""] = unit.split("/");
    await mkdir(join(root, "etc/systemd/system", folder), { recursive: true });
    await symlink(`/usr/lib/systemd/system/${name}`, join(root, "etc/systemd/system", folder, name));
  }
}

/** Removes the groups that it had. */
async function removeGroups(all: readonly Hierarchy[]): Promise<void> {
  const groups = all.map(({ where }) => join(where, NAME));
  await run("find", [...groups, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
}

/** What goes before a command of a machine, by the number that its process 1 has here. */
function enter(pid: number, commands: string): readonly [string, readonly string[]] {
  const where = ["--target", String(pid), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root"];
  const environment = ["env", "-i", `PATH=${PATHS}`, "HOME=/root", "LANG=C.UTF-8", "SYSTEMD_PAGER="];
  return ["nsenter", [...where, ...environment, "bash", "-c", `cd /root\n${commands}`]];
}

function mustLive(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null) throw new Error("its process 1 ended");
}

/** The number of its process 1, once it has a root of its own: what is asked before would be asked of this machine. */
async function untilInside(child: ChildProcess, id: string, deadline: number): Promise<number> {
  for (;;) {
    const pid = (await readFile(`/proc/${child.pid ?? 0}/task/${child.pid ?? 0}/children`, "utf8").catch(() => "")).trim();
    const found = await readFile(`/proc/${pid}/root/etc/machine-id`, "utf8").catch(() => "");
    if (pid !== "" && found.trim() === id) return Number(pid);
    mustLive(child);
    if (performance.now() > deadline) throw new Error(`it has no root of its own after ${BOOT_LIMIT_MS / 1000} s`);
    await sleep(POLL_MS);
  }
}

async function untilBooted(child: ChildProcess, pid: number, deadline: number): Promise<void> {
  for (;;) {
    const { out } = await run(...enter(pid, "systemctl is-system-running"));
    if (["running", "degraded"].includes(out.trim())) return;
    mustLive(child);
    if (performance.now() > deadline) throw new Error(`it is ${out.trim()} after ${BOOT_LIMIT_MS / 1000} s`);
    await sleep(POLL_MS);
  }
}

/**
 * Boots systemd over a root directory, which may hold files already, with the programs of this machine's /usr. Needs root with the right to
 * make namespaces and mounts, and a systemd that knows this kernel's cgroups; throws with what was said where it cannot be done.
 */
export async function bootMachine(root: string): Promise<Machine> {
  const id = randomBytes(16).toString("hex");
  await layOut(root, id);
  const all = await hierarchies();
  // Whatever becomes of this process, nothing of it goes on.
  const args = ["--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--ipc", "--uts"];
  const become = ["sh", "-euc", joining(all), "sh", root, booting(all)];
  const child = spawn("setpriv", [...args, ...become], { stdio: ["ignore", "pipe", "pipe"] });
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => said.push(chunk));
  let first = child.pid;
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null && first !== undefined) {
      const ended = once(child, "exit");
      // With its process 1 all of its processes end, before whoever waits for that one does.
      process.kill(first, "SIGKILL");
      await ended;
    }
    await removeGroups(all);
  };
  try {
    const deadline = performance.now() + BOOT_LIMIT_MS;
    const pid = await untilInside(child, id, deadline);
    first = pid;
    await untilBooted(child, pid, deadline);
    return {
      root,
      run: (commands) => run(...enter(pid, commands), { limitMs: COMMAND_LIMIT_MS }),
      must: (commands) => mustRun(...enter(pid, commands), { limitMs: COMMAND_LIMIT_MS }),
      journal: () => {
        const [program, words] = enter(pid, "journalctl --output=cat --lines=400");
        return spawnSync(program, words, { encoding: "utf8" }).stdout;
      },
      end,
    };
  } catch (error) {
    await end();
    const words = Buffer.concat(said).toString("utf8");
    throw new Error(`no machine with systemd can be booted here: ${String(error)}\n${words}`, { cause: error });
  }
}
