import { mkdir, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { asScript, shellBlocks } from "./readme.ts";
import type { RunningRegistry } from "./registry-process.ts";
import { mustRun } from "./run-program.ts";

const PAGE = "deploy/README.md";
const STATE = "/var/lib/private/ai-model-registry";
const UNITS = "/etc/systemd/system";
const LIMIT_MS = 300_000;

/** Where the page's places are in a trial. */
interface Places {
  /** Of /opt/ai-model-registry. */
  readonly prefix: string;
  /** Something to write into. */
  readonly folder: string;
}

async function blocksOf(section: string): Promise<readonly string[]> {
  const blocks = shellBlocks(await readFile(PAGE, "utf8")).filter((block) => block.section === section);
  if (blocks.length === 0) throw new Error(`${PAGE} has no commands in its section "${section}"`);
  return blocks.map(({ commands }) => commands);
}

/** Runs what the page says to run on the appliance, but for what only systemd can do, against a registry that serves as the units have it. */
export async function followPage({ prefix, folder }: Places, registry: RunningRegistry): Promise<void> {
  const { dataDirectory, url } = registry;
  const units = join(folder, "etc");
  const there = (text: string): string =>
    text.replaceAll("/opt/ai-model-registry", prefix).replaceAll(STATE, dataDirectory).replaceAll(UNITS, units);
  const [, install = ""] = await blocksOf("Appliance");
  const lines = install.split("\n").filter((line) => !line.startsWith("systemctl "));
  await runScript(there(lines.join("\n")), { cwd: folder, env: { REGISTRY_URL: url } });
  const laid = await readdir(units, { recursive: true });
  for (const name of ["ai-model-registry.service", "ai-model-registry.socket", "ai-model-registry.service.d/socket.conf"]) {
    if (!laid.includes(name)) throw new Error(`${PAGE}: its commands did not lay ${name} where systemd looks`);
  }
  process.stdout.write(`ok     the commands of ${PAGE} that install and look\n`);
  const place = join(folder, "backups");
  await mkdir(place);
  const env = { REGISTRY_DIR: dataDirectory, PATH: `${join(prefix, "bin")}:/usr/bin:/bin` };
  await runScript((await blocksOf("Backup and restore")).join("\n"), { cwd: place, env });
  const restored = await readdir(join(place, "restored"));
  if (!restored.includes("metadata")) throw new Error(`${PAGE}: its commands restored nothing`);
  process.stdout.write("ok     its commands that back up and restore, while the registry serves\n");
}

async function runScript(
  commands: string,
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<void> {
  await mustRun("bash", ["-c", asScript(commands)], { ...options, limitMs: LIMIT_MS });
}
