import { chmod, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FirstModelsError } from "../../src/registry/first-models-file.ts";
import { StorageFullError } from "../../src/storage/blob-store.ts";
import { GOLDEN } from "../formats/build-gguf.ts";
import { Beginning, cutting } from "../support/first-models.ts";
import { sha256Of } from "../support/models.ts";

// Each model is several durable changes.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let here: Beginning;
beforeEach(async () => {
  here = await Beginning.start();
});
afterEach(() => here[Symbol.asyncDispose]());

const entry = (name: string, bytes: string | Uint8Array, more: Readonly<Record<string, unknown>> = {}): unknown => ({
  name,
  filename: `${name}.gguf`,
  sha256: sha256Of(bytes),
  ...more,
});
/** JSON is YAML. */
const lockOf = (...models: readonly unknown[]): string => JSON.stringify({ version: 1, models });

async function put(...names: readonly string[]): Promise<void> {
  for (const name of names) await here.models.put(`${name}.gguf`, name);
}

async function digests(of: Beginning): Promise<string[]> {
  return Object.values(await of.list()).map(({ digest }) => digest);
}

/** Begins, and ends with an error at the nth change of what is registered. */
async function cutAfter(changes: number, error: Error): Promise<void> {
  await here.begin({}, ({ metadata }) => ({ metadata: cutting(metadata, changes, error) }));
}

