import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CrashLife } from "./crash-life.ts";
import { killWorkers } from "./crash-worker.ts";
import { Chance } from "./seeded-chance.ts";

const USAGE = `Usage: npm run crash -- [--rounds N] [--states N] [--copies FOLDER] [--seconds S] [--seed N]

Kills the registry again and again while clients push, promote, revoke, delete and move tags, and checks after each start that everything
acknowledged is there, that nothing untrusted is served, and that what nobody needs is collected.

  --rounds N    as many rounds as this (default 50); a round ends with a kill, or with a state
  --states N    before each kill, as many states of the registry (default 0): it is stopped at a random moment, and what a kill would have
                left just then is checked over a copy, by a registry that costs no new process
  --copies F    where these copies are made (default: beside the data); in memory, such as in /dev/shm, they cost a disk nothing
  --seconds S   more rounds than that, for as long as this (default 0: no more)
  --seed N      of an earlier run, to begin in the same way
`;

/** Rounds of one data directory; then another one begins with a first start that is killed as well. */
const LIFE = 200;
/** Rounds of a data directory between two reports. */
const REPORT = 10;
/** Kills of one worker alone, beside all others. */
const WORKERS = 6;
/** Registries that are killed at the same time: a start is one process at first, which leaves a core to the other. */
const LANES = ["left", "right"] as const;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "50" },
    states: { type: "string", default: "0" },
    copies: { type: "string", default: tmpdir() },
    seconds: { type: "string", default: "0" },
    seed: { type: "string", default: String(randomInt(2 ** 31)) },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
} else {
  const { rounds, states, copies, seconds, seed } = values;
  await crash({ rounds: Number(rounds), states: Number(states), copies, seconds: Number(seconds), seed: Number(seed) });
}

interface Extent {
  readonly rounds: number;
  readonly states: number;
  readonly copies: string;
  readonly seconds: number;
  readonly seed: number;
}

async function crash({ rounds, states, copies: place, seconds, seed }: Extent): Promise<void> {
  process.stdout.write(`seed ${seed}\n`);
  const began = performance.now();
  const chance = new Chance(seed);
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-crash-"));
  const copies = await mkdtemp(join(place, "ai-model-registry-states-"));
  let next = 0;
  const perKill = states + 1;
  const takeRounds = (): number | undefined =>
    next < rounds || performance.now() - began < seconds * 1000 ? (next += perKill) : undefined;
  const lane = async (name: string, ofLane: Chance): Promise<void> => {
    const tell = (life: CrashLife): unknown => process.stdout.write(`${name}, ${secondsSince(began)} s: ${life.figures()}\n`);
    for (let round = takeRounds(), lives = 1; round !== undefined; lives += 1) {
      const life = new CrashLife(join(folder, `${name}-${lives}`), ofLane.fork(), { states, copies: join(copies, `${name}-${lives}`) });
      await life.begin();
      for (; round !== undefined && life.rounds < LIFE; round = takeRounds()) {
        await life.round();
        if (life.kills % Math.ceil(REPORT / perKill) === 0) tell(life);
      }
      await life.end();
      tell(life);
    }
  };
  try {
    const workers = killWorkers(join(folder, "workers"), chance.fork(), WORKERS);
    await Promise.all([...LANES.map((name) => lane(name, chance.fork())), workers]);
    const { kills, cut, undisturbed } = await workers;
    process.stdout.write(`${kills} workers killed while the others served: ${cut} clients cut, ${undisturbed} noticed nothing\n`);
    process.stdout.write(`${next} rounds in ${secondsSince(began)} s\n`);
  } catch (error) {
    process.stdout.write(`FAILED with seed ${seed}: the data stay in ${folder}, and the copy of a state in ${copies}\n`);
    throw error;
  }
  for (const made of [folder, copies]) await rm(made, { recursive: true, force: true });
}

function secondsSince(began: number): number {
  return Math.round((performance.now() - began) / 1000);
}
