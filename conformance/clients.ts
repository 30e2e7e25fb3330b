import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { parseArgs } from "node:util";
import { Report, type Row, differences, withTable } from "./client-report.ts";
import { withoutVersions } from "./clients/floating.ts";
import { runReplays } from "./clients/replays/run-replays.ts";
import { runPage } from "./clients/run-page.ts";
import { type Clients, type TriedClient, installClients } from "./clients/tried-clients.ts";
import { CHECKOUT } from "./registry-process.ts";

/**
 * Runs the commands of every page below docs/clients with the client that it is about, unmodified, against a real registry; each section is
 * a row of the table in `PAGE`, which must be the one that this run makes.
 */

const USAGE = `Usage: npm run clients -- [--write] [NAME…]

Tries the registry with the clients that have a page below docs/clients. NAME is one of them, or
"replays", the requests of clients that cannot be had; all by default.

  --write   writes the table of results into docs/clients.md, instead of comparing it
`;
const PAGE = join(CHECKOUT, "docs", "clients.md");
/** Clients wait for each other's disk more than they compute. */
const AT_ONCE = 2;

/** Tries them a few at a time; the reports come in the order of the clients. */
async function tryAll(clients: Clients, chosen: readonly TriedClient[], folder: string): Promise<readonly Report[]> {
  const reports = chosen.map(() => new Report((text) => void process.stdout.write(text)));
  const waiting = [...chosen.entries()];
  const system = (process.env["PATH"] ?? "").split(delimiter).filter((entry) => !entry.includes("node_modules"));
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [at, tried] = next;
      const report = reports[at];
      if (report === undefined) continue;
      const path = [...(tried.programs === undefined ? [] : [tried.programs]), clients.common, ...system];
      const began = performance.now();
      await runPage(tried, folder, path, report).catch((error: unknown) => report.fail(`${tried.client.name}: ${String(error)}`));
      process.stdout.write(`       ${tried.client.name} ${tried.client.version}: ${Math.round((performance.now() - began) / 1000)} s\n`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return reports;
}

/** Writes the table, or compares it with what the page shows, where versions that nobody chose may be others by now. */
async function keepTable(rows: readonly Row[], tried: readonly TriedClient[], write: boolean): Promise<readonly string[]> {
  const page = await readFile(PAGE, "utf8");
  const next = withTable("clients", page, rows);
  if (write) {
    await writeFile(PAGE, next);
    return [];
  }
  const floating = tried.filter((each) => each.floating).map(({ client }) => client.name);
  return differences("clients", withoutVersions(page, floating), withoutVersions(next, floating));
}

const { values, positionals } = parseArgs({
  options: { write: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
  allowPositionals: true,
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-clients-"));
try {
  const clients = await installClients(folder);
  const replays = new Report((text) => void process.stdout.write(text));
  if (positionals.length === 0 || positionals.includes("replays")) {
    await runReplays(replays).catch((error: unknown) => replays.fail(`replays: ${String(error)}`));
  }
  const chosen = clients.tried.filter(({ client }) => positionals.length === 0 || positionals.includes(client.name));
  const reports = [...(await tryAll(clients, chosen, folder)), replays];
  const rows = reports.flatMap((report) => report.rows);
  let failed = reports.reduce((sum, report) => sum + report.failed, 0);
  // What failed is nothing to write down.
  if (positionals.length === 0 && (failed === 0 || !values.write)) {
    for (const line of await keepTable(rows, clients.tried, values.write)) {
      failed += 1;
      process.stdout.write(`FAILED the table of docs/clients.md differs: ${line}\n`);
    }
  }
  process.stdout.write(`${rows.length} cases, ${failed} failed\n`);
  if (failed > 0 || rows.length === 0) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