describe("an empty store", () => {
  test("trusts what the lock file names and its bytes are, by a decision that names the file", async () => {
    await here.models.put("Golden Model.gguf", GOLDEN);
    const lock = await here.lock(lockOf(entry("Golden Model", GOLDEN, { source: "https://ex.test", scan_results: { yara: "pass" } })));
    await here.begin();
    const { "Golden Model": model } = await here.list();
    expect(model).toMatchObject({ state: "trusted", source: "https://ex.test", scan_results: { yara: "pass" }, size_bytes: GOLDEN.length });
    const located = await here.models.byName("GET", "/v1/model/path", "Golden Model");
    expect(located).toMatchObject({ status: 200 });
    const record = await here.models.ask("GET", `/v1/artifacts/${model?.repository ?? ""}@${model?.digest ?? ""}`, { as: "operator" });
    expect(record.json()).toMatchObject({
      state: "trusted",
      policy: `boot-lock@${lock}`,
      pushed_by: "system",
      changed_by: "system",
      tags: ["latest"],
    });
    expect(await here.faults()).toEqual([]);
  });

  test("serves it to whoever pulls, statements of the system included", async () => {
    await put("a");
    await here.lock(lockOf(entry("a", "a")));
    await here.begin();
    const manifest = await here.models.ask("GET", "/v2/models/a/manifests/latest", { as: "runtime" });
    expect(manifest).toMatchObject({ status: 200, type: "application/vnd.oci.image.manifest.v1+json" });
    const { layers } = manifest.json() as { layers: { digest: string }[] };
    expect(await here.models.ask("GET", `/v2/models/a/blobs/${layers[0]?.digest ?? ""}`, { as: "runtime" })).toMatchObject({
      status: 200,
      text: "a",
    });
    const digest = String(manifest.headers["docker-content-digest"]);
    const referrers = await here.models.ask("GET", `/v2/models/a/referrers/${digest}`, { as: "runtime" });
    const { manifests } = referrers.json() as { manifests: { annotations: Record<string, string> }[] };
    const statements = manifests.map(({ annotations }) => [
      annotations["dev.ai-model-registry.lifecycle.state"],
      annotations["dev.ai-model-registry.lifecycle.actor"],
    ]);
    expect(statements).toEqual(
      expect.arrayContaining([
        ["acquired", "system"],
        ["trusted", "system"],
      ]),
    );
  });

  test("honours every state", async () => {
    await put("a", "q", "r", "t");
    const states = { a: "acquired", q: "quarantined", r: "revoked", t: "trusted", gone: "revoked", d: "deleted" };
    await here.lock(lockOf(...Object.entries(states).map(([name, state]) => entry(name, name, { state }))));
    await here.begin();
    expect(await here.states()).toEqual(states);
    for (const name of ["a", "q", "r", "gone", "d"])
      expect(await here.models.byName("GET", "/v1/model/path", name)).toMatchObject({ status: 403 });
    expect(await readdir(here.models.at("trusted/models"))).toEqual(["t"]);
    expect(await here.refusals()).toEqual([]);
    expect(await here.faults()).toEqual([]);
  });

  test("begins the predecessor's chain with an entry for each", async () => {
    await put("a", "b");
    await here.lock(lockOf(entry("a", "a"), entry("b", "b", { state: "revoked" })));
    await here.begin();
    const events = (await here.models.ask("GET", "/v1/audit")).json() as Record<string, unknown>[];
    expect(events.map(({ action, name, from_state: from, to_state: to }) => [action, name, from, to])).toEqual([
      ["bootstrap", "a", undefined, "trusted"],
      ["bootstrap", "b", undefined, "revoked"],
    ]);
  });

  test("says in the audit that the system did it, by which file", async () => {
    await put("a");
    const lock = await here.lock(lockOf(entry("a", "a")));
    await here.begin();
    for (const type of ["artifact.acquire", "artifact.promote"]) {
      expect(await here.audited(type)).toMatchObject([
        { actor: { principal: "system", kind: "system" }, after: { policy: `boot-lock@${lock}` } },
      ]);
    }
    expect(await here.audited("registry.first-models")).toMatchObject([
      { target: { name: "boot-lock", digest: lock }, after: { status: "under-way", entries: 1 } },
      { target: { name: "boot-lock", digest: lock }, after: { status: "done", registered: 1, refused: 0 } },
    ]);
  });

  test("becomes the same from the same file and bytes", async () => {
    await using there = await Beginning.start();
    const text = lockOf(entry("golden", GOLDEN), entry("Tiny Model (Q4)", "tiny", { filename: "sub/t.gguf", source: "x" }));
    for (const { models } of [here, there]) {
      await models.put("golden.gguf", GOLDEN);
      await models.put("sub/t.gguf", "tiny");
    }
    for (const each of [here, there]) await each.lock(text);
    await here.begin();
    await there.begin();
    expect(await digests(here)).toEqual(await digests(there));
    expect(new Set(await digests(here)).size).toBe(2);
  });

  test("takes the predecessor's own copy where the file is not there", async () => {
    const sha256 = sha256Of("a");
    const object = `objects/sha256/${sha256.slice(0, 2)}/${sha256}.gguf`;
    await here.models.put(object, "a");
    await here.lock(lockOf(entry("a", "a", { object_path: object })));
    await here.begin();
    expect(await here.list()).toMatchObject({ a: { state: "trusted", filename: "a.gguf" } });
  });

  test("keeps the bytes that it has verified, whatever becomes of the file", async () => {
    await put("a");
    await here.lock(lockOf(entry("a", "a")));
    await here.begin();
    await here.models.put("a.gguf", "b");
    const { path } = (await here.models.byName("GET", "/v1/model/path", "a")).json() as { path: string };
    expect(path).toContain("/trusted/models/a/");
    expect(await here.models.byName("POST", "/v1/model/verify", "a")).toMatchObject({ status: 200 });
  });
});

