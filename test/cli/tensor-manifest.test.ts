import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { run } from "../../src/cli/run.ts";
import { GOLDEN, buildGguf, f32 } from "../formats/build-gguf.ts";
import { textFor } from "../formats/make-manifest.ts";

// Processes take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const MANIFEST = textFor(GOLDEN);

let folder: string;
let model: string;
let manifest: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-manifest-"));
  model = await file("golden.gguf", GOLDEN);
  manifest = await file("golden.json", MANIFEST);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: Uint8Array | string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

interface Ran {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `securectl tensor-manifest` in this process; with no registry anywhere. */
async function securectl(args: readonly string[], terminal = false): Promise<Ran> {
  const [stdin, stdout, stderr] = [new PassThrough(), Object.assign(new PassThrough(), { isTTY: terminal }), new PassThrough()];
  const said = [text(stdout), text(stderr)] as const;
  const exit = await run(["tensor-manifest", ...args], { version: "1.2.3", env: {}, streams: { stdin, stdout, stderr } });
  stdout.end();
  stderr.end();
  const [out, err] = await Promise.all(said);
  return { exit, out, err };
}

describe("generate", () => {
  test("prints the manifest, byte for byte", async () => {
    expect(await securectl(["generate", model])).toEqual({ exit: 0, out: MANIFEST, err: "" });
    expect(await securectl(["generate", model, "--json"])).toEqual({ exit: 0, out: MANIFEST, err: "" });
  });

  test("shows a terminal nothing that it would obey, and the same manifest", async () => {
    const sly = await file("sly.gguf", buildGguf({ tensors: [f32("a\u202eb\u200b", [1])] }));
    const { out } = await securectl(["generate", sly], true);
    expect(out).toContain("a\\u202eb\\u200b");
    expect(JSON.parse(out)).toEqual(JSON.parse(await readFile(sly).then(textFor)));
  });

  test("writes it to a file", async () => {
    const output = join(folder, "written.json");
    expect(await securectl(["generate", model, "--output", output])).toEqual({ exit: 0, out: `Wrote ${output}\n`, err: "" });
    expect(await readFile(output, "utf8")).toBe(MANIFEST);
    const { out } = await securectl(["generate", model, "--output", output, "--json"]);
    expect(JSON.parse(out)).toEqual({ file: model, manifest: output, size_bytes: MANIFEST.length });
  });

  test("follows a symbolic link, as caches of models are full of them", async () => {
    await symlink(model, join(folder, "link.gguf"));
    expect(await securectl(["generate", join(folder, "link.gguf")])).toMatchObject({ exit: 0, out: MANIFEST });
  });

  test("does not write over the model", async () => {
    const { exit, err } = await securectl(["generate", model, "--output", model]);
    expect([exit, err]).toEqual([2, "error: --output names the model file itself\n"]);
    expect(await readFile(model)).toEqual(GOLDEN);
  });

  test("says why there is none", async () => {
    const none = await file("none.bin", "neither");
    const { exit, out, err } = await securectl(["generate", none]);
    expect([exit, out, err]).toEqual([1, "", `error: ${none}: the file is neither GGUF nor safetensors\n`]);
    expect(await securectl(["generate", join(folder, "missing")])).toMatchObject({ exit: 2, out: "" });
  });
});

describe("verify", () => {
  test("passes the file that the manifest was made of", async () => {
    expect(await securectl(["verify", model, manifest])).toEqual({ exit: 0, out: "PASS: all tensors match manifest\n", err: "" });
    const { exit, out } = await securectl(["verify", model, manifest, "--json"]);
    expect([exit, JSON.parse(out)]).toEqual([0, { outcome: "match", count: 0, lines: [] }]);
  });

  test("fails another one with the tensors that differ, and exits with 6", async () => {
    const changed = await file("changed.gguf", GOLDEN.with(GOLDEN.length - 24, 1));
    expect(await securectl(["verify", changed, manifest])).toEqual({
      exit: 6,
      out: "FAIL: 3 mismatches\n  file hash mismatch\n  output_norm.weight: hash mismatch\n  Merkle root mismatch\n",
      err: `error: ${changed} is not what ${manifest} describes\n`,
    });
    const { exit, out } = await securectl(["verify", changed, manifest, "--json"]);
    expect([exit, JSON.parse(out)]).toMatchObject([6, { outcome: "mismatch", count: 3 }]);
  });

  test("does not call failed what it cannot check, and exits with 1", async () => {
    const { exit, out, err } = await securectl(["verify", model, model]);
    expect([exit, out]).toEqual([1, ""]);
    expect(err).toMatch(/^error: cannot check .*: load manifest: /);
    const json = await securectl(["verify", model, model, "--json"]);
    expect([json.exit, JSON.parse(json.out)]).toMatchObject([1, { outcome: "cannot-check" }]);
  });
});

describe("diff", () => {
  test("finds a manifest the same as itself", async () => {
    expect(await securectl(["diff", manifest, manifest])).toEqual({ exit: 0, out: "The manifests describe the same file.\n", err: "" });
  });

  test("names the tensors that differ, and exits with 6", async () => {
    const other = await file("other.json", textFor(GOLDEN.with(GOLDEN.length - 24, 1)));
    const { exit, out } = await securectl(["diff", manifest, other]);
    expect(exit).toBe(6);
    expect(out).toMatch(/\n1 tensors differ, 2 are alike:\n {2}output_norm\.weight: other content\n$/);
    const json = await securectl(["diff", manifest, other, "--json"]);
    expect([json.exit, JSON.parse(json.out)]).toMatchObject([6, { same: false, count: 1, tensors: { from: 3, to: 3, alike: 2 } }]);
  });

  test("says which of the two is no manifest, and exits with 1", async () => {
    const { exit, out, err } = await securectl(["diff", manifest, model]);
    expect([exit, out]).toEqual([1, ""]);
    expect(err).toMatch(/^error: cannot compare: the second manifest: /);
  });
});
