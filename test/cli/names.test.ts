import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { type Ran, runSecurectl } from "../support/securectl.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

// Many requests take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const NAME = "Phi-3 Mini (Q4)";
const CONTENT = "weights of a small model";
const SHA256 = createHash("sha256").update(CONTENT).digest("hex");

let registry: TestRegistry;
let folder: string;

beforeAll(async () => {
  registry = await startTestRegistry();
  folder = await mkdtemp(join(tmpdir(), "securectl-names-"));
});
afterAll(async () => {
  await registry.stop();
  await rm(folder, { recursive: true, force: true });
});

/** On the registry's machine, as in a checkout. */
function securectl(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return runSecurectl(args, { HOME: folder, REGISTRY_URL: registry.url, REGISTRY_DIR: registry.directory, ...env });
}

async function json(args: readonly string[]): Promise<unknown> {
  const { exit, out, err } = await securectl([...args, "--json"]);
  if (exit !== 0) throw new Error(`securectl ${args.join(" ")} exited with ${exit}: ${err}`);
  return JSON.parse(out);
}

/** Registers a file of its own under a name. */
async function acquire(name: string, content: string): Promise<z.infer<typeof acquiredSchema>> {
  const filename = `${createHash("sha256").update(name).digest("hex").slice(0, 8)}.gguf`;
  await writeFile(join(registry.directory, filename), content);
  return acquiredSchema.parse(await json(["acquire", name, filename]));
}
const acquiredSchema = z.object({ repository: z.string(), digest: z.string(), filename: z.string() });

test("what a user of the predecessor does with a name gives what it gave", async () => {
  const empty = await startTestRegistry();
  const env = { HOME: folder, REGISTRY_URL: empty.url, REGISTRY_DIR: empty.directory };
  expect(await runSecurectl(["list"], env)).toMatchObject({ exit: 0, out: "No models in registry.\n" });
  await empty.stop();

  await writeFile(join(registry.directory, "phi.gguf"), CONTENT);
  const acquired = await securectl(["acquire", NAME, "phi.gguf", "--sha256", SHA256, "--size", String(CONTENT.length), "--source", "test"]);
  expect(acquired).toMatchObject({ exit: 0, out: `Acquired: ${NAME} (sha256=${SHA256}, state=acquired)\n` });
  expect(acquired.err).toBe(`Using the credential of ${join(registry.directory, "credentials/service-token")}.\n`);

  const info = await securectl(["info", NAME]);
  const record = z.record(z.string(), z.unknown()).parse(JSON.parse(info.out));
  expect(record).toMatchObject({ name: NAME, format: "gguf", filename: "phi.gguf", sha256: SHA256, size_bytes: 24, state: "acquired" });
  expect(info.out).toBe(`${JSON.stringify(record, Object.keys(record).toSorted(), 2)}\n`);

  expect(await securectl(["path", NAME])).toMatchObject({ exit: 4, out: "" });
  expect((await securectl(["path", NAME])).err).toContain(`error: model "${NAME}" is not in trusted state\n`);
  expect(await securectl(["promote", NAME])).toMatchObject({ exit: 0, out: expect.stringContaining("(tags: latest)") as string });

  const path = await securectl(["path", NAME]);
  expect(path.exit).toBe(0);
  expect(path.out).toMatch(/^\/\S+\n$/);
  expect(await readFile(path.out.trim(), "utf8")).toBe(CONTENT);
  expect(await json(["path", NAME])).toEqual({
    path: path.out.trim(),
    sha256: SHA256,
    size_bytes: 24,
    storage_contract: "content-addressed-v1",
  });

  for (const status of ["revoked", "already_revoked"]) {
    expect(await securectl(["revoke", NAME])).toMatchObject({ exit: 0, out: `Revoked: ${NAME} (status=${status})\n` });
  }
  expect((await securectl(["path", NAME])).exit).toBe(4);
  expect(await securectl(["rm", NAME])).toMatchObject({ exit: 0, out: `Deleted (soft): ${NAME} - metadata retained for audit\n` });
  expect(await securectl(["delete", NAME])).toMatchObject({ exit: 0, out: `Already deleted: ${NAME}\n` });
  expect((await securectl(["revoke", NAME])).exit).toBe(7);
  expect(await json(["info", NAME])).toMatchObject({ state: "deleted" });
});