describe("an entry is refused alone, loudly", () => {
  test.each<[string, unknown, RegExp]>([
    [
      "when its bytes differ",
      entry("bad", "other"),
      /^bad: hash verification failed: hash mismatch: expected [0-9a-f]{64}, got [0-9a-f]{64}$/,
    ],
    ["when its file is missing", entry("none", "none"), /^none: hash verification failed: no such file/],
    ["when its size differs", entry("bad", "bad", { size_bytes: 4 }), /^bad: declared size does not match artifact$/],
    ["when its file is a link", entry("link", "bad"), /^link: .*symbolic-link artifacts are not allowed$/],
    ["when its name is a reference", entry("models/x:v1", "bad", { filename: "bad.gguf" }), /^models\/x:v1: the name reads as a reference/],
    ["when it has an unknown key", entry("bad", "bad", { blocked: true }), /^bad: unknown key "blocked"$/],
    ["when it is held back and its bytes differ", entry("bad", "other", { state: "quarantined" }), /^bad: hash verification failed/],
  ])("%s", async (_, bad, words) => {
    await put("bad", "good");
    await symlink(here.models.at("bad.gguf"), here.models.at("link.gguf"));
    await here.lock(lockOf(bad, entry("good", "good")));
    await here.begin();
    expect(await here.states()).toEqual({ good: "trusted" });
    expect(await here.refusals()).toEqual([expect.stringMatching(words)]);
    expect(await here.faults()).toEqual([]);
  });

  test("and is not looked at again once others are registered", async () => {
    await put("good");
    await here.lock(lockOf(entry("late", "late"), entry("good", "good")));
    await here.begin();
    await put("late");
    await here.begin();
    expect(await here.states()).toEqual({ good: "trusted" });
  });

  test("and is tried again while nothing is registered", async () => {
    await here.lock(lockOf(entry("late", "late")));
    await here.begin();
    expect(await here.states()).toEqual({});
    await put("late");
    await here.begin();
    expect(await here.states()).toEqual({ late: "trusted" });
  });
});

describe("a file is refused whole, loudly", () => {
  beforeEach(async () => {
    await put("a");
    await here.lock(lockOf(entry("a", "a")));
  });
  test.each([
    ["that others can write", () => chmod(here.lockPath, 0o664), /it can be written by others/],
    ["whose folder others can write", () => chmod(here.folder, 0o777), /its folder can be written by others/],
    ["that is no lock file", () => here.lock("version: 2"), /version must be 1/],
    ["with two documents", () => here.lock("version: 1\n---\nversion: 1\n"), /multiple documents/],
    ["that is empty", () => here.lock(""), /mapping with version and models/],
  ])("%s", async (_, spoil, words) => {
    await spoil();
    await here.begin();
    expect(await here.refusals()).toEqual([expect.stringMatching(words)]);
    expect(await here.states()).toEqual({});
  });

  test("that is a link", async () => {
    const path = join(here.folder, "link.yaml");
    await symlink(here.lockPath, path);
    await here.begin({ lockPath: path });
    expect(await here.refusals()).toEqual(["file: it is a symbolic link"]);
    expect(await here.states()).toEqual({});
  });

  test.each(["models.lock.yaml", "sub/models.lock.yaml"])("that lies in the data directory as %s", async (path) => {
    await mkdir(here.models.at("sub"), { mode: 0o755 });
    await writeFile(here.models.at(path), lockOf(entry("a", "a")), { mode: 0o644 });
    await here.begin({ lockPath: here.models.at(path) });
    expect(await here.refusals()).toEqual([expect.stringMatching(/it lies in the data directory/)]);
    expect(await here.states()).toEqual({});
  });
});

test("a file that was refused is read once it is mended", async () => {
  await put("a");
  await here.lock(lockOf(entry("a", "a")));
  await chmod(here.lockPath, 0o666);
  await here.begin();
  await chmod(here.lockPath, 0o644);
  await here.begin();
  expect(await here.states()).toEqual({ a: "trusted" });
});

test("no lock file, and one that names nothing, are none", async () => {
  await here.begin();
  await here.lock(lockOf());
  await here.begin();
  expect(await here.audited("registry.first-models")).toEqual([]);
  await put("a");
  await here.lock(lockOf(entry("a", "a")));
  await here.begin();
  expect(await here.states()).toEqual({ a: "trusted" });
});

