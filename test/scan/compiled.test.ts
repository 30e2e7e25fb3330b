import { execFile } from "node:child_process";
import { cp, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { GOLDEN } from "../formats/build-gguf.ts";

// The compiler takes its time on a busy machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const run = promisify(execFile);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-compiled-"));
  const compiler = resolve("node_modules/typescript/bin/tsc");
  await run(process.execPath, [compiler, "--noCheck", "--outDir", join(folder, "package", "dist"), "--sourceMap", "false"]);
  await cp("package.json", join(folder, "package", "package.json"));
  await writeFile(join(folder, "golden.gguf"), GOLDEN);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Facts and a manifest, asked of the compiled inspector. */
async function ask(): Promise<unknown> {
  const module = pathToFileURL(join(folder, "package", "dist", "scan", "inspector.js")).href;
  const file = JSON.stringify(join(folder, "golden.gguf"));
  const program = `
    const { createInspector } = await import(${JSON.stringify(module)});
    const inspector = createInspector();
    const { manifest } = await inspector.generate(${file}, "golden.gguf");
    const check = await inspector.verify(${file}, "golden.gguf", manifest);
    console.log(JSON.stringify([await inspector.facts(${file}, "golden.gguf"), check.outcome]));
  `;
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program]);
  return JSON.parse(stdout);
}

test("what is compiled for the package reads files as the sources do, also where node_modules is a symbolic link", async () => {
  await symlink(resolve("node_modules"), join(folder, "package", "node_modules"));
  expect(await ask()).toEqual([expect.objectContaining({ format: "gguf", tensorCount: 3 }), "match"]);
});

test("and where its packages lie further up", async () => {
  await rm(join(folder, "package", "node_modules"), { force: true });
  await cp("node_modules/zod", join(folder, "node_modules", "zod"), { recursive: true });
  await cp("node_modules/pino", join(folder, "node_modules", "pino"), { recursive: true });
  expect(await ask()).toEqual([expect.objectContaining({ format: "gguf", tensorCount: 3 }), "match"]);
});
