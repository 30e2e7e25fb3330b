import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CrashLife } from "./crash-life.ts";
import { killWorkers } from "./crash-worker.ts";
import { Chance } from "./seeded-chance.ts";

const USAGE = `Usage: npm run crash -- [--rounds N] [--seconds S] [--seed N]

Kills the registry again and again while clients push, promote, revoke, delete and move tags, and checks after each start that everything
acknowledged is there, that nothing untrusted is served, and that what nobody needs is collected.

  --rounds N    as many kills as this (default 50)
  --seconds S   more kills than that, for as long as this (default 0: no more)
  --seed N      of an earlier run, to begin in the same way
`;

/** Kills of one data directory; then another one begins with a first start that is killed as well. */
const LIFE = 200;
/** Rounds between two reports. */
const REPORT = 10;
/** Kills of one worker alone, after all others. */
const WORKERS = 6;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "50" },
    seconds: { type: "string", default: "0" },
    seed: { type: "string", default: String(randomInt(2 ** 31)) },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
} else {
  await crash(Number(values.rounds), Number(values.seconds), Number(values.seed));
}

async function crash(rounds: number, seconds: number, seed: number): Promise<void> {
  process.stdout.write(`seed ${seed}\n`);
  const began = performance.now();
  const chance = new Chance(seed);
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-crash-"));
  const isMore = (round: number): boolean => round < rounds || performance.now() - began < seconds * 1000;
  let round = 0;
  try {
    while (isMore(round)) {
      const life = new CrashLife(join(folder, `life-${round}`), join(folder, "code"), chance.fork());
      await life.begin();
      const report = (done: number): unknown => done % REPORT === 0 && tell(`${done} rounds, ${secondsSince(began)} s: ${life.figures()}`);
      for (const end = round + LIFE; round < end && isMore(round); round += 1) {
        await life.round(round);
        report(round + 1);
      }
      await life.end();
      tell(`${round} rounds, ${secondsSince(began)} s: ${life.figures()}`);
    }
    const { kills, cut, undisturbed } = await killWorkers(join(folder, "workers"), join(folder, "code"), chance.fork(), WORKERS);
    process.stdout.write(`${kills} workers killed while the others served: ${cut} clients cut, ${undisturbed} noticed nothing\n`);
  } catch (error) {
    process.stdout.write(`FAILED in round ${round} of seed ${seed}: the data stay in ${folder}\n`);
    throw error;
  }
  await rm(folder, { recursive: true, force: true });
}

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

function secondsSince(began: number): number {
  return Math.round((performance.now() - began) / 1000);
}
