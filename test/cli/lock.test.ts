import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { run } from "../../src/cli/run.ts";
import { parseLockFile } from "../../src/audit/lock-file.ts";
import { inspectorHere } from "../support/inspector.ts";
import { Models, sha256Of } from "../support/models.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** What a terminal must not get. */
const ODD = "\u001b[31m: # \u202e'\u200b";

let models: Models;
let folder: string;
beforeAll(async () => {
  models = await Models.start({ around: (services) => ({ ...services, inspector: inspectorHere(services.inspector) }) });
  for (const name of ["a", "b", "c", "d"]) await models.put(`${name}.gguf`, name);
  await models.promote("a", "a.gguf", sha256Of("a"), { source: "https://ex.test", policy_version: "1.0" });
  await models.promote("Tiny Model (Q4)", "b.gguf", sha256Of("b"));
  await models.acquire("c", "c.gguf");
  await models.promote(ODD, "d.gguf", sha256Of("d"));
});
afterAll(() => models[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "securectl-lock-"));
  return () => rm(folder, { recursive: true, force: true });
});

async function securectl(...args: readonly string[]): Promise<{ readonly exit: number; readonly out: string; readonly err: string }> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const said = [text(stdout), text(stderr)] as const;
  const env = { HOME: folder, REGISTRY_URL: models.registry.url, REGISTRY_DIR: models.registry.directory };
  const exit = await run(args, { version: "1.2.3", env, streams: { stdin, stdout, stderr } });
  stdout.end();
  stderr.end();
  const [out, err] = await Promise.all(said);
  return { exit, out, err };
}

async function lock(...entries: readonly object[]): Promise<string> {
  const path = join(folder, "models.lock.yaml");
  await writeFile(path, JSON.stringify({ version: 1, models: entries }));
  return path;
}

const entry = (name: string, more: object = {}): object => ({ name, filename: `${name}.gguf`, sha256: sha256Of(name), ...more });

describe("lock generate", () => {
  test("prints what is trusted under a name, and nothing else", async () => {
    const { exit, out } = await securectl("lock", "generate");
    expect(exit).toBe(0);
    expect(out).toMatch(
      /\n {2}- name: Tiny Model \(Q4\)\n {4}format: gguf\n {4}filename: b\.gguf\n {4}sha256: [0-9a-f]{64}\n {4}size_bytes: 1\n/,
    );
    expect(parseLockFile(Buffer.from(out))).toMatchObject([
      { name: ODD, model: { name: ODD } },
      { name: "Tiny Model (Q4)", model: { path: "b.gguf", sha256: sha256Of("b"), state: "trusted", size: 1 } },
      { name: "a", model: { path: "a.gguf", source: "https://ex.test", scan: { policy_version: "1.0" } } },
    ]);
  });

  test("writes a file that a registry would take, whole or not at all", async () => {
    const path = join(folder, "models.lock.yaml");
    const { exit, out } = await securectl("lock", "generate", "--output", path);
    expect({ exit, out }).toMatchObject({ exit: 0, out: expect.stringMatching(/^Wrote .*: 3 models, sha256:[0-9a-f]{64}\n$/) as string });
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    expect(await readdir(folder)).toEqual(["models.lock.yaml"]);
    expect(await readFile(path, "utf8")).toBe((await securectl("lock", "generate")).out);
    expect((await securectl("lock", "verify", path, "--dir", models.registry.directory)).exit).toBe(0);
  });

  test("prints JSON that is a lock file, too", async () => {
    const { out } = await securectl("lock", "generate", "--json");
    expect(parseLockFile(Buffer.from(out)).map(({ name }) => name)).toEqual([ODD, "Tiny Model (Q4)", "a"]);
    const path = join(folder, "x.yaml");
    expect(JSON.parse((await securectl("lock", "generate", "--output", path, "--json")).out)).toMatchObject({ file: path, models: 3 });
  });
});

describe("lock verify", () => {
  test("reads a file without its models, and says which file that was", async () => {
    const path = await lock(entry("elsewhere"));
    const { exit, out } = await securectl("lock", "verify", path);
    expect(exit).toBe(0);
    expect(out).toMatch(/^OK: elsewhere\n.*models\.lock\.yaml: 1 models, sha256:[0-9a-f]{64}\n$/);
  });

  test("reads the bytes in a directory, and exits with 6 when some are not there or others", async () => {
    const path = await lock(entry("a"), entry("gone"), entry("b", { sha256: sha256Of("a") }), entry("d", { state: "deleted" }));
    const { exit, out, err } = await securectl("lock", "verify", path, "--dir", models.registry.directory);
    expect(exit).toBe(6);
    expect(out.split("\n")).toEqual([
      "VERIFIED: a",
      "FAILED: gone: gone.gguf: there is no such file",
      `FAILED: b: b.gguf: hash mismatch: expected ${sha256Of("a")}, got ${sha256Of("b")}`,
      "SKIPPED: d",
      expect.stringMatching(/4 models/),
      "",
    ]);
    expect(err).toMatch(/^error: 2 models of .* do not have their bytes\n$/);
  });

  test("finds the predecessor's own copies, and no file by way of a link", async () => {
    const directory = join(folder, "data");
    const object = `objects/sha256/${sha256Of("o").slice(0, 2)}/${sha256Of("o")}.gguf`;
    await mkdir(join(directory, object, ".."), { recursive: true });
    await writeFile(join(directory, object), "o");
    await symlink(join(directory, object), join(directory, "link.gguf"));
    await mkdir(join(directory, "folder.gguf"));
    const path = await lock(entry("o", { object_path: object }), entry("link", { sha256: sha256Of("o") }), entry("folder"));
    const { exit, out } = await securectl("lock", "verify", path, "--dir", directory, "--json");
    expect(exit).toBe(6);
    expect(JSON.parse(out)).toMatchObject({
      entries: [
        { entry: 1, name: "o", status: "intact" },
        { name: "link", status: "failed", reason: "link.gguf: symbolic-link artifacts are not allowed" },
        { name: "folder", status: "failed", reason: "folder.gguf: artifact must be a regular file" },
      ],
    });
  });

  test("exits with 1 when a registry would refuse an entry", async () => {
    const { exit, out, err } = await securectl("lock", "verify", await lock(entry("a"), entry("b", { blocked: true })));
    expect(exit).toBe(1);
    expect(out).toContain('REFUSED: b (entry 2, line 1): unknown key "blocked"');
    expect(err).toMatch(/would refuse 1 entries/);
  });

  test("exits with 1 when a registry would refuse the file, and with 2 when there is none", async () => {
    const path = join(folder, "x.yaml");
    await writeFile(path, "version: 2\n");
    expect(await securectl("lock", "verify", path)).toMatchObject({
      exit: 1,
      out: expect.stringMatching(/^REFUSED: .*version must be 1\n$/) as string,
    });
    expect(JSON.parse((await securectl("lock", "verify", path, "--json")).out)).toMatchObject({ fault: "version must be 1", entries: [] });
    expect(await securectl("lock", "verify", join(folder, "none"))).toMatchObject({ exit: 2 });
    expect(await securectl("lock", "verify", await lock(), "--dir", join(folder, "none"))).toMatchObject({ exit: 2 });
  });

  test.skipIf(process.getuid?.() === 0)("exits with 2 when the file may not be read", async () => {
    const path = await lock();
    await chmod(path, 0);
    expect(await securectl("lock", "verify", path)).toMatchObject({ exit: 2 });
  });
});
