import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { digestOf } from "../src/oci/digest.ts";
import { type Program, basicOf, runProgram, urlOf } from "./support/program.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const MESSAGE = "the metadata store is broken for this process until it is opened anew: ending at once";

let directory: string;
const programs: Program[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-worker-"));
});
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
  await rm(directory, { recursive: true, force: true });
});

function start(preload?: string): Program {
  const options = preload === undefined ? {} : { NODE_OPTIONS: `--import=${new URL(preload, import.meta.url).href}` };
  const program = runProgram({ BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: join(directory, "data"), WORKERS: "1", ...options });
  programs.push(program);
  return program;
}

/** Pushes a blob; the status, or undefined when there is no answer. */
async function push(url: string, content: string): Promise<number | undefined> {
  const headers = await basicOf(join(directory, "data"), "publisher");
  const upload = `${url}/v2/models/a/blobs/uploads/?digest=${digestOf(content)}`;
  return fetch(upload, { method: "POST", headers, body: content }).then(
    ({ status }) => status,
    () => undefined,
  );
}

async function stat(url: string, content: string): Promise<number> {
  const headers = await basicOf(join(directory, "data"), "publisher");
  return (await fetch(`${url}/v2/models/a/blobs/${digestOf(content)}`, { method: "HEAD", headers })).status;
}

// No transaction of a process begins any more after LMDB could not show a commit: its requests would fail, or wait, for ever.
describe.runIf(existsSync("/proc/self/fdinfo"))("a process whose metadata store breaks", () => {
  test("ends at once and loudly when it is a worker, and another one goes on with all that was acknowledged", async () => {
    const program = start("support/break-lmdb-on-signal.ts");
    const url = await urlOf(program);
    const { worker } = await program.logged("worker serves");
    const acknowledged = ["before"];
    expect(await push(url, "before")).toBe(201);
    process.kill(Number(worker), "SIGUSR2");
    for (let n = 0; !program.log().some(({ msg }) => msg === MESSAGE); n += 1) {
      if ((await push(url, `push ${n}`)) === 201) acknowledged.push(`push ${n}`);
    }
    expect(await program.logged(MESSAGE)).toMatchObject({ level: 60, pid: worker });
    expect(await program.logged("worker ended; another one is started")).toMatchObject({ worker, signal: "SIGKILL" });
    await program.logged("worker serves", 2);
    for (const content of acknowledged) expect(await stat(url, content)).toBe(200);
    expect(await push(url, "afterwards")).toBe(201);
    expect(await program.stop()).toBe(0);
  });

  test("ends at once and loudly when it is the primary, and the next start goes on", async () => {
    const program = start("support/break-lmdb-at-once.ts");
    expect(await program.ended).toBe("SIGKILL");
    expect(await program.logged(MESSAGE)).toMatchObject({ level: 60, pid: program.process.pid });
    const url = await urlOf(start());
    expect(await push(url, "afterwards")).toBe(201);
  });
});
