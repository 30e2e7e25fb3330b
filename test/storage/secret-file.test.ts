import { chmod, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readSecretFile, writeSecretFile } from "../../src/storage/secret-file.ts";

const SECRET = "s".repeat(32);

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-secret-"));
  path = join(folder, "token");
});
afterEach(async () => rm(folder, { recursive: true, force: true }));

async function put(text: string, mode = 0o600): Promise<void> {
  await writeFile(path, text);
  await chmod(path, mode);
}

describe("readSecretFile", () => {
  test("reads one line, without the space around it", async () => {
    await put(`  ${SECRET}\n`);
    expect(await readSecretFile(path)).toEqual({ secret: SECRET, readableByOthers: false });
  });

  test("says when others can read it too", async () => {
    await put(SECRET, 0o644);
    expect(await readSecretFile(path)).toMatchObject({ readableByOthers: true });
    await put(SECRET, 0o640);
    expect(await readSecretFile(path)).toMatchObject({ readableByOthers: true });
  });

  test("knows nothing where there is no file", async () => {
    expect(await readSecretFile(path)).toBeUndefined();
    expect(await readSecretFile(join(path, "below"))).toBeUndefined();
  });

  test.each([
    ["too short", "s".repeat(31), 0o600],
    ["empty", "", 0o600],
    ["of two words", `${SECRET} ${SECRET}`, 0o600],
    ["of two lines", `${SECRET}\n${SECRET}`, 0o600],
    ["too large", "s".repeat(5000), 0o600],
    ["writable by a group", SECRET, 0o620],
    ["writable by all", SECRET, 0o602],
  ])("refuses a file that is %s", async (_, text, mode) => {
    await put(text, mode);
    await expect(readSecretFile(path)).rejects.toThrow(path);
  });

  test("refuses a symbolic link, a folder and a device", async () => {
    await writeFile(join(folder, "target"), SECRET, { mode: 0o600 });
    await symlink(join(folder, "target"), path);
    await expect(readSecretFile(path)).rejects.toThrow("symbolic link");
    await expect(readSecretFile(folder)).rejects.toThrow("regular file");
    await expect(readSecretFile("/dev/null")).rejects.toThrow("regular file");
  });

  test("never shows the secret in what it refuses", async () => {
    await put(`${SECRET} x`);
    await expect(readSecretFile(path)).rejects.not.toThrow(SECRET);
  });
});

describe("writeSecretFile", () => {
  test("writes one line for the owner alone, and makes the folder", async () => {
    const below = join(folder, "new", "token");
    await writeSecretFile(below, SECRET);
    expect(await readFile(below, "utf8")).toBe(`${SECRET}\n`);
    expect((await stat(below)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "new"))).mode & 0o777).toBe(0o700);
  });

  test("replaces what was there, without a moment in which others could read it, and leaves nothing beside", async () => {
    await put("old", 0o644);
    await writeSecretFile(path, SECRET);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(["token"]);
  });

  test("replaces a symbolic link, and does not write through it", async () => {
    const target = join(folder, "target");
    await writeFile(target, "other");
    await symlink(target, path);
    await writeSecretFile(path, SECRET);
    expect(await readFile(target, "utf8")).toBe("other");
    expect(await readSecretFile(path)).toMatchObject({ secret: SECRET });
  });

  test("leaves nothing behind when it fails", async () => {
    const occupied = join(folder, "occupied");
    await writeSecretFile(join(occupied, "inside"), SECRET);
    await expect(writeSecretFile(occupied, SECRET)).rejects.toThrow("EISDIR");
    expect((await readdir(folder)).filter((name) => name.startsWith("."))).toEqual([]);
  });
});
