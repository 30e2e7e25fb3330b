import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ModelEvent } from "../../src/audit/model-event.ts";
import { chainOf, manifestText, promoted, recordOf } from "../support/model-chains.ts";
import { type Model, sha256Of } from "../support/models.ts";
import { type Program, basicOf, runProgram, urlOf } from "../support/program.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let folder: string;
let data: string;
let lockPath: string;
const programs: Program[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-first-"));
  data = join(folder, "data");
  lockPath = join(folder, "etc", "models.lock.yaml");
  await mkdir(join(folder, "etc"), { mode: 0o755 });
  await mkdir(data, { mode: 0o750 });
});
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
  await rm(folder, { recursive: true, force: true });
});

function start(env: Readonly<Record<string, string>> = {}): Program {
  const program = runProgram({ BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: data, REGISTRY_LOCK_PATH: lockPath, WORKERS: "1", ...env });
  programs.push(program);
  return program;
}

async function put(...names: readonly string[]): Promise<void> {
  for (const name of names) await writeFile(join(data, `${name}.gguf`), name);
}

async function lock(...names: readonly string[]): Promise<void> {
  const entries = names.map((name) => `  - name: ${name}\n    filename: ${name}.gguf\n    sha256: ${sha256Of(name)}\n`);
  await writeFile(lockPath, `version: 1\nmodels:\n${entries.join("")}`, { mode: 0o644 });
}

async function states(url: string): Promise<Record<string, string>> {
  const models = (await (await fetch(`${url}/v1/models`)).json()) as readonly Model[];
  return Object.fromEntries(models.map(({ name, state }) => [name, state]));
}

const NAMES = ["a", "b", "c", "d"] as const;
const TRUSTED = { a: "trusted", b: "trusted", c: "trusted", d: "trusted" };

test("a start over a lock file serves what it names, and a later one with another file nothing more", async () => {
  await put("a", "b");
  await lock("a");
  const first = start({ LOG_LEVEL: "info" });
  const url = await urlOf(first);
  expect(await states(url)).toEqual({ a: "trusted" });
  const located = (await (await fetch(`${url}/v1/model/path?name=a`)).json()) as { path: string };
  expect(await readFile(located.path, "utf8")).toBe("a");
  const manifest = await fetch(`${url}/v2/models/a/manifests/latest`, { headers: await basicOf(data, "runtime") });
  expect(manifest.status).toBe(200);
  // All of it before anybody is answered, with lines that say so.
  expect(first.log().map(({ msg }) => msg)).toEqual([
    "models are registered from the lock file",
    "registering a model",
    "a model is registered",
    "the lock file is done",
    "worker serves",
    "listening",
  ]);
  expect(await first.stop()).toBe(0);
  await lock("a", "b");
  const second = start();
  expect(await states(await urlOf(second))).toEqual({ a: "trusted" });
  expect(await second.stop()).toBe(0);
});

test("a lock file that others can write is refused in the log, and the registry starts without it", async () => {
  await put("a");
  await lock("a");
  await chmod(lockPath, 0o666);
  const program = start();
  expect(await states(await urlOf(program))).toEqual({});
  expect(await program.logged("THE FILE IS REFUSED")).toMatchObject({
    level: 50,
    file: "boot-lock",
    reason: expect.stringMatching(/chmod go-w/) as string,
  });
  expect(await program.stop()).toBe(0);
});

test("what a start that is killed has not registered the next one does", async () => {
  await put(...NAMES);
  await lock(...NAMES);
  const killed = start();
  await killed.logged("registering a model", 3);
  killed.process.kill("SIGKILL");
  expect(await killed.ended).toBe("SIGKILL");
  const program = start();
  const url = await urlOf(program);
  expect(await states(url)).toEqual(TRUSTED);
  for (const name of NAMES) {
    const { path } = (await (await fetch(`${url}/v1/model/path?name=${name}`)).json()) as { path: string };
    expect(await readFile(path, "utf8")).toBe(name);
  }
  const done = await program.logged("the lock file is done");
  expect(done).toMatchObject({ refused: 0 });
  expect(Number(done["known"])).toBeGreaterThanOrEqual(2);
  expect(await program.stop()).toBe(0);
  expect((await readdir(join(data, "trusted", "models"))).toSorted()).toEqual([...NAMES]);
});

test("a start that is told to stop meanwhile ends in order, and the next one goes on", async () => {
  await put(...NAMES);
  await lock(...NAMES);
  const told = start();
  await told.logged("registering a model", 2);
  expect(await told.stop()).toBe(0);
  expect(told.log().map(({ msg }) => msg)).toContain("stopping before all first models are registered; the next start goes on");
  const program = start();
  expect(await states(await urlOf(program))).toEqual(TRUSTED);
  expect(await program.stop()).toBe(0);
});

test("the predecessor's manifest comes in with its history before the lock file is looked at", async () => {
  const record = recordOf("a", { sha256: sha256Of("a"), size_bytes: 1 });
  const object = promoted(record).object_path ?? "";
  await mkdir(join(data, object, ".."), { recursive: true });
  await writeFile(join(data, object), "a", { mode: 0o400 });
  await put("b");
  await lock("b");
  const events = chainOf(record, { ...record, state: "quarantined" }, promoted(record));
  await writeFile(join(data, "manifest.json"), manifestText(events), { mode: 0o600 });
  const program = start();
  const url = await urlOf(program);
  expect(await states(url)).toEqual({ a: "trusted" });
  const token = (await readFile(join(data, "credentials", "service-token"), "utf8")).trim();
  const audit = await fetch(`${url}/v1/audit`, { headers: { authorization: `Bearer ${token}` } });
  expect(((await audit.json()) as ModelEvent[]).map(({ hash }) => hash)).toEqual(events.map(({ hash }) => hash));
  expect(existsSync(join(data, "manifest.json"))).toBe(true);
  expect(await program.stop()).toBe(0);
});

test.each([
  ["true", "trusted"],
  ["", "acquired"],
])("a manifest without history is believed by ALLOW_LEGACY_MANIFEST_MIGRATION=%j as %s", async (allowed, state) => {
  await put("a");
  await writeFile(
    join(data, "manifest.json"),
    JSON.stringify({ version: 1, models: [{ ...recordOf("a"), sha256: sha256Of("a"), state: "trusted" }] }),
  );
  const program = start({ ALLOW_LEGACY_MANIFEST_MIGRATION: allowed });
  expect(await states(await urlOf(program))).toEqual({ a: state });
  expect(await program.stop()).toBe(0);
});

test("an import that was cut off keeps the registry from starting over another manifest, and says what to do", async () => {
  await put(...NAMES);
  const records = NAMES.map((name) => recordOf(name, { sha256: sha256Of(name), size_bytes: 1 }));
  const text = manifestText(chainOf(...records));
  await writeFile(join(data, "manifest.json"), text);
  const killed = start();
  await killed.logged("registering a model", 2);
  killed.process.kill("SIGKILL");
  await killed.ended;
  await writeFile(join(data, "manifest.json"), manifestText(chainOf(...records.slice(1))));
  const refused = start();
  expect(await refused.ended).toBe(1);
  expect(refused.err()).toMatch(
    /^ai-model-registry: the import of manifest\.json was cut off.*put back the one with the digest sha256:[0-9a-f]{64}/,
  );
  await writeFile(join(data, "manifest.json"), text);
  const program = start();
  expect(Object.keys(await states(await urlOf(program)))).toEqual([...NAMES]);
  expect(await program.stop()).toBe(0);
});
