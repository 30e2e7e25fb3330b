import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, type IncomingMessage, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openPipe } from "./support/output-pipe.ts";
import { type Program, basicOf, runInTerminal, runInto, runProgram, urlOf } from "./support/program.ts";
import { underWayIn } from "./support/under-way.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const PATIENT = { timeout: 30_000 };
const LOST = "lines of the log were lost, since nothing took them";

let directory: string;
const programs: Program[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-log-"));
});
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
  await rm(directory, { recursive: true, force: true });
});

async function freePort(): Promise<number> {
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const address = holder.address();
  holder.close();
  await once(holder, "close");
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

/** Settings of a program whose log may tell nobody where it listens. */
async function settings(): Promise<Record<string, string>> {
  return {
    BIND_ADDR: `127.0.0.1:${await freePort()}`,
    REGISTRY_METRICS_ADDR: `127.0.0.1:${await freePort()}`,
    REGISTRY_DIR: join(directory, "data"),
    WORKERS: "1",
  };
}

interface Started {
  readonly program: Program;
  readonly url: string;
  /** How many lines all its processes have lost. */
  readonly lost: () => Promise<number>;
}

/** Starts a program that writes its log to a descriptor, which is closed here; it serves when this returns. */
async function startInto(output: number): Promise<Started> {
  const env = await settings();
  const program = runInto(output, env);
  programs.push(program);
  closeSync(output);
  const url = `http://${env["BIND_ADDR"]}`;
  await serves(url);
  return { program, url, lost: () => lostLines(`http://${env["REGISTRY_METRICS_ADDR"]}/metrics`) };
}

async function serves(url: string): Promise<void> {
  const answers = (): Promise<boolean> =>
    fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  await vi.waitUntil(answers, PATIENT);
}

async function lostLines(metrics: string): Promise<number> {
  const line = /^registry_log_lines_lost_total (\d+)$/m.exec(await (await fetch(metrics)).text());
  return Number(line?.[1]);
}

async function stateOf(url: string, agent: Agent): Promise<number | undefined> {
  const [answer] = (await once(request(url, { agent }).end(), "response")) as [IncomingMessage];
  await text(answer);
  return answer.statusCode;
}

/** The states of the answers to many requests, each of which logs a line. */
async function askOften(url: string, count: number): Promise<ReadonlySet<number | undefined>> {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const states = new Set<number | undefined>();
  const asked = Array.from({ length: count }, async () => {
    states.add(await stateOf(`${url}/livez`, agent));
  });
  await Promise.all(asked);
  agent.destroy();
  return states;
}

describe("a registry serves, counts the lines that it loses, and ends in order", () => {
  test("when its log is a full disk", async () => {
    const { program, url, lost } = await startInto(openSync("/dev/full", "w"));
    expect(await askOften(url, 100)).toEqual(new Set([200]));
    expect(await lost()).toBeGreaterThan(100);
    expect(await program.stop()).toBe(0);
  });

  test("when its log is a pipe that nobody has any more", async () => {
    const pipe = openPipe(directory);
    const { program, url, lost } = await startInto(pipe.forProgram);
    pipe.close();
    expect(await askOften(url, 100)).toEqual(new Set([200]));
    expect(await lost()).toBeGreaterThan(90);
    expect(await program.stop()).toBe(0);
  });

  test("when nobody reads its log, be it a pipe", async () => {
    const pipe = openPipe(directory);
    const { program, url } = await startInto(pipe.forProgram);
    expect(await askOften(url, 1000)).toEqual(new Set([200]));
    expect(await program.stop()).toBe(0);
    pipe.close();
  });

  test("when nobody reads its log, be it a socket", async () => {
    const program = runProgram(await settings());
    programs.push(program);
    const url = await urlOf(program);
    program.process.stdout?.pause();
    expect(await askOften(url, 2000)).toEqual(new Set([200]));
    program.process.kill("SIGTERM");
    expect((await once(program.process, "exit"))[0]).toBe(0);
    program.process.stdout?.resume();
  });
});

test("who reads a log again is told how many lines were lost, and every other line is whole", async () => {
  const pipe = openPipe(directory);
  const { program, url, lost } = await startInto(pipe.forProgram);
  await askOften(url, 8000);
  expect(await lost()).toBeGreaterThan(0);
  let log = "";
  const told = (): Record<string, unknown>[] =>
    log
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const missed = (): number =>
    told()
      .filter(({ msg }) => msg === LOST)
      .reduce((sum, { lines }) => sum + Number(lines), 0);
  await vi.waitUntil(() => {
    for (let more = pipe.read(); more !== ""; more = pipe.read()) log += more;
    return told().filter(({ msg }) => msg === "answered").length + missed() >= 8000;
  }, PATIENT);
  expect(missed()).toBe(await lost());
  expect(await program.stop()).toBe(0);
  pipe.close();
});

describe.skipIf(!existsSync("/usr/bin/script"))("when its terminal closes", () => {
  test("a registry that is told so ends in order: what is under way is answered", async () => {
    const env = await settings();
    const program = runInTerminal(env, 'exec "$0" "$@" 2> /dev/null');
    programs.push(program);
    const url = await urlOf(program);
    const { pid } = await program.logged("listening");
    const headers = await basicOf(join(directory, "data"), "publisher");
    const begun = await fetch(`${url}/v2/models/a/blobs/uploads/`, { method: "POST", headers });
    const location = new URL(begun.headers.get("location") ?? "", url);
    const upload = request(location, { method: "PATCH", headers: { ...headers, "content-length": "10" }, agent: new Agent() });
    upload.write("01234");
    await vi.waitUntil(async () => (await underWayIn(join(directory, "data"))).length > 0, PATIENT);
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    expect(await stateOf(`${url}/readyz`, kept)).toBe(200);
    program.process.kill("SIGKILL");
    // The shell tells of it, too.
    process.kill(Number(pid), "SIGHUP");
    await vi.waitUntil(async () => (await stateOf(`${url}/readyz`, kept)) === 503, PATIENT);
    upload.end("56789");
    const [answer] = (await once(upload, "response")) as [IncomingMessage];
    await text(answer);
    expect(answer.statusCode).toBe(202);
    await vi.waitUntil(() => hasEnded(Number(pid)), PATIENT);
  });

  test("a registry that is not told so goes on, and ends with its code", async () => {
    const env = await settings();
    const program = runInTerminal(
      { ...env, CODE: join(directory, "code") },
      `trap "" HUP; "$0" "$@" 2> /dev/null; echo $? > "$CODE.new"; mv "$CODE.new" "$CODE"`,
    );
    programs.push(program);
    const url = await urlOf(program);
    const { pid } = await program.logged("listening");
    program.process.kill("SIGKILL");
    await program.ended;
    expect(await askOften(url, 100)).toEqual(new Set([200]));
    expect(await lostLines(`http://${env["REGISTRY_METRICS_ADDR"]}/metrics`)).toBeGreaterThan(90);
    process.kill(Number(pid), "SIGTERM");
    await vi.waitUntil(() => existsSync(join(directory, "code")), PATIENT);
    expect(readFileSync(join(directory, "code"), "utf8")).toBe("0\n");
  });
});

test.skipIf(!existsSync("/usr/bin/script"))(
  "what a terminal that is gone has left is ended with its program when a test fails",
  async () => {
    const program = runInTerminal(await settings(), 'trap "" HUP; "$0" "$@" 2> /dev/null; :');
    programs.push(program);
    const { pid } = await program.logged("listening");
    const { worker } = await program.logged("worker serves");
    program.process.kill("SIGKILL");
    await program.kill();
    expect([pid, worker].map((each) => hasEnded(Number(each)))).toEqual([true, true]);
  },
);

test("a registry without a terminal goes on when it is told that one closed, as nohup asks for", async () => {
  const program = runProgram({ ...(await settings()), WORKERS: "2" });
  programs.push(program);
  const url = await urlOf(program);
  const workers = program.log().filter(({ msg }) => msg === "worker serves");
  for (const { worker } of workers) process.kill(Number(worker), "SIGHUP");
  program.process.kill("SIGHUP");
  expect(await askOften(url, 100)).toEqual(new Set([200]));
  expect(await program.stop()).toBe(0);
  expect(program.log().filter(({ msg }) => msg === "worker ended; another one is started")).toEqual([]);
});

/** Is it over, whether or not somebody has taken notice (proc_pid_stat(5))? */
function hasEnded(pid: number): boolean {
  const path = `/proc/${pid}/stat`;
  return !existsSync(path) || /\) Z /.test(readFileSync(path, "utf8"));
}
