import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, open, readFile, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ResultFileError, readResultFile, writeResultFile } from "../../src/storage/result-file.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-result-"));
  path = join(folder, "result.json");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function makeFifo(): void {
  expect(spawnSync("mkfifo", [path]).status).toBe(0);
}

describe("reading a result", () => {
  test("gives its bytes, up to the bound", async () => {
    for (const content of ["", "{}", "x".repeat(64)]) {
      await writeFile(path, content);
      expect(Buffer.from((await readResultFile(path, 64)) ?? []).toString()).toBe(content);
    }
    await writeFile(path, "x".repeat(65));
    await expect(readResultFile(path, 64)).rejects.toThrow(ResultFileError);
  });

  test("finds nothing where nothing is", async () => {
    expect(await readResultFile(path, 64)).toBeUndefined();
  });

  test("of a size that it does not say is bounded all the same, without reading all of it", async () => {
    const file = await open(path, "w");
    await file.truncate(1024 ** 4);
    await file.close();
    await expect(readResultFile(path, 64)).rejects.toThrow(ResultFileError);
  });

  test.each([
    ["a symbolic link", "ELOOP", () => writeFile(join(folder, "target"), "{}").then(() => symlink(join(folder, "target"), path))],
    ["a dangling one", "ELOOP", () => symlink(join(folder, "nothing"), path)],
    ["a FIFO, which nobody writes to", "not a regular file", async () => makeFifo()],
    ["a folder", "not a regular file", () => mkdir(path)],
  ])("refuses %s", async (_, why, make) => {
    await make();
    await expect(readResultFile(path, 64)).rejects.toThrow(why);
  });

  test("refuses a device", async () => {
    await expect(readResultFile("/dev/zero", 64)).rejects.toThrow(ResultFileError);
  });
});

describe("writing a result", () => {
  test("leaves a file that others can read, whatever the umask, and nothing else", async () => {
    const before = process.umask(0o077);
    try {
      await writeResultFile(path, "one");
      await writeResultFile(path, "two");
    } finally {
      process.umask(before);
    }
    expect([await readFile(path, "utf8"), (await stat(path)).mode & 0o777, await readdir(folder)]).toEqual(["two", 0o644, ["result.json"]]);
  });

  test("replaces a symbolic link instead of writing through it", async () => {
    const target = join(folder, "target");
    await writeFile(target, "precious");
    await symlink(target, path);
    await writeResultFile(path, "result");
    expect([await readFile(target, "utf8"), await readFile(path, "utf8")]).toEqual(["precious", "result"]);
    expect((await stat(path)).isFile()).toBe(true);
  });

  test("replaces a FIFO instead of waiting for a reader", async () => {
    makeFifo();
    await writeResultFile(path, "result");
    expect(await readFile(path, "utf8")).toBe("result");
  });

  test("into a folder's place or where there is no folder fails, and leaves nothing", async () => {
    await mkdir(path);
    await expect(writeResultFile(path, "result")).rejects.toMatchObject({ code: "EISDIR" });
    await expect(writeResultFile(join(folder, "none", "result"), "result")).rejects.toMatchObject({ code: "ENOENT" });
    expect(await readdir(folder)).toEqual(["result.json"]);
  });

  test("shows who reads meanwhile the old content or the new one, and no half", async () => {
    const [old, fresh] = ["old ".repeat(50_000), "new ".repeat(60_000)];
    await writeResultFile(path, old);
    const seen = new Set<string>();
    const writing = (async () => {
      for (let round = 0; round < 20; round += 1) await writeResultFile(path, round % 2 === 0 ? fresh : old);
    })();
    for (let round = 0; round < 200; round += 1) seen.add(await readFile(path, "utf8"));
    await writing;
    expect([...seen].filter((content) => content !== old && content !== fresh)).toEqual([]);
  });
});