describe("a store that holds something", () => {
  test("is not touched by the lock file, whatever it says", async () => {
    await put("a", "b");
    await here.models.acquire("a", "a.gguf");
    await here.lock(lockOf(entry("a", "a"), entry("b", "b")));
    await here.begin();
    expect(await here.states()).toEqual({ a: "acquired" });
    expect(await here.audited("registry.first-models")).toEqual([]);
  });

  test("is not touched when all that it ever held came by OCI", async () => {
    const asked = { as: "publisher", body: "{}", headers: { "Content-Type": "application/vnd.oci.image.index.v1+json" } } as const;
    const index = JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] });
    expect(await here.models.ask("PUT", "/v2/models/x/manifests/v1", { ...asked, body: index })).toMatchObject({ status: 201 });
    await put("a");
    await here.lock(lockOf(entry("a", "a")));
    await here.begin();
    expect(Object.keys(await here.states())).toEqual(["models/x:v1"]);
  });

  test("stays as it is when the lock file changes", async () => {
    await put("a", "b");
    await here.lock(lockOf(entry("a", "a")));
    await here.begin();
    await here.models.must("revoke", "a");
    await here.lock(lockOf(entry("a", "a"), entry("b", "b")));
    await here.begin();
    expect(await here.states()).toEqual({ a: "revoked" });
    expect(await here.refusals()).toEqual([]);
    await here.models.must("delete", "a");
    await here.begin();
    expect(await here.states()).toEqual({ a: "deleted" });
  });
});

describe("a start that is cut off", () => {
  const three = lockOf(entry("a", "a"), entry("b", "b"), entry("c", "c", { state: "revoked" }));
  beforeEach(() => put("a", "b", "c"));

  test.each([0, 1, 2, 3, 4, 5, 6])("after %i changes is gone on with by the next, and leaves nothing half done", async (changes) => {
    await here.lock(three);
    await cutAfter(changes, new StorageFullError("full")).catch((error: unknown) => {
      if (!(error instanceof FirstModelsError) && !(error instanceof StorageFullError)) throw error;
    });
    for (const state of Object.values(await here.states())) expect(state).toMatch(/^(?:trusted|revoked)$/);
    await here.begin();
    expect(await here.states()).toEqual({ a: "trusted", b: "trusted", c: "revoked" });
    // This process lives on, and the rows of folders that it holds are left to it.
    expect((await here.faults()).filter((fault) => !fault.endsWith(" is pending"))).toEqual([]);
    const registered = (await here.audited("artifact.acquire")).map(({ after }) => after?.["name"]);
    expect(registered).toEqual(["a", "b", "c"]);
  });

  test("leaves no copy behind that the next would not discard", async () => {
    const { blobs } = here.models.registry.services;
    await here.lock(three);
    for (const upload of ["file.left", "somebodys"]) await blobs.stage(upload);
    await here.begin();
    const left: string[] = [];
    for await (const upload of blobs.listStaged()) left.push(upload);
    expect(left).toEqual(["somebodys"]);
  });

  test("by a full disk says so, and refuses no entry for it", async () => {
    await here.lock(three);
    await expect(cutAfter(1, new StorageFullError("there is no room left"))).rejects.toThrow(
      new FirstModelsError("boot-lock: entry 1 cannot be registered now (there is no room left)"),
    );
    expect(await here.refusals()).toEqual([]);
  });

  test("by a signal ends between two models, with the reason of the signal", async () => {
    await here.lock(three);
    const [stop, reason] = [new AbortController(), new Error("told to stop")];
    let seen = 0;
    const files = here.models.registry.services.files;
    const begun = here.begin({ signal: stop.signal }, () => ({
      files: {
        removeIfSame: (path, identity) => files.removeIfSame(path, identity),
        open: (path) => {
          seen += 1;
          if (seen === 2) stop.abort(reason);
          return files.open(path);
        },
      },
    }));
    await expect(begun).rejects.toBe(reason);
    expect(await here.states()).toEqual({ a: "trusted" });
    await here.begin();
    expect(Object.keys(await here.states())).toEqual(["a", "b", "c"]);
  });

  test.each([
    ["changed", () => here.lock(lockOf(entry("b", "b")))],
    ["gone", () => rm(here.lockPath)],
    ["open to others", () => chmod(here.lockPath, 0o666)],
  ])("is not gone on with when the file is %s meanwhile", async (_, change) => {
    await here.lock(three);
    await cutAfter(3, new StorageFullError("full")).catch(() => undefined);
    const before = await here.states();
    expect(before).not.toEqual({});
    await change();
    await here.begin();
    expect(await here.refusals()).toEqual([expect.stringMatching(/no longer the one that was being registered/)]);
    await here.lock(three);
    await here.begin();
    expect(await here.states()).toEqual(before);
  });
});
