import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { z } from "zod";
import { createdCredentialView } from "../src/api/credentials.ts";
import { DEFAULT_BOUNDS } from "../src/limits/keeper.ts";
import { digestOf } from "../src/oci/digest.ts";
import { ATTACKED } from "./load-attackers.ts";
import { measureBesideJobs } from "./load-jobs.ts";
import { type RunningRegistry, createNamespace, startRegistry } from "./registry-process.ts";

/**
 * Measures what the registry makes of clients that misbehave: thousands of idle connections, more of one address than it may have, headers and bodies that drip, bodies far too
 * large. Fails when anybody else's median wait is more than twice what it is without them, or when they are not refused as they should be.
 */
const { values } = parseArgs({
  options: {
    idle: { type: "string", default: "5000" },
    slow: { type: "string", default: "200" },
    seconds: { type: "string", default: "20" },
    short: { type: "boolean", default: false },
    part: { type: "string", default: "clients" },
    rounds: { type: "string", default: "5" },
    rate: { type: "string", default: "200" },
    size: { type: "string", default: "2000000000" },
    "push-rate": { type: "string", default: "125000000" },
    blobs: { type: "string", default: "2000" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
const USAGE = `Usage: npm run load -- [--short] [--idle N] [--slow N] [--seconds N]

  --idle N     idle connections, of several addresses (5000)
  --slow N     requests whose headers drip, and as many whose bodies do (200)
  --seconds N  how long others are measured beside them (20; with --short 8)

       npm run load -- --part jobs [--rounds N] [--seconds N] [--rate N] [--size BYTES] [--push-rate BYTES] [--blobs N] [--json FILE]

measures small pulls alone and beside a check of all blobs, a large push, the same push to a process that forgets it, and a collection of garbage, by turns:
  --rounds N    how often (5)
  --rate N      pulls a second (200)
  --size BYTES  of the large blob (2000000000)
  --push-rate BYTES  that are pushed a second, from a process of the lowest priority; 0: as many as can be (125000000: a gigabit)
  --blobs N     small blobs that are kept, and that are collected each round (2000)
  --json FILE   where the figures go besides
`;

const fates = z.record(z.string(), z.number());
const begunSchema = z.object({ said: z.literal("begun"), idle: z.number() });
const endedSchema = z.object({
  said: z.literal("ended"),
  idle: fates,
  greedy: fates,
  headers: fates,
  bodies: fates,
  huge: z.record(z.string(), fates),
});
type Ended = z.infer<typeof endedSchema>;

/** So that what is too slow is over before the measurement is, and a second round may leave as many uploads open as the first. */
const SETTINGS = { REGISTRY_HEADERS_TIMEOUT: "4s", REGISTRY_UPLOAD_WINDOW: "4s", REGISTRY_QUOTA_UPLOADS: "0" };
const MOST = 2;
/** Connections that one address may have, and how many more it wants. */
const { perAddress: PER_ADDRESS } = DEFAULT_BOUNDS.connections;
const TOO_MANY = 500;
/** One measurement can be spoilt by whatever else the machine does; the least of so many counts. */
const ROUNDS = 3;
const BLOB = Buffer.alloc(100_000, "b");

/** What others do, and how long each took, in milliseconds. */
type Waits = Readonly<Record<string, readonly number[]>>;

class Others {
  readonly #registry: RunningRegistry;
  readonly #authorization: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #pushes = 0;

  constructor(registry: RunningRegistry, authorization: string) {
    this.#registry = registry;
    this.#authorization = authorization;
  }

  async push(bytes: Uint8Array): Promise<void> {
    await this.#ask("POST", `/v2/models/others/blobs/uploads/?digest=${digestOf(bytes)}`, 201, bytes);
  }

  /** Reads and writes for so long; how long each of them took. */
  async measure(milliseconds: number): Promise<Waits> {
    const waits: Record<string, number[]> = { "pull of 100 kB": [], "HEAD of a blob": [], "list of tags": [], "push of 10 kB": [] };
    const timed = async (name: string, act: () => Promise<void>): Promise<void> => {
      const began = performance.now();
      await act();
      waits[name]?.push(performance.now() - began);
    };
    const blob = `/v2/models/others/blobs/${digestOf(BLOB)}`;
    const end = performance.now() + milliseconds;
    while (performance.now() < end) {
      await timed("pull of 100 kB", () => this.#ask("GET", blob, 200));
      await timed("HEAD of a blob", () => this.#ask("HEAD", blob, 200));
      await timed("list of tags", () => this.#ask("GET", "/v2/models/others/tags/list", 200));
      const fresh = Buffer.alloc(10_000, `${(this.#pushes += 1)} `);
      await timed("push of 10 kB", () => this.push(fresh));
    }
    return waits;
  }

  async #ask(method: string, path: string, status: number, body?: Uint8Array): Promise<void> {
    const headers = { authorization: this.#authorization, ...(body !== undefined && { "content-length": String(body.length) }) };
    const asking = request(`${this.#registry.url}${path}`, { method, headers, agent: this.#agent });
    const answered = new Promise<number>((resolve, reject) => {
      asking.once("error", reject).once("response", (answer) => answer.resume().once("end", () => resolve(answer.statusCode ?? 0)));
    });
    asking.end(body);
    const found = await answered;
    if (found !== status) throw new Error(`${method} ${path} was answered ${found} instead of ${status}`);
  }
}

interface Round {
  readonly alone: Waits;
  readonly beside: Waits;
  readonly idle: number;
  readonly ended: Ended;
}

/** Authorization headers of those who misbehave: of a publisher to a namespace of its own, and of an operator. */
interface Callers {
  readonly authorization: string;
  readonly operator: string;
}

/** What one identity, namespace or address may take of the registry is not to be taken from the others. */
async function attackersOf(registry: RunningRegistry): Promise<Callers> {
  await createNamespace(registry, ATTACKED);
  const operator = `Bearer ${await registry.key("operator")}`;
  const answer = await fetch(`${registry.url}/v1/credentials`, {
    method: "POST",
    headers: { authorization: operator, "content-type": "application/json" },
    body: JSON.stringify({ name: "attacker", role: "publisher", namespace: ATTACKED }),
  });
  if (answer.status !== 201) throw new Error(`a key was refused: ${answer.status} ${await answer.text()}`);
  return { authorization: `Bearer ${createdCredentialView.parse(await answer.json()).key}`, operator };
}

/** Measures without those who misbehave, with them, and without them again. */
async function measureRound(registry: RunningRegistry, others: Others, who: Callers): Promise<Round> {
  const milliseconds = (values.short ? 8 : Number(values.seconds)) * 1000;
  const before = await others.measure(milliseconds / 2);
  const counts = { idle: Number(values.idle), greedy: PER_ADDRESS + TOO_MANY, slow: Number(values.slow) };
  const target = { port: Number(new URL(registry.url).port), ...who, ...counts };
  const attack = fork(fileURLToPath(new URL("load-attack.ts", import.meta.url)), [JSON.stringify(target)]);
  const exited = once(attack, "exit");
  const said = (): Promise<unknown> => Promise.race([new Promise((resolve) => void attack.once("message", resolve)), exited]);
  const { idle } = begunSchema.parse(await said());
  const beside = await others.measure(milliseconds);
  attack.send("end");
  const ended = endedSchema.parse(await said());
  await exited;
  const after = await others.measure(milliseconds / 2);
  const alone = Object.fromEntries(Object.entries(before).map(([name, waits]) => [name, [...waits, ...(after[name] ?? [])]]));
  return { alone, beside, idle, ended };
}

function median(waits: readonly number[]): number {
  return waits.toSorted((left, right) => left - right)[Math.floor(waits.length / 2)] ?? 0;
}

function ratiosOf({
  alone,
  beside,
}: Round): readonly { readonly name: string; readonly alone: number; readonly beside: number; readonly ratio: number }[] {
  return Object.keys(alone).map((name) => {
    const [without, along] = [median(alone[name] ?? []), median(beside[name] ?? [])];
    return { name, alone: without, beside: along, ratio: along / without };
  });
}

function worstOf(round: Round): number {
  return Math.max(...ratiosOf(round).map(({ ratio }) => ratio));
}

function only(what: string, found: Readonly<Record<string, number>>, allowed: readonly string[]): readonly string[] {
  if (Object.keys(found).every((fate) => allowed.includes(fate))) return [];
  return [`${what}: ${JSON.stringify(found)}, and not only ${allowed.join(", ")}`];
}

/** Where the first process was too slow to answer, a worker goes on with its own share beside what others were given before. */
function greedyFaults({ open = 0, ...others }: Readonly<Record<string, number>>, isSilent: boolean): readonly string[] {
  const [least, most] = isSilent ? [(PER_ADDRESS * 3) / 4, (PER_ADDRESS * 5) / 4] : [PER_ADDRESS, PER_ADDRESS];
  if (open >= least && open <= most) return only("of one address beyond its bound", others, ["cut"]);
  return [`of one address ${open} connections stayed open, and not ${PER_ADDRESS}`];
}

/** How those who misbehave should have fared and did not. */
function faultsOf({ idle, ended }: Round, isSilent: boolean): readonly string[] {
  return [
    ...(idle === Number(values.idle) ? [] : [`only ${idle} idle connections were let in`]),
    // One that never asked anything is taken for one whose headers are slow.
    ...only("idle connections", ended.idle, ["open", "408"]),
    ...greedyFaults(ended.greedy, isSilent),
    ...only("slow headers", ended.headers, ["408"]),
    ...only("slow bodies", ended.bodies, ["408"]),
    // The registry answers, reads on for half a second, and closes: a client that has not looked by then sees that it was cut.
    ...Object.entries(ended.huge).flatMap(([place, found]) => [
      ...only(`huge bodies of a ${place}`, found, ["413", "cut"]),
      ...(found["413"] === undefined ? [`no huge body of a ${place} was answered`] : []),
    ]),
  ];
}

/** Resident memory of the server's processes in bytes, the largest first. */
function residentOf(registry: RunningRegistry): readonly number[] {
  const workers = registry.output().matchAll(/"worker":(\d+)[^\n]*"worker serves"/g);
  return [...workers].map(([, pid]) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024);
}

async function main(): Promise<number> {
  const registry = await startRegistry(SETTINGS);
  try {
    const who = await attackersOf(registry);
    const others = new Others(registry, `Bearer ${await registry.key("publisher")}`);
    await others.push(BLOB);
    await others.measure(2000);
    const rounds: Round[] = [];
    do {
      rounds.push(await measureRound(registry, others, who));
    } while (rounds.length < ROUNDS && rounds.every((round) => worstOf(round) > MOST));
    const best = rounds.toSorted((left, right) => worstOf(left) - worstOf(right))[0];
    if (best === undefined) return 1;
    for (const { name, alone, beside, ratio } of ratiosOf(best)) {
      process.stdout.write(`${name}: ${alone.toFixed(1)} ms, beside them ${beside.toFixed(1)} ms, ${ratio.toFixed(2)} times\n`);
    }
    process.stdout.write(
      `idle connections: ${JSON.stringify(best.ended.idle)}; of one address: ${JSON.stringify(best.ended.greedy)}; slow headers: ${JSON.stringify(best.ended.headers)}; `,
    );
    process.stdout.write(`slow bodies: ${JSON.stringify(best.ended.bodies)}; huge bodies: ${JSON.stringify(best.ended.huge)}\n`);
    process.stdout.write(
      `resident memory of the workers: ${residentOf(registry)
        .map((bytes) => `${Math.round(bytes / 1e6)} MB`)
        .join(", ")}\n`,
    );
    const faults = [
      ...faultsOf(best, registry.output().includes("the primary does not answer")),
      ...(worstOf(best) > MOST ? [`others waited more than ${MOST} times as long in each of ${ROUNDS} rounds`] : []),
    ];
    for (const fault of faults) process.stdout.write(`FAILED: ${fault}\n`);
    return faults.length === 0 ? 0 : 1;
  } finally {
    await registry.dispose();
  }
}

async function run(): Promise<number> {
  if (values.help) return (process.stdout.write(USAGE), 0);
  if (values.part === "clients") return main();
  return measureBesideJobs({
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    rate: Number(values.rate),
    size: Number(values.size),
    pushRate: Number(values["push-rate"]),
    blobs: Number(values.blobs),
    json: values.json,
  });
}

process.exitCode = await run();