test("list shows names and what was pushed in one table, cut and padded as the predecessor did", async () => {
  await acquire("listed first", "x".repeat(1536));
  const file = join(folder, "pushed.gguf");
  await writeFile(file, "pushed");
  await json(["push", "models/pushed:v1", file]);
  for (const command of ["list", "ls"]) {
    const { exit, out } = await securectl([command]);
    expect(exit).toBe(0);
    const lines = out.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^NAME +FORMAT +STATE +SIZE +SHA256 +PROMOTED$/);
    const line = lines.find((each) => each.startsWith("listed first"));
    expect(line).toMatch(/^listed first +gguf +acquired +1\.5 KB +[0-9a-f]{12} +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(lines.find((each) => each.startsWith("models/pushed:v1"))).toMatch(/ gguf +acquired +6 B /);
    const at = lines[0]?.indexOf("FORMAT") ?? 0;
    expect(lines.every((each) => each.slice(at - 2, at) === "  " && each[at] !== " ")).toBe(true);
  }
  const listed = z.array(z.looseObject({ name: z.string() })).parse(await json(["list"]));
  expect(listed.map(({ name }) => name)).toEqual(expect.arrayContaining(["listed first", "models/pushed:v1"]));
});

test("the commands of the native API take a name for what it means now", async () => {
  const { repository, digest } = await acquire("native/by name", "native");
  const at = `${repository}@${digest}`;
  expect(await securectl(["quarantine", "native/by name"])).toMatchObject({ exit: 0, out: `Quarantined: ${at}\n` });
  const decision = z.object({ digest: z.string(), tags: z.unknown() }).parse(await json(["evaluate", "native/by name"]));
  expect(decision.tags).toMatchObject({ moves: ["latest"] });
  const promoted = await securectl(["promote", "native/by name", "--expected", decision.digest]);
  expect(promoted).toMatchObject({ exit: 0, out: `Promoted: ${at} (tags: latest)\n` });
  expect(await json(["history", "native/by name"])).toMatchObject({
    digest,
    history: [{}, { state: "quarantined" }, { state: "trusted" }],
  });
  expect(await json(["discover", "native/by name"])).toMatchObject({ repository, digest });
  expect(await json(["pull", "native/by name", "-o", join(folder, "by-name")])).toMatchObject({ digest, files: [{}] });
  expect(await securectl(["revoke", "native/by name", "--reason", "poisoned"])).toMatchObject({
    exit: 0,
    out: "Revoked: native/by name (status=revoked)\n",
  });
  expect(await json(["history", at])).toMatchObject({ history: [{}, {}, {}, { state: "revoked", reason: "poisoned" }] });
  expect((await securectl(["pull", "native/by name", "-o", join(folder, "late")])).exit).toBe(4);
  expect(await securectl(["delete", "native/by name", "--reason", "old"])).toMatchObject({
    exit: 0,
    out: "Deleted (soft): native/by name - metadata retained for audit\n",
  });
});

test("a registered name that reads as a reference means the name, as the registry has it", async () => {
  const { repository, digest } = await acquire("llama3:8b", "named like a reference");
  expect(repository).not.toBe("llama3");
  expect(await json(["info", "llama3:8b"])).toMatchObject({ name: "llama3:8b", digest });
  expect(await json(["history", "llama3:8b"])).toMatchObject({ repository, digest });
  expect(await securectl(["revoke", "llama3:8b"])).toMatchObject({ exit: 0, out: "Revoked: llama3:8b (status=revoked)\n" });
});

