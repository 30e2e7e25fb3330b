import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { leaseOf } from "../../src/limits/classes.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import { lockoutRecord } from "../../src/storage/records.ts";
import { type Program, basicOf, runProgram, urlOf } from "../support/program.ts";

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

let directory: string;
let program: Program | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-limits-"));
});
afterEach(async () => {
  await program?.kill();
  await rm(directory, { recursive: true, force: true });
});

async function start(env: Readonly<Record<string, string>>): Promise<string> {
  program = runProgram({ BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: directory, WORKERS: "2", ...env });
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

/** A process takes up to so many units of a frequent class at a time, of the largest that are set here. */
const LEASED = leaseOf({ perSecond: 1, burst: 100 });

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

  test("for all who use a namespace together, and not for who uses another one", async () => {
    const url = await start({ REGISTRY_LIMIT_MUTATE: "1/40", REGISTRY_LIMIT_UPLOAD_START: "1/40", REGISTRY_LIMIT_NAMESPACE_FACTOR: "2" });
    const operator = await basicOf(directory, "operator");
    const made = async (path: string, body: object): Promise<unknown> => {
      const headers = { ...operator, "content-type": "application/json" };
      const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
      expect(answer.status).toBe(201);
      return answer.json();
    };
    const publishers: Record<string, string>[] = [];
    await made("/v1/namespaces", { name: "team", owner: "publisher" });
    for (const [name, namespace] of [
      ["a", "models"],
      ["b", "models"],
      ["c", "models"],
      ["d", "team"],
    ] as const) {
      const { key } = z.object({ key: z.string() }).parse(await made("/v1/credentials", { name, role: "publisher", namespace }));
      publishers.push({ authorization: `Bearer ${key}` });
    }
    const begun = async (of: number, namespace: string): Promise<{ readonly begun: number; readonly seconds: number }> => {
      const { answers, seconds } = await flood(60, () => ask(`${url}/v2/${namespace}/a/blobs/uploads/`, "POST", publishers[of]));
      expect(countOf(answers, 202) + countOf(answers, 429)).toBe(60);
      return { begun: countOf(answers, 202), seconds };
    };
    const began = performance.now();
    const inModels = [await begun(0, "models"), await begun(1, "models"), await begun(2, "models")];
    const seconds = (performance.now() - began) / 1000;
    const sum = inModels.reduce((all, one) => all + one.begun, 0);
    // Each worker may have units in advance for each of the three that it did not use.
    expect(sum).toBeGreaterThanOrEqual(80 - 3 * 2 * LEASED);
    expect(sum).toBeLessThanOrEqual(80 + 2 * seconds + 1);
    expect((await begun(3, "team")).begun).toBeGreaterThanOrEqual(40 - 2 * LEASED);
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

describe("lockouts hold over all workers", () => {
  const wrong = { authorization: `Basic ${Buffer.from(`publisher:amr_${"x".repeat(36)}`).toString("base64")}` };

  test("and over a restart, for the name and the address that failed; requests without a credential do not count", async () => {
    let url = await start({});
    for (let bare = 0; bare < 30; bare += 1) expect((await ask(`${url}/v2/`, "GET")).status).toBe(401);
    const failures = [];
    for (let tries = 0; tries < 7; tries += 1) failures.push((await ask(`${url}/v2/`, "GET", wrong)).status);
    expect(failures).toEqual([401, 401, 401, 401, 401, 429, 429]);
    const right = await basicOf(directory, "publisher");
    const locked = await ask(`${url}/v2/`, "GET", right);
    expect([locked.status, Number(locked.retryAfter) <= 60]).toEqual([429, true]);
    expect((await ask(`${url}/v2/`, "GET", await basicOf(directory, "runtime"))).status).toBe(200);
    await program?.stop();
    await lockForLonger();
    url = await start({});
    expect((await ask(`${url}/v2/`, "GET", right)).status).toBe(429);
  });
});

/** As long as a machine may take to start the registry again. */
async function lockForLonger(): Promise<void> {
  const metadata = await openLmdb(join(directory, "metadata"));
  for (const { key, value } of await metadata.list(under(keys.lockouts(), 10))) {
    const record = lockoutRecord.parse(value);
    await metadata.commit({
      expect: [],
      put: [{ key, value: { ...record, lockedUntil: record.lastAt + 600_000 } }],
      remove: [],
      audit: [],
    });
  }
  await metadata.close();
}

describe("uploads that arrive", () => {
  test("at all workers together keep an identity from beginning more, for a moment, and end with the worker that has them", async () => {
    const url = await start({ REGISTRY_MAX_UPLOADS_PER_IDENTITY: "2" });
    const headers = await basicOf(directory, "publisher");
    const uploads = `${url}/v2/models/a/blobs/uploads/`;
    const slow = await Promise.all([slowUpload(uploads, headers), slowUpload(uploads, headers)]);
    const refused = await ask(uploads, "POST", headers);
    expect(refused).toEqual({ status: 429, retryAfter: "2" });
    for (const { worker } of program?.log().filter(({ msg }) => msg === "worker serves") ?? []) process.kill(Number(worker), "SIGKILL");
    await program?.logged("worker serves", 4);
    await Promise.all(slow.map(({ cut }) => cut));
    expect((await ask(uploads, "POST", headers)).status).toBe(202);
  });
});

/** Begins an upload whose bytes never come to their end; `cut` resolves when its connection is gone. */
async function slowUpload(uploads: string, headers: Readonly<Record<string, string>>): Promise<{ readonly cut: Promise<void> }> {
  const begun = await fetch(uploads, { method: "POST", headers });
  const location = new URL(begun.headers.get("location") ?? "", uploads);
  const writing = request(location, { method: "PATCH", headers, agent: new Agent({ keepAlive: false }) });
  const cut = new Promise<void>((resolve) => writing.once("close", resolve).once("error", () => undefined));
  writing.write("a".repeat(100_000));
  const bytes = async (): Promise<number> => Number((await fetch(location, { headers })).headers.get("range")?.split("-")[1] ?? 0);
  while ((await bytes()) === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  return { cut };
}

/** A connection from an address of this machine that asks something once; resolves to whether it is answered or closed. */
async function connectFrom(url: string, localAddress: string): Promise<{ readonly isAnswered: boolean; readonly close: () => void }> {
  const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1", localAddress });
  const isAnswered = await new Promise<boolean>((resolve) => {
    socket
      .once("data", () => resolve(true))
      .on("error", () => undefined)
      .once("close", () => resolve(false));
    socket.write("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  });
  return { isAnswered, close: () => socket.destroy() };
}

/** How many of so many connections from an address are answered. */
async function many(url: string, count: number, address: string): Promise<number> {
  const asked = await Promise.all(Array.from({ length: count }, () => connectFrom(url, address)));
  return asked.filter(({ isAnswered }) => isAnswered).length;
}

describe("connections", () => {
  test("of one address are bounded over all workers, to the one, and come back with a worker that ends; others do not notice", async () => {
    const url = await start({ REGISTRY_MAX_CONNECTIONS_PER_ADDRESS: "9" });
    expect(await many(url, 30, "127.0.0.2")).toBe(9);
    expect(await many(url, 5, "127.0.0.3")).toBe(5);
    for (const { worker } of program?.log().filter(({ msg }) => msg === "worker serves") ?? []) process.kill(Number(worker), "SIGKILL");
    await program?.logged("worker serves", 4);
    expect(await many(url, 30, "127.0.0.2")).toBe(9);
  });

  test("of all addresses together are bounded, and one more is closed at once by whichever worker it comes to", async () => {
    const url = await start({ REGISTRY_MAX_CONNECTIONS: "8", REGISTRY_MAX_CONNECTIONS_PER_ADDRESS: "8" });
    expect(await many(url, 20, "127.0.0.2")).toBe(8);
    expect(await many(url, 5, "127.0.0.3")).toBe(0);
  });
});

describe("quotas", () => {
  test("hold to the unit whichever workers a namespace's pushes come to", async () => {
    const url = await start({ REGISTRY_QUOTA_BYTES: "1000" });
    const headers = await basicOf(directory, "publisher");
    const pushed = await Promise.all(
      Array.from({ length: 24 }, async (_, at) => {
        const body = `${at}`.padEnd(100, "x");
        const answer = await fetch(`${url}/v2/models/r${at % 4}/blobs/uploads/?digest=${digestOf(body)}`, {
          method: "POST",
          headers,
          body,
        });
        return answer.status;
      }),
    );
    expect(pushed.toSorted((left, right) => left - right)).toEqual([...Array<number>(10).fill(201), ...Array<number>(14).fill(403)]);
  });
});
