import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, delimiter, join } from "node:path";
import { parseArgs } from "node:util";
import { DISTRIBUTION, installGoTool } from "./go-tool.ts";
import { measurePromotions, promotionTable } from "./promotion-cost.ts";
import {
  CHECKOUT,
  type RunningRegistry,
  createNamespace,
  endChild,
  freePort,
  plainEnvironment,
  startRegistry,
  untilReady,
} from "./registry-process.ts";

const USAGE = `Usage: npm run bench -- [--short] [--part all|clients|promotions] [--peer auto|install|none] [-- options of conformance/zb.mjs]

Measures this registry, and a distribution registry found on the machine beside it, by turns, and what promotions with signatures cost;
writes JSON and tables to bench-results/.

  --short          few and small operations: says that the benchmark works, not how fast the registry is
  --part clients   pushes, pulls and lists only; promotions: promotions only
  --peer auto      the peer on PATH (docker-registry or registry), if there is one (default)
  --peer install   the peer on PATH, else the reference registry built by go install
  --peer none      this registry alone
`;

const NAMESPACE = "zb";
/** Ten clients in pairs of operations: enough to see an error, too few for a figure. */
const SHORT = ["--requests", "20", "--test", "^(Pull|Push Monolith|Push Chunk Streamed) (1|10)MB$"];
/** Promotions of one kind that are timed. */
const PROMOTIONS = { short: 2, full: 50 };
const PROMOTED = ["--test", "^Pull (1|10)MB$", "--requests", "20", "--skip-cleanup"];

/** The other registry, on loopback, with deletion on, for the clean-up. */
interface Peer {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  dispose(): Promise<void>;
}

function onPath(name: string): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
}

async function peerBinary(mode: string): Promise<string | undefined> {
  if (mode === "none") return undefined;
  return onPath("docker-registry") ?? onPath("registry") ?? (mode === "install" ? installGoTool(DISTRIBUTION) : undefined);
}

async function startPeer(binary: string): Promise<Peer> {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-peer-"));
  const host = `127.0.0.1:${await freePort()}`;
  const config = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, "data") }, delete: { enabled: true } },
    http: { addr: host },
  };
  // JSON is YAML.
  await writeFile(join(folder, "config.yml"), JSON.stringify(config));
  const child: ChildProcess = spawn(binary, ["serve", join(folder, "config.yml")], { env: plainEnvironment(), stdio: "ignore" });
  const dispose = async (): Promise<void> => {
    await endChild(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await untilReady(`http://${host}/v2/`, child, () => binary);
  } catch (error) {
    await dispose();
    throw error;
  }
  return { name: basename(binary), url: `http://${host}`, pid: child.pid ?? 0, dispose };
}

interface Measurement {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Runs zb.mjs, keeps its JSON and its table, and answers whether every operation succeeded. */
async function measure({ name, args, env }: Measurement, folder: string): Promise<boolean> {
  const json = join(folder, `${name}.json`);
  const child = spawn(process.execPath, ["conformance/zb.mjs", ...args, "--json", json], {
    cwd: CHECKOUT,
    env: plainEnvironment(env),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const table: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => table.push(chunk));
  await once(child, "close");
  await writeFile(join(folder, `${name}.txt`), Buffer.concat(table));
  process.stdout.write(`${name}\n${Buffer.concat(table).toString("utf8")}\n`);
  return child.exitCode === 0;
}

/** What a runtime sees: everything that is pulled was promoted first, outside of the timing. */
async function promoted(registry: RunningRegistry, options: readonly string[]): Promise<Measurement> {
  const command = `"$NODE" src/cli/main.ts promote "$ZB_REPOSITORY@$ZB_DIGEST"`;
  return {
    name: "promoted",
    args: [registry.url, "--pid", String(registry.pid), "--on-push", command, ...options],
    env: {
      NODE: process.execPath,
      REGISTRY_URL: registry.url,
      SECURECTL_TOKEN: await registry.key("operator"),
      ZB_USER: `publisher:${await registry.key("publisher")}`,
      ZB_PULL_USER: `runtime:${await registry.key("runtime")}`,
    },
  };
}

async function plain(registry: RunningRegistry, peer: Peer | undefined, options: readonly string[]): Promise<Measurement> {
  const against = peer === undefined ? [] : [peer.url, "--pid2", String(peer.pid)];
  return {
    name: peer === undefined ? "alone" : `against-${peer.name}`,
    args: [registry.url, "--pid", String(registry.pid), ...against, ...options],
    env: { ZB_USER: `publisher:${await registry.key("publisher")}` },
  };
}

/** With one worker, as each remembers its own verdicts. */
async function promotions(count: number, folder: string): Promise<void> {
  const registry = await startRegistry({ WORKERS: "1" });
  try {
    const costs = await measurePromotions(registry, count);
    const table = promotionTable(costs);
    await writeFile(join(folder, "promotions.json"), `${JSON.stringify(costs, undefined, 2)}\n`);
    await writeFile(join(folder, "promotions.txt"), table);
    process.stdout.write(`promotions\n${table}\n`);
  } finally {
    await registry.dispose();
  }
}

/** Pushes, pulls and lists, beside the peer when there is one; answers whether every operation succeeded. */
async function clients(mode: string, options: readonly string[], folder: string): Promise<boolean> {
  const binary = await peerBinary(mode);
  const registry = await startRegistry();
  const peer = binary === undefined ? undefined : await startPeer(binary);
  try {
    await createNamespace(registry, NAMESPACE);
    const first = await measure(await plain(registry, peer, options), folder);
    const second = await measure(await promoted(registry, PROMOTED), folder);
    return first && second;
  } finally {
    await peer?.dispose();
    await registry.dispose();
  }
}

const { values, positionals } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    part: { type: "string", default: "all" },
    peer: { type: "string", default: "auto" },
    help: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const isKnown = ["auto", "install", "none"].includes(values.peer) && ["all", "clients", "promotions"].includes(values.part);
if (values.help || !isKnown) {
  process.stdout.write(USAGE);
  process.exit(values.help ? 0 : 2);
}

const folder = join(CHECKOUT, "bench-results", new Date().toISOString().replaceAll(/[:.]/g, "-"));
await mkdir(folder, { recursive: true });
const options = [...(values.short ? SHORT : []), ...positionals];
if (values.part !== "promotions" && !(await clients(values.peer, options, folder))) process.exitCode = 1;
if (values.part !== "clients") await promotions(values.short ? PROMOTIONS.short : PROMOTIONS.full, folder);
process.stdout.write(`results: ${folder}\n`);