test("for what was pushed, info is the native record and revoke needs a reason, while path and verify take the reference", async () => {
  const file = join(folder, "ref.gguf");
  await writeFile(file, "by reference");
  await json(["push", "models/by-ref:v1", file]);
  expect(await json(["info", "models/by-ref:v1"])).toMatchObject({ tags: ["v1"], pushed_by: "publisher" });
  expect((await securectl(["revoke", "models/by-ref:v1"])).exit).toBe(2);
  expect((await securectl(["path", "models/by-ref:v1"])).exit).toBe(4);
  await json(["promote", "models/by-ref:v1"]);
  const { out } = await securectl(["path", "models/by-ref:v1"]);
  expect((await stat(out.trim())).isFile()).toBe(true);
});

test("without any credential a program of this machine reads names in all states, and changes nothing", async () => {
  await acquire("read by all", "readable");
  const env = { REGISTRY_DIR: "/nonexistent" };
  const listed = await securectl(["list"], env);
  expect(listed).toMatchObject({ exit: 0, err: "" });
  expect(listed.out).toContain("read by all");
  expect(await securectl(["info", "read by all"], env)).toMatchObject({ exit: 0, err: "" });
  const revoked = await securectl(["revoke", "read by all"], env);
  expect([revoked.exit, revoked.out]).toEqual([3, ""]);
  expect(revoked.err).toContain("No credential was found");
  expect(await json(["info", "read by all"])).toMatchObject({ state: "acquired" });
});

test("a name is shown without what a terminal would obey, and found by what it is", async () => {
  const name = "evil \u001b[2J\u202ename";
  await acquire(name, "evil");
  const shown = "evil \\u{1b}[2J\\u{202e}name";
  const runs = [
    await securectl(["list"]),
    await securectl(["info", name]),
    await securectl(["revoke", name]),
    await securectl(["rm", name]),
  ];
  for (const { exit, out, err } of runs) {
    expect(exit).toBe(0);
    expect(["\u001b", "\u202e"].filter((character) => (out + err).includes(character))).toEqual([]);
  }
  expect(runs[0]?.out).toContain(shown);
  expect(runs[2]?.out).toBe(`Revoked: ${shown} (status=revoked)\n`);
  expect(JSON.parse(runs[1]?.out ?? "")).toMatchObject({ name });
});

test.each([
  ["a file that is not there", ["acquire", "new", "none.gguf"], 7],
  ["a file outside of the data directory", ["acquire", "new", "../none.gguf"], 1],
  ["a format that is not taken", ["acquire", "new", "none.pkl"], 4],
])("%s exits with its code, and leaves standard output empty", async (_, args, exit) => {
  const ran = await securectl(args);
  expect([ran.exit, ran.out]).toEqual([exit, ""]);
});

const BY_NAME = ["info", "path", "verify", "verify-manifest", "revoke", "delete", "promote", "quarantine", "history", "discover", "pull"];

test.each(BY_NAME)("%s of a name that is not registered says so", async (command) => {
  const ran = await securectl([command, "no such model"]);
  expect([ran.exit, ran.out]).toEqual([5, ""]);
  expect(ran.err).toContain('error: model "no such model" not found\n');
});

test.each(["info", "path", "verify", "revoke", "delete", "list"])("%s takes no more arguments than it knows", async (command) => {
  expect(await securectl([command, "a", "b"])).toMatchObject({ exit: 2, out: "" });
});

test("on a terminal a name is revoked and deleted only by who says yes", async () => {
  await acquire("asked about", "asked");
  const env = { HOME: folder, REGISTRY_URL: registry.url, REGISTRY_DIR: registry.directory };
  const refused = await runSecurectl(["revoke", "asked about"], env, { typed: "no\n" });
  expect([refused.exit, refused.out]).toEqual([1, ""]);
  expect(refused.err).toContain('Revoke "asked about"?');
  expect(await json(["info", "asked about"])).toMatchObject({ state: "acquired" });
  expect(await runSecurectl(["delete", "asked about"], env, { typed: "yes\n" })).toMatchObject({ exit: 0 });
});
