import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Person } from "./person.ts";
import { CHECKOUT, startRegistry } from "./registry-process.ts";
import { tryCosignKeyless } from "./trust-clients/cosign-keyless.ts";
import { tryCosignWithKey } from "./trust-clients/cosign-with-key.ts";
import { tryCosignTags } from "./trust-clients/cosign-tags.ts";
import { tryModelSigning } from "./trust-clients/model-signing.ts";
import { tryNotation } from "./trust-clients/notation.ts";
import { PrivateSigstore } from "./trust-clients/private-sigstore.ts";
import { type Programs, installPrograms, versionsOf } from "./trust-clients/programs.ts";
import { Report, differences, withTable } from "./client-report.ts";
import { trySigstorePython } from "./trust-clients/sigstore-python.ts";
import { tryStatements } from "./trust-clients/statements.ts";
import { World } from "./trust-clients/world.ts";

/**
 * Has the programs that people sign with sign artifacts in a real registry, and the programs that people verify with look at what the
 * registry signs; each case is a row of the table in `PAGE`, which must be the one that this run makes.
 */

const USAGE = `Usage: npm run trust-clients -- [--write] [NAME…]

Tries the registry with cosign, model_signing, notation, sigstore-python, oras and openssl. NAME is one of the scenarios; all by default.

  --write   writes the table of results into the page, instead of comparing it
`;
const PAGE = join(CHECKOUT, "src", "trust", "README.md");

type Scenario = (world: World, sigstore: PrivateSigstore) => Promise<void>;
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "cosign-key": tryCosignWithKey,
  "cosign-keyless": tryCosignKeyless,
  "cosign-tags": tryCosignTags,
  "sigstore-python": trySigstorePython,
  "model-signing": tryModelSigning,
  notation: tryNotation,
  statements: tryStatements,
};

async function startWorld(programs: Programs, report: Report): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-trust-clients-"));
  const registry = await startRegistry();
  const person = (name: string): Person => new Person(registry, programs.oras.file, name, folder);
  const people = { publisher: person("publisher"), operator: person("operator"), runtime: person("runtime") };
  for (const each of Object.values(people)) await each.login();
  return new World({ registry, programs, report, folder, ...people });
}

async function tryAll(world: World, names: readonly string[]): Promise<void> {
  const sigstore = await PrivateSigstore.start(await world.scratch("sigstore"), world.programs.openssl.file);
  try {
    for (const name of names) {
      try {
        await SCENARIOS[name]?.(world, sigstore);
      } catch (error) {
        world.report.fail(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
  } finally {
    await sigstore.dispose();
  }
}

/** Writes the table, or compares it with what the page shows. */
async function keepTable(report: Report, write: boolean): Promise<void> {
  const page = await readFile(PAGE, "utf8");
  const next = withTable("trust-clients", page, report.rows);
  if (write) await writeFile(PAGE, next);
  else for (const line of differences("trust-clients", page, next)) report.fail(`the table of src/trust/README.md differs: ${line}`);
}

const { values, positionals } = parseArgs({
  options: { write: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
  allowPositionals: true,
});
if (values.help || positionals.some((name) => !(name in SCENARIOS))) {
  process.stdout.write(`${USAGE}\nScenarios: ${Object.keys(SCENARIOS).join(", ")}\n`);
  process.exit(values.help ? 0 : 2);
}
const programs = await installPrograms();
process.stdout.write(`${await versionsOf(programs)}\n`);
const report = new Report((text) => void process.stdout.write(text));
const world = await startWorld(programs, report);
try {
  await tryAll(world, positionals.length === 0 ? Object.keys(SCENARIOS) : positionals);
  if (positionals.length === 0) await keepTable(report, values.write);
} finally {
  await world.dispose();
}
process.stdout.write(`${report.rows.length} cases, ${report.failed} failed\n`);
if (report.failed > 0 || report.rows.length === 0) process.exitCode = 1;
