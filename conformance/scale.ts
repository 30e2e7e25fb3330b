import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { processorTime } from "./processor-time.ts";
import { CHECKOUT, type RunningRegistry, startRegistry } from "./registry-process.ts";
import { ACTS, type Act, Acts, REPOSITORY } from "./scale-acts.ts";
import { type Subject, fillStore } from "./scale-content.ts";

const USAGE = `Usage: npm run scale -- [--manifests N] [--referrers N] [--blobs N] [--operations N] [--rounds N]

Fills one of two registries and does the same with both by turns: pushes, pulls, one page of tags, of referrers and of the catalog,
promotions and starts. Writes a table and JSON to bench-results/. Fails when something costs the full one more than one and a half times
as much processor time as the one that holds a page of everything.

  --manifests   manifests and tags of one repository (100000)
  --referrers   referrers of one subject there (10000)
  --blobs       blobs, by their rows (1000000)
  --operations  operations of one kind in a round (100)
  --rounds      rounds, of which the median counts (5)
`;

/** What may not be exceeded by the full registry, as a ratio. */
const MOST = 1.5;
/** Jobs of an hour would begin in the midst of it. */
const ENVIRONMENT = { REGISTRY_GC_INTERVAL: "24h", REGISTRY_VERIFY_INTERVAL: "0" };

/** Milliseconds an operation. */
interface Cost {
  readonly processor: number;
  readonly time: number;
}

interface Row {
  readonly what: string;
  readonly empty: Cost;
  readonly full: Cost;
}

async function cost(registry: RunningRegistry, acts: readonly (() => Promise<unknown>)[]): Promise<Cost> {
  const [before, began] = [processorTime(registry.pid) ?? NaN, performance.now()];
  for (const act of acts) await act();
  const [after, ended] = [processorTime(registry.pid) ?? NaN, performance.now()];
  return { processor: (after - before) / acts.length, time: (ended - began) / acts.length };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

function middle(costs: readonly Cost[]): Cost {
  return { processor: median(costs.map(({ processor }) => processor)), time: median(costs.map(({ time }) => time)) };
}

/** By turns, so that both have the same hours, good and bad. */
async function compare(act: Act, sides: readonly [Acts, Acts], { subject, operations, rounds }: Trial): Promise<Row> {
  const costs: readonly [Cost[], Cost[]] = [[], []];
  for (let round = 0; round <= rounds; round += 1) {
    for (const [at, side] of sides.entries()) {
      const acts: (() => Promise<unknown>)[] = [];
      for (let number = 0; number < operations; number += 1) acts.push(await side.prepared(act, subject));
      const found = await cost(side.registry, acts);
      // The first round has the code compiled.
      if (round > 0) costs[at]?.push(found);
    }
  }
  return { what: act, empty: middle(costs[0]), full: middle(costs[1]) };
}

/** A start is over when the registry answers that it is ready. */
async function compareStarts(directories: readonly [string, string], rounds: number): Promise<Row> {
  const costs: readonly [Cost[], Cost[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    for (const [at, directory] of directories.entries()) {
      const began = performance.now();
      const registry = await startRegistry(ENVIRONMENT, directory);
      costs[at]?.push({ processor: processorTime(registry.pid) ?? NaN, time: performance.now() - began });
      await registry.stop();
    }
  }
  return { what: "start", empty: middle(costs[0]), full: middle(costs[1]) };
}

interface Trial {
  readonly subject: Subject;
  readonly operations: number;
  readonly rounds: number;
}

function show(value: number): string {
  return value.toFixed(2).padStart(12);
}

function tableOf(rows: readonly Row[]): string {
  const line = ({ what, empty, full }: Row): string =>
    `${what.padEnd(22)}${show(empty.processor)}${show(full.processor)}${show(full.processor / empty.processor)}${show(empty.time)}${show(full.time)}${show(full.time / empty.time)}`;
  const head = ["cpu ms empty", "cpu ms full", "ratio", "ms empty", "ms full", "ratio"].map((name) => name.padStart(12)).join("");
  return [`${"".padEnd(22)}${head}`, ...rows.map(line), ""].join("\n");
}

const number = { type: "string" } as const;
const { values } = parseArgs({
  options: { manifests: number, referrers: number, blobs: number, operations: number, rounds: number, help: { type: "boolean" } },
});
if (values.help === true) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const amounts = {
  manifests: Number(values.manifests ?? 100_000),
  referrers: Number(values.referrers ?? 10_000),
  blobs: Number(values.blobs ?? 1_000_000),
};
const [operations, rounds] = [Number(values.operations ?? 100), Number(values.rounds ?? 5)];
if (![...Object.values(amounts), operations, rounds].every((value) => Number.isInteger(value) && value > 0)) {
  process.stderr.write(USAGE);
  process.exit(2);
}

const begun = [await startRegistry(ENVIRONMENT), await startRegistry(ENVIRONMENT)] as const;
const directories = [begun[0].dataDirectory, begun[1].dataDirectory] as const;
try {
  const subject = await (await Acts.of(begun[0])).begin();
  await (await Acts.of(begun[1])).begin();
  for (const registry of begun) await registry.stop();
  const filling = performance.now();
  await fillStore(directories[1], { repository: REPOSITORY, subject }, amounts);
  process.stdout.write(`filled in ${Math.round((performance.now() - filling) / 1000)} s: ${JSON.stringify(amounts)}\n`);
  const rows = [await compareStarts(directories, rounds)];
  const running = [await startRegistry(ENVIRONMENT, directories[0]), await startRegistry(ENVIRONMENT, directories[1])] as const;
  try {
    const sides = [await Acts.of(running[0]), await Acts.of(running[1])] as const;
    for (const act of ACTS) {
      const row = await compare(act, sides, { subject, operations, rounds });
      process.stdout.write(tableOf([row]));
      rows.push(row);
    }
  } finally {
    for (const registry of running) await registry.stop();
  }
  const folder = join(CHECKOUT, "bench-results", new Date().toISOString().replaceAll(/[:.]/g, "-"));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "scale.json"), `${JSON.stringify({ amounts, operations, rounds, rows }, undefined, 2)}\n`);
  await writeFile(join(folder, "scale.txt"), tableOf(rows));
  process.stdout.write(`${tableOf(rows)}results: ${folder}\n`);
  const exceeding = rows.filter(({ empty, full }) => full.processor > MOST * empty.processor);
  if (exceeding.length > 0) {
    process.stdout.write(`more than ${MOST} times as much: ${exceeding.map(({ what }) => what).join(", ")}\n`);
    process.exitCode = 1;
  }
} finally {
  for (const directory of directories) {
    await rm(directory, { recursive: true, force: true });
    await rm(`${directory}.log`, { force: true });
  }
}
