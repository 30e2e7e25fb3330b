import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Subject } from "./main-job-story.ts";
import { must } from "./must.ts";
import { asScript, shellBlocks } from "./readme.ts";
import { doEverything } from "./scenario.ts";
import type { Machine } from "./systemd-machine.ts";
import { examineMemory, examineSandbox } from "./unit-sandbox.ts";

const PAGE = "deploy/README.md";
const NAME = "ai-model-registry";
const SERVICE = `${NAME}.service`;
const VERIFY = `${NAME}-verify.service`;
const HOST = "127.0.0.1:8470";
const METRICS = "http://127.0.0.1:9470/metrics";
const STATE = `var/lib/private/${NAME}`;
const POLL_MS = 100;
const LIMIT_MS = 120_000;
/** Seconds; the unit has sixty. */
const WATCHDOG = 6;
const PATIENCE = `/run/systemd/system/${SERVICE}.d/watchdog.conf`;

/** What a section of the page says to run, a script a block. */
async function commandsOf(section: string): Promise<readonly string[]> {
  const blocks = shellBlocks(await readFile(PAGE, "utf8")).filter((block) => block.section === section);
  must(blocks.length > 0, `${PAGE} has no commands in its section "${section}"`);
  return blocks.map(({ commands }) => asScript(commands));
}

async function show(machine: Machine, unit: string, property: string): Promise<string> {
  return (await machine.must(`systemctl show --value --property=${property} ${unit}`)).trim();
}

async function mustShow(machine: Machine, unit: string, wanted: Readonly<Record<string, string | RegExp>>): Promise<void> {
  for (const [property, value] of Object.entries(wanted)) {
    const found = await show(machine, unit, property);
    must(typeof value === "string" ? found === value : value.test(found), `${property} of ${unit} is ${found}`);
  }
}

async function until(what: string, held: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!(await held())) {
    must(performance.now() < deadline, `${what}: not within ${LIMIT_MS / 1000} s`);
    await sleep(POLL_MS);
  }
}

/** All of its workers serve. */
function untilActive(machine: Machine): Promise<void> {
  return until(`${SERVICE} is up`, async () => (await show(machine, SERVICE, "ActiveState")) === "active");
}

