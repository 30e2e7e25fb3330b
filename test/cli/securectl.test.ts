import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_EMPTY, OCI_IMAGE } from "../../src/oci/media-types.ts";
import { COMPILED } from "../support/compiled.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

// Many requests, and some processes, take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const pushedSchema = z.object({ digest: z.string(), layers: z.array(z.object({ title: z.string(), digest: z.string() })) });

let registry: TestRegistry;
let folder: string;

beforeAll(async () => {
  registry = await startTestRegistry();
  folder = await mkdtemp(join(tmpdir(), "securectl-"));
});
afterAll(async () => {
  await registry.stop();
  await rm(folder, { recursive: true, force: true });
});

/** What somebody has around who sits on the registry's machine. */
function environment(env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return { HOME: folder, REGISTRY_URL: registry.url, REGISTRY_DIR: registry.directory, ...env };
}

/** Runs securectl in this process, without a terminal. */
async function securectl(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return runSecurectl(args, environment(env));
}

/** Runs it as the program that it is. */
function spawned(...args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env: { ...environment(), ...COMPILED }, cwd: folder }, (error, out, err) => {
      resolve({ exit: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

/** Its one JSON document; anything beside it on stdout does not parse. */
async function json(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const { exit, out, err } = await securectl([...args, "--json"], env);
  if (exit !== 0) throw new Error(`securectl ${args.join(" ")} exited with ${exit}: ${err}`);
  return JSON.parse(out);
}

async function push(repository: string, tag: string, content: string): Promise<z.infer<typeof pushedSchema>> {
  const file = join(folder, "w.gguf");
  await writeFile(file, content);
  return pushedSchema.parse(await json(["push", `${repository}:${tag}`, file]));
}

test("the main job: push, refused, evaluate, promote, pull by digest, discover, revoke, refused", async () => {
  const { digest } = await push("models/job", "v1", "weights of the job");
  const ref = `models/job@${digest}`;

  const early = await securectl(["pull", "models/job:v1", "-o", join(folder, "early")]);
  expect([early.exit, early.out]).toEqual([5, ""]);
  expect(early.err).toContain("credentials/runtime");

  const decision = await json(["evaluate", ref]);
  expect(decision).toMatchObject({ allowed: true, tags: { moves: ["v1"] } });
  const { digest: expected } = z.object({ digest: z.string() }).parse(decision);
  const promoted = await securectl(["promote", "models/job:v1", "--reason", "looked at", "--expected", expected]);
  expect(promoted).toMatchObject({ exit: 0, out: `Promoted: ${ref} (tags: v1)\n` });

  expect(await json(["pull", ref, "-o", join(folder, "pulled")])).toMatchObject({ digest, files: [{ path: "w.gguf" }] });
  expect(await readFile(join(folder, "pulled/w.gguf"), "utf8")).toBe("weights of the job");

  const tree = z
    .object({ referrers: z.array(z.object({ annotations: z.record(z.string(), z.string()) })) })
    .parse(await json(["discover", ref]));
  const states = tree.referrers.map(({ annotations }) => annotations["dev.ai-model-registry.lifecycle.state"]);
  expect(states).toEqual(expect.arrayContaining(["acquired", "trusted"]));
  expect((await securectl(["discover", ref])).out).toMatch(
    /\[registry\] \S+ \S+ trusted, [^]*\[registry\] \S+ \S+ PASSED, |\[registry\] \S+ \S+ PASSED, [^]*\[registry\] \S+ \S+ trusted, /,
  );

  const revoked = await securectl(["revoke", ref, "--reason", "poisoned"]);
  expect(revoked).toMatchObject({ exit: 0, out: `Revoked: ${ref}\n` });
  const late = await securectl(["pull", ref, "-o", join(folder, "late")]);
  expect(late.exit).toBe(4);
  expect(late.err).toContain("poisoned");
  await expect(stat(join(folder, "late"))).rejects.toThrow(/ENOENT/);

  expect(await json(["history", ref])).toMatchObject({
    history: [{ state: "acquired" }, { state: "trusted", reason: "looked at" }, { state: "revoked" }],
  });
});

test("the program itself writes one JSON document, messages beside it, and exits with the code", async () => {
  const { digest } = await push("models/program", "v1", "program");
  const info = await spawned("info", "models/program:v1", "--json");
  expect(JSON.parse(info.out)).toMatchObject({ digest });
  expect([info.exit, info.err]).toEqual([0, `Using the credential of ${join(registry.directory, "credentials/operator")}.\n`]);
  const pulled = await spawned("pull", "models/program:v1", "-o", "program");
  expect([pulled.exit, pulled.out]).toEqual([5, ""]);
  expect((await spawned("frobnicate")).exit).toBe(2);
  expect((await spawned("--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test("a refused promotion shows every check and exits as denied by policy", async () => {
  const config = { mediaType: OCI_EMPTY, digest: digestOf("{}"), size: 2 };
  const missing = { mediaType: "a/b", digest: digestOf("nowhere"), size: 7 };
  const body = JSON.stringify({ schemaVersion: 2, mediaType: OCI_IMAGE, artifactType: "a/b", config, layers: [missing] });
  await registry.fetchAs("publisher", `/v2/models/part/blobs/uploads/?digest=${config.digest}`, { method: "POST", body: "{}" });
  await registry.fetchAs("publisher", "/v2/models/part/manifests/v1", { method: "PUT", body, headers: { "Content-Type": OCI_IMAGE } });

  const evaluated = await securectl(["evaluate", "models/part:v1"]);
  expect(evaluated.exit).toBe(4);
  expect(evaluated.out).toMatch(/FAIL +closure-complete/);
  const promoted = await securectl(["promote", "models/part:v1", "--json"]);
  expect(promoted.exit).toBe(4);
  expect(JSON.parse(promoted.out)).toMatchObject({ allowed: false });
});

test("list, info and tags show what is there", async () => {
  const { digest } = await push("models/listed", "v1", "listed");
  expect(await json(["list", "models/listed", "--state", "acquired"])).toMatchObject({ artifacts: [{ digest, tags: ["v1"] }], next: null });
  expect((await securectl(["list", "models/listed"])).out).toMatch(/^REPOSITORY +TAGS +STATE.*\nmodels\/listed +v1 +acquired/);
  expect((await securectl(["list", "models/none"])).out).toBe("No artifacts in registry.\n");
  expect(await json(["info", "models/listed:v1"])).toMatchObject({ digest, state: "acquired", pushed_by: "publisher" });
  expect(await json(["tag", "list", "models/listed"])).toEqual({ repository: "models/listed", tags: ["v1"] });
});

test("readers are rolled back and a tag is taken from them", async () => {
  const first = await push("models/tagged", "stable", "first");
  await json(["promote", "models/tagged:stable"]);
  const second = await push("models/tagged", "stable", "second");
  await json(["promote", "models/tagged:stable"]);
  expect(await json(["pull", "models/tagged:stable", "-o", join(folder, "two")])).toMatchObject({ digest: second.digest });
  expect((await securectl(["tag", "rollback", "models/tagged:stable", "--to", first.digest, "--reason", "regression"])).exit).toBe(0);
  expect(await json(["pull", "models/tagged:stable", "-o", join(folder, "one")])).toMatchObject({ digest: first.digest });
  expect((await securectl(["tag", "remove", "models/tagged:stable"])).exit).toBe(0);
  expect((await securectl(["pull", "models/tagged:stable", "-o", join(folder, "none")])).exit).toBe(5);
  expect((await securectl(["tag", "remove", "models/tagged:stable", "--pushed"])).exit).toBe(0);
  expect(await json(["tag", "list", "models/tagged"])).toMatchObject({ tags: [] });
});

test("what is trusted is not quarantined but a conflict, and what is deleted keeps its history", async () => {
  const { digest } = await push("models/gone", "v1", "gone");
  expect(await json(["quarantine", "models/gone:v1", "--reason", "scan"])).toMatchObject({ state: "quarantined" });
  await json(["promote", "models/gone:v1"]);
  expect((await securectl(["quarantine", "models/gone:v1"])).exit).toBe(7);
  expect(await json(["delete", `models/gone@${digest}`, "--reason", "old"])).toMatchObject({ state: "deleted" });
  expect(await json(["history", `models/gone@${digest}`])).toMatchObject({
    history: [{ state: "acquired" }, { state: "quarantined" }, { state: "trusted" }, { state: "deleted" }],
  });
});

test("a key is shown once, works, is listed without its secret, has a successor and ends", async () => {
  const created = await securectl(["key", "create", "ci", "--role", "publisher", "--namespace", "models", "--expires", "1d"]);
  const secret = created.out.trim();
  expect(secret).toMatch(/^amr_[0-9A-Za-z]{36}$/);
  expect(created.err).not.toContain(secret);
  const list = async (as: string): Promise<Ran> => securectl(["list", "models/none"], { SECURECTL_TOKEN: as });
  expect((await list(secret)).exit).toBe(0);

  const listed = await securectl(["key", "list", "--json"]);
  expect(listed.out).not.toContain(secret);
  const { credentials } = z.object({ credentials: z.array(z.object({ id: z.string(), name: z.string() })) }).parse(JSON.parse(listed.out));
  const id = credentials.find(({ name }) => name === "ci")?.id ?? "";
  expect(await json(["key", "rotate", id, "--overlap", "1h"])).toMatchObject({ name: "ci", key: expect.stringMatching(/^amr_/) as string });
  expect((await securectl(["key", "revoke", id])).exit).toBe(0);
  expect((await list(secret)).exit).toBe(3);
});

test("a namespace is made, and its owner pushes there", async () => {
  expect(await json(["namespace", "create", "team", "--owner", "publisher"])).toMatchObject({ name: "team", owner: "publisher" });
  expect((await securectl(["namespace", "create", "team", "--owner", "publisher"])).exit).toBe(7);
  expect((await securectl(["namespace", "list"])).out).toMatch(/^team +publisher/m);
  expect((await push("team/x", "v1", "of the team")).digest).toMatch(/^sha256:/);
  expect((await securectl(["push", "nobodys/x:v1", join(folder, "w.gguf")])).exit).toBe(4);
});

test("the audit is listed and proved, here and there, against an earlier head", async () => {
  await push("models/audited", "v1", "audited");
  await json(["promote", "models/audited:v1"]);
  const listed = await json(["audit", "--type", "artifact.promote", "--artifact", "models/audited"]);
  expect(listed).toMatchObject({ events: [{ actor: { principal: "operator" }, target: { name: "models/audited" } }], next: null });
  const { head } = z.object({ head: z.object({ sequence: z.number(), hash: z.string() }) }).parse(await json(["audit", "verify"]));
  expect(await json(["audit", "verify", "--on-server"])).toMatchObject({ intact: true });
  expect((await securectl(["audit", "verify", "--head", `${head.sequence}:${head.hash}`])).exit).toBe(0);
  const other = await securectl(["audit", "verify", "--head", `${head.sequence}:${digestOf("another chain")}`, "--json"]);
  expect(other.exit).toBe(6);
  expect(JSON.parse(other.out)).toMatchObject({ intact: false, broken: { sequence: head.sequence } });
  expect((await securectl(["audit", "verify", "--head", `${head.sequence + 1_000}:${head.hash}`])).exit).toBe(6);
});

test("status tells whether the registry is well, whatever credential there is", async () => {
  const said: unknown = await (await registry.fetchAs("nobody", "/health")).json();
  for (const env of [{}, { SECURECTL_TOKEN: "amr_0123456789abcdefghijABCDEFGHIJ012345" }]) {
    const { exit, out, err } = await securectl(["status"], env);
    expect([exit, JSON.parse(out), err]).toEqual([0, said, ""]);
    expect(out).toContain('\n  "status": "ok"');
  }
});

test("bytes that are not those of the digest are an integrity failure, and no file is left", async () => {
  // Too many for a row of the metadata.
  const { digest, layers } = await push("models/damaged", "v1", "right bytes!".repeat(2000));
  await json(["promote", `models/damaged@${digest}`]);
  const blob = await findFile(join(registry.directory, "blobs"), (layers[0]?.digest ?? "").slice("sha256:".length));
  await rm(blob);
  await writeFile(blob, "wrong bytes!".repeat(2000));
  const pulled = await securectl(["pull", `models/damaged@${digest}`, "-o", join(folder, "damaged")]);
  expect(pulled.exit).toBe(6);
  expect(await readdir(join(folder, "damaged"))).toEqual([]);
  // Found by the check, they are refused, which tells to push the right bytes again.
  expect((await securectl(["verify", "models/damaged:v1"])).exit).toBe(6);
  expect((await securectl(["pull", `models/damaged@${digest}`, "-o", join(folder, "damaged")])).exit).toBe(6);
  await push("models/damaged", "v1", "right bytes!".repeat(2000));
  expect((await securectl(["pull", `models/damaged@${digest}`, "-o", join(folder, "damaged")])).exit).toBe(0);
});

async function findFile(directory: string, name: string): Promise<string> {
  const found = (await readdir(directory, { recursive: true })).find((file) => file.endsWith(name));
  if (found === undefined) throw new Error(`no file ${name}`);
  return join(directory, found);
}

test("a title that leads out of the folder is refused", async () => {
  const bytes = "#!/bin/sh\n";
  for (const content of [bytes, "{}"]) {
    await registry.fetchAs("publisher", `/v2/models/evil/blobs/uploads/?digest=${digestOf(content)}`, { method: "POST", body: content });
  }
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    artifactType: "a/b",
    config: { mediaType: OCI_EMPTY, digest: digestOf("{}"), size: 2 },
    layers: [
      { mediaType: "a/b", digest: digestOf(bytes), size: bytes.length, annotations: { "org.opencontainers.image.title": "../escaped" } },
    ],
  });
  const put = await registry.fetchAs("publisher", "/v2/models/evil/manifests/v1", {
    method: "PUT",
    body,
    headers: { "Content-Type": OCI_IMAGE },
  });
  expect(put.status).toBe(201);
  const pulled = await securectl(["pull", "models/evil:v1", "-o", join(folder, "evil")], {
    SECURECTL_TOKEN: registry.credentials.publisher,
  });
  expect(pulled.exit).toBe(6);
  await expect(stat(join(folder, "escaped"))).rejects.toThrow(/ENOENT/);
});

test("what others wrote is shown without what a terminal would obey", async () => {
  const { digest } = await push("models/escape", "v1", "escape");
  await registry.fetchAs("operator", `/v1/artifacts/models/escape@${digest}/quarantine`, {
    method: "POST",
    body: '{"reason":"\\u001b[2Jgone\\u202e"}',
  });
  const { out } = await securectl(["history", `models/escape@${digest}`]);
  expect(out).toContain("\\u{1b}[2Jgone\\u{202e}");
  expect(out).not.toContain("\u001b");
});

test.each([
  ["no command", [], 2],
  ["an unknown command", ["frobnicate"], 2],
  ["an unknown option", ["list", "--frobnicate"], 2],
  ["a missing argument", ["info"], 2],
  ["a missing reason", ["revoke", "models/x:v1"], 2],
  ["what may be no more than a name", ["info", "Models/x"], 5],
  ["a repository without a tag", ["info", "models/x"], 5],
  ["what is no ref to push to", ["push", "Models/x", "w.gguf"], 2],
  ["a ref of another registry", ["info", "registry.example:5000/models/x:v1"], 2],
  ["a file that is not there", ["push", "models/x:v1", "no-such-file"], 2],
  ["a role without a namespace", ["key", "create", "ci", "--role", "publisher"], 2],
  ["an artifact that is not there", ["info", "models/none:v1"], 5],
  ["approvals, which nobody may see an artifact for", ["approve", "models/none:v1"], 5],
  ["help", ["--help"], 0],
  ["the help of a command", ["key", "create", "--help"], 0],
  ["the version", ["--version"], 0],
])("%s exits with its code", async (_, args, exit) => {
  const ran = await securectl(args);
  expect(ran.exit).toBe(exit);
  // Help goes to stdout when it was asked for, and messages never do.
  expect([ran.out === "", ran.err === ""]).toEqual([exit !== 0, exit === 0]);
});

test.each([
  ["a wrong token", ["list"], { SECURECTL_TOKEN: "amr_0123456789abcdefghijABCDEFGHIJ012345" }, 3],
  ["no credential at all", ["list", "models/x"], { REGISTRY_DIR: "/nonexistent" }, 3],
  ["http off loopback", ["list"], { REGISTRY_URL: "http://192.0.2.1:8470" }, 2],
  ["a registry that is not there", ["list"], { REGISTRY_URL: "http://127.0.0.1:1" }, 8],
  ["the status of a registry that is not there", ["status"], { REGISTRY_URL: "http://127.0.0.1:1" }, 8],
])("%s exits with its code", async (_, args, env, exit) => {
  const ran = await securectl(args, env);
  expect([ran.exit, ran.out]).toEqual([exit, ""]);
});

test("a runtime may not promote, and is told so", async () => {
  const { digest } = await push("models/mine", "v1", "mine");
  const env = { SECURECTL_TOKEN: registry.credentials.publisher };
  const ran = await securectl(["promote", `models/mine@${digest}`], env);
  expect(ran.exit).toBe(4);
  expect(ran.err).not.toContain(registry.credentials.publisher);
});
