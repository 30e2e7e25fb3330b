import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { z } from "zod";
import { must } from "./must.ts";
import type { Machine } from "./systemd-machine.ts";

/*
 * What the unit denies is denied: a probe runs as the unit, with its drop-ins, in the place of the registry, and tries it.
 */

const SERVICE = "ai-model-registry.service";
const STATE = "var/lib/private/ai-model-registry";
/** In /opt, which the unit sees and cannot write to. */
const PROBE = "/opt/probe/probe.mjs";
const DROP_IN = `/run/systemd/system/${SERVICE}.d/zz-probe.conf`;
const NODE = "/opt/ai-model-registry/bin/node";
/** Of the unit, and less what is the kernel's. */
const MEMORY_MAX = 1536;
const MEMORY_LEAST = 1024;
/** Users that systemd makes up for a service (its NEWS of version 235). */
const DYNAMIC_USERS = [61_184, 65_519] as const;

const REFUSED_WITH: Readonly<Record<string, string>> = {
  "write to its state directory": "done",
  "write to a temporary folder of its own": "done",
  "write to /etc": "EROFS",
  "write to /usr": "EROFS",
  "write to its program": "EROFS",
  "write to /var/lib": "EROFS",
  "write to /home": "EACCES",
  "write to /root": "EACCES",
  "run a shell": "EACCES",
  "give a file the rights of its owner": "EPERM",
  "change its priority": "EPERM",
  "become root": "EPERM",
  "no new privileges": "1",
  "system calls are filtered": "2",
};

/** What the drop-ins change of that. */
interface Expected {
  readonly compiler: string;
  readonly thisMachine: string;
  readonly anotherMachine: string;
  readonly hasOwnNetwork: boolean;
}
const WITHOUT_DROP_INS: Expected = { compiler: "done", thisMachine: "done", anotherMachine: "EPERM", hasOwnNetwork: false };
const WITH_DROP_INS: Expected = { compiler: "SIGTRAP", thisMachine: "EAFNOSUPPORT", anotherMachine: "EAFNOSUPPORT", hasOwnNetwork: true };

const found = z.record(z.string(), z.unknown());

/** Runs the probe once as the service, which must not run meanwhile; what systemd says of how it ended. */
async function probe(machine: Machine, ...args: readonly string[]): Promise<string> {
  await mkdir(join(machine.root, "opt/probe"), { recursive: true });
  await writeFile(join(machine.root, PROBE), stripTypeScriptTypes(await readFile("conformance/unit-probe.ts", "utf8")));
  const command = [NODE, "--jitless", "--disable-sigusr1", PROBE, ...args].join(" ");
  const settings = ["[Service]", "Type=oneshot", "Restart=no", "WatchdogSec=0", "ExecStart=", `ExecStart=${command}`];
  await machine.must(`mkdir -p $(dirname ${DROP_IN}) && printf '%s\\n' ${settings.map((line) => `'${line}'`).join(" ")} > ${DROP_IN}`);
  await machine.run(`systemctl daemon-reload; systemctl start ${SERVICE}`);
  const ended = await machine.must(`systemctl show --property=Result,ExecMainCode,ExecMainStatus ${SERVICE} | sort | tr '\\n' ' '`);
  await machine.must(`rm ${DROP_IN} && systemctl daemon-reload && systemctl reset-failed ${SERVICE}`);
  return ended.trim();
}

async function reported(machine: Machine): Promise<z.infer<typeof found>> {
  const folder = join(machine.root, STATE);
  const report = found.parse(JSON.parse(await readFile(join(folder, "probe.json"), "utf8")));
  for (const name of ["probe.json", "probe"]) await rm(join(folder, name), { force: true });
  return report;
}

/** The unit as it is installed, with these drop-ins or without any. */
export async function examineSandbox(machine: Machine, hasDropIns: boolean): Promise<void> {
  const ended = await probe(machine);
  must(ended === "ExecMainCode=1 ExecMainStatus=0 Result=success", `the probe ended otherwise: ${ended}`);
  const report = await reported(machine);
  const { compiler, thisMachine, anotherMachine, hasOwnNetwork } = hasDropIns ? WITH_DROP_INS : WITHOUT_DROP_INS;
  const wanted: Readonly<Record<string, unknown>> = {
    ...REFUSED_WITH,
    "run a compiler": compiler,
    "reach this machine": thisMachine,
    "reach another machine": anotherMachine,
    "see other processes": 0,
    devices: [],
    capabilities: ["0000000000000000", "0000000000000000"],
  };
  const wrong = Object.entries(wanted).filter(([name, value]) => JSON.stringify(report[name]) !== JSON.stringify(value));
  const told = wrong.map(([name, value]) => `${name}: ${JSON.stringify(report[name])} instead of ${JSON.stringify(value)}`);
  must(told.length === 0, `the unit's sandbox is not as it should be\n${told.join("\n")}`);
  const machines = (await machine.must("readlink /proc/1/ns/net")).trim();
  must((report["network"] !== machines) === hasOwnNetwork, `its network is ${String(report["network"])}, and the machine's ${machines}`);
  const user = z.number().parse(report["user"]);
  must(user >= DYNAMIC_USERS[0] && user <= DYNAMIC_USERS[1], `it runs as user ${user}`);
  must(await isAbsent(join(machine.root, "tmp/probe")), "what it wrote to /tmp is in the machine's");
  process.stdout.write(`ok     ${Object.keys(wanted).length} tries to leave the sandbox, ${hasDropIns ? "with" : "without"} drop-ins\n`);
}

/** Whoever takes more memory than the unit has is ended, and nobody else is. */
export async function examineMemory(machine: Machine): Promise<void> {
  const ended = await probe(machine, "memory");
  const { megabytes } = z.object({ megabytes: z.number() }).parse(await reported(machine));
  must(ended.includes("ExecMainStatus=9") && megabytes < MEMORY_MAX && megabytes >= MEMORY_LEAST, `with ${megabytes} MiB: ${ended}`);
  process.stdout.write(`ok     it is ended when it takes more memory than the unit has, after ${megabytes} MiB\n`);
}

async function isAbsent(path: string): Promise<boolean> {
  return stat(path).then(
    () => false,
    () => true,
  );
}