async function answers(): Promise<boolean> {
  const answer = await fetch(`http://${HOST}/health`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.status === 200;
}

/** Has clients ask all the time, by every socket, while something is done: one that came too early would start what is not whole. */
async function amidClients(act: () => Promise<unknown>): Promise<void> {
  const done = new AbortController();
  const ask = async (): Promise<void> => {
    while (!done.signal.aborted) {
      await Promise.allSettled([`http://${HOST}/health`, METRICS].map(async (url) => (await fetch(url)).arrayBuffer()));
      await sleep(POLL_MS);
    }
  };
  const asking = ask();
  try {
    await act();
  } finally {
    done.abort();
    await asking;
  }
}

/** Processes of the service, the one first that systemd has started. */
async function processesOf(machine: Machine): Promise<readonly string[]> {
  const main = await show(machine, SERVICE, "MainPID");
  return [main, ...(await machine.must(`cat /proc/${main}/task/${main}/children`)).trim().split(" ")];
}

/** What the page says to do makes a service that runs, of a user who is nobody else, with keys that nobody else can read. */
async function install(machine: Machine): Promise<void> {
  const [, commands = ""] = await commandsOf("Appliance");
  await machine.must(commands);
  await mustShow(machine, SERVICE, { ActiveState: "active", StatusText: /^serving on port 8470$/, NRestarts: "0" });
  const folder = join(machine.root, STATE, "credentials");
  const [main = ""] = await processesOf(machine);
  const { uid } = await stat(join(folder, "operator"));
  must((await machine.must(`stat --format %u /proc/${main}`)).trim() === String(uid), "the keys are somebody else's");
  for (const name of await readdir(folder)) {
    must(((await stat(join(folder, name))).mode & 0o7777) === 0o600, `${name} can be read by others`);
  }
  process.stdout.write(`ok     the commands of ${PAGE} that install: it is up, and has made the first keys\n`);
}

/** A stop is in order; the next client has systemd start it again, and waits for it. */
async function restart(machine: Machine): Promise<void> {
  await machine.must(`systemctl stop ${SERVICE}`);
  await mustShow(machine, SERVICE, { ActiveState: "inactive", Result: "success", ExecMainStatus: "0" });
  must(await answers(), "the client that came when it did not run was not served");
  await untilActive(machine);
}

async function doJobs(machine: Machine): Promise<void> {
  const dataDirectory = join(machine.root, STATE);
  const key = async (name: string): Promise<string> => (await readFile(join(dataDirectory, "credentials", name), "utf8")).trim();
  const subject: Subject = { url: `http://${HOST}`, host: HOST, dataDirectory, key, output: () => machine.journal() };
  const again = async (): Promise<Subject> => {
    await restart(machine);
    return subject;
  };
  must(await doEverything(subject, again), "the registry did not do everything under its units");
}

/** Metrics by a second socket; from then on the watchdog has less patience than the unit gives it, which a start anew takes over. */
async function showMetrics(machine: Machine): Promise<void> {
  await machine.must(`mkdir -p $(dirname ${PATIENCE}) && printf '[Service]\\nWatchdogSec=${WATCHDOG}\\n' > ${PATIENCE}`);
  const [, , commands = ""] = await commandsOf("Appliance");
  await amidClients(() => machine.must(commands));
  const counted = await (await fetch(METRICS)).text();
  must(/^registry_workers 2$/m.test(counted), `the metrics are\n${counted}`);
  process.stdout.write("ok     metrics come by a socket of their own, though the registry has no network\n");
}

/** Whoever hangs is replaced: a worker by the registry, the registry by systemd. */
async function hang(machine: Machine): Promise<void> {
  const [main = "", worker = ""] = await processesOf(machine);
  await machine.must(`kill -STOP ${worker}`);
  const isReplaced = async (): Promise<boolean> => {
    const now = await processesOf(machine);
    return now[0] === main && now.length === 3 && !now.includes(worker);
  };
  await until("a worker that hangs is replaced", isReplaced);
  must(await answers(), "it does not serve though a worker was replaced");
  process.stdout.write("ok     a worker that hangs is replaced, and the service goes on\n");
  const restarts = Number(await show(machine, SERVICE, "NRestarts"));
  await machine.must(`kill -STOP ${main}`);
  await until("a registry that hangs is started anew", async () => Number(await show(machine, SERVICE, "NRestarts")) > restarts);
  await untilActive(machine);
  must(/Watchdog timeout/.test(machine.journal()), "it was not the watchdog");
  must(await answers(), "it does not serve though it was started anew");
  await machine.must(`rm ${PATIENCE} && systemctl daemon-reload`);
  process.stdout.write("ok     a registry that hangs is ended by the watchdog and started anew\n");
}

/** The page's other commands. */
async function keep(machine: Machine): Promise<void> {
  const kept = (await commandsOf("Backup and restore")).join("\n");
  await amidClients(() => machine.must(kept));
  must(await answers(), "the restored registry does not serve");
  process.stdout.write("ok     its commands that back up and restore\n");
  const carry = "tar -C / -c -f ai-model-registry.tar opt/ai-model-registry";
  const upgrade = [carry, ...(await commandsOf("Upgrade"))].join("\n");
  await amidClients(() => machine.must(upgrade));
  must(await answers(), "the registry does not serve after the upgrade");
  const [main = ""] = await processesOf(machine);
  must(!(await machine.must(`readlink /proc/${main}/exe`)).includes(".before"), "what was there before still runs");
  process.stdout.write("ok     its commands that upgrade\n");
}

/** The timer starts the integrity run, which passes; and fails visibly once a byte is another. */
async function verify(machine: Machine): Promise<void> {
  const timer = `${NAME}-verify.timer`;
  await mustShow(machine, timer, { ActiveState: "active", NextElapseUSecRealtime: / 0[23]:\d\d:\d\d / });
  const folder = `/run/systemd/system/${timer}.d`;
  const settings = "[Timer]\\nOnCalendar=\\nOnActiveSec=1\\nRandomizedDelaySec=0\\nAccuracySec=1ms\\n";
  await machine.must(
    `mkdir -p ${folder} && printf '${settings}' > ${folder}/soon.conf && systemctl daemon-reload && systemctl restart ${timer}`,
  );
  await until("the timer starts the run", async () => (await show(machine, VERIFY, "ExecMainExitTimestampMonotonic")) !== "0");
  await mustShow(machine, VERIFY, { Result: "success", ActiveState: "inactive" });
  const damage = `find /${STATE}/blobs -type f -size +1000k | head -n 1 | xargs -I {} dd if=/dev/zero of={} bs=1 count=1 seek=1000 conv=notrunc status=none`;
  await machine.must(damage);
  must((await machine.run(`systemctl start ${VERIFY}`)).code !== 0, "the run passed over damaged bytes");
  must((await machine.must("systemctl list-units --failed")).includes(VERIFY), "a failed run is not shown");
  process.stdout.write("ok     the timer starts the integrity run, which fails visibly when bytes are damaged\n");
}

async function confine(machine: Machine): Promise<void> {
  await machine.must(`systemctl stop ${SERVICE}`);
  await examineSandbox(machine, true);
  await examineMemory(machine);
  await machine.must(
    `systemctl stop ${NAME}.socket ${NAME}-metrics.socket && rm -r /etc/systemd/system/${SERVICE}.d && systemctl daemon-reload`,
  );
  await examineSandbox(machine, false);
  await machine.must(`systemctl start ${SERVICE}`);
  must(await answers(), "it does not serve without drop-ins");
  process.stdout.write("ok     without drop-ins it listens by itself\n");
}

function fail(error: unknown, machine: Machine): never {
  throw new Error(`${String(error)}\n--- the machine's last words ---\n${machine.journal()}`, { cause: error });
}

/** Has the appliance do everything that the page says of it; throws at the first that it does not. */
export async function useAppliance(machine: Machine): Promise<void> {
  for (const part of [install, doJobs, showMetrics, hang, keep, verify, confine])
    await part(machine).catch((error: unknown) => fail(error, machine));
}
