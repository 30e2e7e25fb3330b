import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needPrograms } from "./debian-tools.ts";
import { followPage } from "./deploy-commands.ts";
import { type RunningRegistry, CHECKOUT, freePort, startRegistry } from "./registry-process.ts";
import { mustRun, run } from "./run-program.ts";
import { BUSY, doEverything } from "./scenario.ts";
import { type Section, readSection } from "./unit-file.ts";

/** Where the units look for the registry; the trial puts it elsewhere. */
const PREFIX = "/opt/ai-model-registry";
const UNITS = join(CHECKOUT, "deploy/systemd");
const SERVICE = "ai-model-registry.service";
const VERIFY = "ai-model-registry-verify.service";
/** The most exposure that systemd-analyze may find, in tenths: of the unit as it is, and with these drop-ins. */
const EXPOSURES: readonly (readonly [string, readonly string[], number])[] = [
  [SERVICE, [], 11],
  [SERVICE, ["hardened.conf"], 11],
  [SERVICE, ["socket.conf"], 5],
  [SERVICE, ["socket.conf", "hardened.conf"], 4],
  [SERVICE, ["socket.conf", "hardened.conf", "metrics.conf"], 4],
  [VERIFY, [], 9],
];
const WATCHDOG_USEC = "2000000";

/** The units as they come, but for the place of the registry, in a folder as systemd reads them. */
async function layOut(folder: string, prefix: string, dropIns: readonly string[]): Promise<string> {
  const units = await mkdtemp(join(folder, "units-"));
  const copy = async (from: string, to: string): Promise<void> => {
    await writeFile(to, (await readFile(join(UNITS, from), "utf8")).replaceAll(PREFIX, prefix));
  };
  for (const name of await readdir(UNITS)) if (!name.endsWith(".conf")) await copy(name, join(units, name));
  const more = join(units, `${SERVICE}.d`);
  await mkdir(more);
  for (const name of dropIns) await copy(name, join(more, name));
  return units;
}

/** The units make sense to systemd, and leave no more open than they may. */
async function rate(folder: string, prefix: string): Promise<void> {
  for (const [unit, dropIns, most] of EXPOSURES) {
    const units = await layOut(folder, prefix, dropIns);
    const env = { SYSTEMD_UNIT_PATH: `${units}:` };
    const files = (await readdir(units)).filter((name) => !name.endsWith(".d")).map((name) => join(units, name));
    const verified = await run("systemd-analyze", ["verify", ...files], { env });
    // What it has to say of other units of the machine is none of this.
    const complaints = verified.err.split("\n").filter((line) => line.includes("ai-model-registry"));
    if (verified.code !== 0 || complaints.length > 0) throw new Error(`systemd-analyze verify: ${complaints.join("\n")}`);
    const out = await mustRun("systemd-analyze", ["security", "--no-pager", "--offline=true", `--threshold=${most}`, join(units, unit)], {
      env,
    });
    const exposure = /Overall exposure level.*: ([\d.]+)/.exec(out)?.[1] ?? "unknown";
    process.stdout.write(`ok     ${[unit, ...dropIns].join(" with ")}: exposure ${exposure}, at most ${most / 10}\n`);
  }
}

/** A unit's command, with the registry where the trial has it. */
function commandOf(section: Section, prefix: string): readonly string[] {
  const [command = ""] = section.get("ExecStart") ?? [];
  return command.replaceAll(PREFIX, prefix).split(" ");
}

/** What systemd does around the command of the unit with all of its drop-ins, as far as it can be done without systemd. */
async function asUnit(prefix: string, address: string, metricsPort: number): Promise<readonly [string, ...string[]]> {
  const files = [SERVICE, "socket.conf", "hardened.conf", "metrics.conf"].map((name) => join(UNITS, name));
  const section = await readSection("Service", files);
  const [host = "", port = ""] = address.split(":");
  const has = (name: string): boolean => section.get(name)?.at(-1) === "yes";
  if (!has("PrivateNetwork") || !has("MemoryDenyWriteExecute")) throw new Error("the drop-ins do not take away what they should");
  const around = ["--own-network", "--no-write-execute"];
  return [
    "python3",
    "conformance/service-manager.py",
    host,
    port,
    String(metricsPort),
    WATCHDOG_USEC,
    ...around,
    ...commandOf(section, prefix),
  ];
}

/** Does everything against the registry as the appliance runs it: a passed socket, no network of its own, no compiler, a watchdog. */
async function useAppliance(folder: string, prefix: string): Promise<void> {
  const address = `127.0.0.1:${await freePort()}`;
  const metricsPort = await freePort();
  const metrics = `127.0.0.1:${metricsPort}`;
  const command = await asUnit(prefix, address, metricsPort);
  const env = { ...BUSY, BIND_ADDR: address, REGISTRY_METRICS_ADDR: metrics, WORKERS: "2", NODE_ENV: "production" };
  const said: string[] = [];
  let registry: RunningRegistry = await startRegistry(env, undefined, command);
  const restart = async (): Promise<RunningRegistry> => {
    await registry.stop();
    said.push(registry.output());
    registry = await startRegistry(env, registry.dataDirectory, command);
    return registry;
  };
  try {
    if (!(await doEverything(registry, restart))) throw new Error("the registry did not do everything under the unit's hardening");
    await verifyAll(prefix, registry);
    await followPage({ prefix, folder }, registry);
    const counted = await (await fetch(`http://${metrics}/metrics`)).text();
    mustHave(counted, [/^registry_transitions_total\{event="promote",outcome="allow"\} [1-9]/m, /^registry_workers 2$/m]);
    process.stdout.write("ok     metrics come by a socket of their own, though the registry has no network\n");
    await registry.stop();
    said.push(registry.output());
  } finally {
    await registry.dispose().catch(() => undefined);
  }
  for (const output of said)
    mustHave(output, [/notified READY=1 STATUS=serving on port \d+/, /notified WATCHDOG=1/, /notified STOPPING=1/]);
  process.stdout.write("ok     systemd was told of each start, of life in between, and of each end\n");
}

function mustHave(output: string, wanted: readonly RegExp[]): void {
  for (const pattern of wanted) if (!pattern.test(output)) throw new Error(`${pattern} was not said:\n${output.slice(-4000)}`);
}

/** The command of the timer's unit, with the credential that systemd would lay beside it. */
async function verifyAll(prefix: string, registry: RunningRegistry): Promise<void> {
  const section = await readSection("Service", [join(UNITS, VERIFY)]);
  const wanted = /\/credentials\/([\w-]+)$/.exec(section.get("LoadCredential")?.[0] ?? "")?.[1] ?? "";
  const env = { REGISTRY_URL: registry.url, SERVICE_TOKEN_PATH: join(registry.dataDirectory, "credentials", wanted) };
  const [program = "", ...args] = commandOf(section, prefix);
  process.stdout.write(`ok     the timer's command: ${await mustRun(program, args, { env })}`);
}

await needPrograms({ "systemd-analyze": "systemd", "systemd-notify": "systemd", python3: "python3" });
const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-appliance-"));
try {
  // Others than root have to reach what is installed there.
  await chmod(folder, 0o755);
  const prefix = join(folder, "opt");
  await mustRun("deploy/install.sh", [prefix], { limitMs: 400_000 });
  process.stdout.write("ok     deploy/install.sh\n");
  await rate(folder, prefix);
  await useAppliance(folder, prefix);
} catch (error) {
  process.stdout.write(`FAILED ${String(error)}\n`);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
