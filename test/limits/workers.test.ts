import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Program, basicOf, runProgram, urlOf } from "../support/program.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let directory: string;
let program: Program | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-limits-"));
});
afterEach(async () => {
  program?.process.kill("SIGKILL");
  await program?.ended;
  await rm(directory, { recursive: true, force: true });
});

async function start(env: Readonly<Record<string, string>>): Promise<string> {
  program = runProgram({ BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: directory, WORKERS: "3", ...env });
  return urlOf(program);
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
}

/** Asks by a connection of its own, which any of the workers may get. */
async function ask(url: string, method: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { method, headers, agent: new Agent({ keepAlive: false }) }, (answer) => {
      answer.resume().once("end", () => resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers["retry-after"] }));
    });
    asking.once("error", reject).end();
  });
}

/** Asks so often, some at a time; what was answered, and how many seconds that took. */
async function flood(count: number, one: () => Promise<Answer>): Promise<{ readonly answers: Answer[]; readonly seconds: number }> {
  const began = performance.now();
  const answers: Answer[] = [];
  while (answers.length < count) answers.push(...(await Promise.all(Array.from({ length: 10 }, one))));
  return { answers, seconds: (performance.now() - began) / 1000 };
}

function countOf(answers: readonly Answer[], status: number): number {
  return answers.filter((answer) => answer.status === status).length;
}

/** A process takes so many units of a frequent class in advance. */
const LEASED = 16;

describe("limits hold over all workers together", () => {
  test("for uploads that are begun, to the unit, with a wait of whole seconds that is short", async () => {
    const url = await start({ REGISTRY_LIMIT_UPLOAD_START: "1/30" });
    const headers = await basicOf(directory, "publisher");
    const { answers, seconds } = await flood(200, () => ask(`${url}/v2/models/a/blobs/uploads/`, "POST", headers));
    const begun = countOf(answers, 202);
    expect(begun + countOf(answers, 429)).toBe(200);
    expect(begun).toBeGreaterThanOrEqual(30);
    expect(begun).toBeLessThanOrEqual(30 + seconds + 1);
    expect(new Set(answers.filter(({ status }) => status === 429).map(({ retryAfter }) => retryAfter))).toEqual(new Set(["1"]));
  });

  test("for reads, of which each worker has taken a few in advance at most", async () => {
    const url = await start({ REGISTRY_LIMIT_READ_META: "1/100" });
    const headers = await basicOf(directory, "publisher");
    const { answers, seconds } = await flood(400, () => ask(`${url}/v2/`, "GET", headers));
    const read = countOf(answers, 200);
    expect(read).toBeGreaterThanOrEqual(100 - 2 * LEASED);
    expect(read).toBeLessThanOrEqual(100 + seconds + 1);
  });

  test("for strangers, whose requests cost nothing that a caller with a credential has", async () => {
    const url = await start({ REGISTRY_LIMIT_UNAUTHENTICATED: "1/40" });
    const { answers, seconds } = await flood(200, () => ask(`${url}/v2/`, "GET"));
    const challenged = countOf(answers, 401);
    expect(challenged).toBeGreaterThanOrEqual(40 - 2 * LEASED);
    expect(challenged).toBeLessThanOrEqual(40 + seconds + 1);
    const headers = await basicOf(directory, "publisher");
    expect((await ask(`${url}/v2/`, "GET", headers)).status).toBe(200);
  });
});
