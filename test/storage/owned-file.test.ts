import { execFileSync } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { OwnedFileError, readOwnedFile } from "../../src/storage/owned-file.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-owned-"));
  path = join(folder, "file");
  await writeFile(path, "what the operator wants", { mode: 0o644 });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function refusal(outside?: string): Promise<string> {
  try {
    await readOwnedFile(path, { maxBytes: 100, ...(outside !== undefined && { outside }) });
    return "";
  } catch (error) {
    if (error instanceof OwnedFileError) return error.message;
    throw error;
  }
}

test("a file that nobody else can write is read, whoever may read it", async () => {
  await mkdir(join(folder, "data"));
  expect(Buffer.from((await readOwnedFile(path, { maxBytes: 100, outside: join(folder, "data") })) ?? []).toString()).toBe(
    "what the operator wants",
  );
});

test("a file that is not there is none, nor is one in a folder that is not there", async () => {
  expect(await readOwnedFile(join(folder, "other"), { maxBytes: 100 })).toBeUndefined();
  expect(await readOwnedFile(join(folder, "no", "file"), { maxBytes: 100 })).toBeUndefined();
  expect(await readOwnedFile(join(path, "file"), { maxBytes: 100 })).toBeUndefined();
});

test.each([0o664, 0o646, 0o666])("a file with the mode %o is refused", async (mode) => {
  await chmod(path, mode);
  expect(await refusal()).toMatch(/^it can be written by others: .*chmod go-w/);
});

test.each([0o775, 0o757, 0o1777])("a file in a folder with the mode %o is refused", async (mode) => {
  await chmod(folder, mode);
  expect(await refusal()).toMatch(/^its folder can be written by others/);
});

test("a symbolic link is refused, a folder behind one is looked at where it is", async () => {
  await symlink(path, join(folder, "link"));
  const real = path;
  path = join(folder, "link");
  expect(await refusal()).toBe("it is a symbolic link");
  await mkdir(join(folder, "open"));
  await chmod(join(folder, "open"), 0o777);
  await writeFile(join(folder, "open", "file"), "theirs", { mode: 0o644 });
  await symlink(join(folder, "open"), join(folder, "way"));
  path = join(folder, "way", "file");
  expect(await refusal()).toMatch(/^its folder can be written by others/);
  path = real;
  expect(await refusal()).toBe("");
});

test("what is no regular file is refused, and nobody waits for a pipe", async () => {
  path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  await chmod(path, 0o600);
  expect(await refusal()).toBe("it is not a regular file");
  path = join(folder, "folder");
  await mkdir(path);
  expect(await refusal()).toBe("it is not a regular file");
});

test("a file in the folder where others may put files is refused, also by way of a link", async () => {
  expect(await refusal(folder)).toMatch(/^it lies in the data directory/);
  const sub = join(folder, "sub");
  await mkdir(sub);
  await symlink(sub, `${folder}-way`);
  try {
    await writeFile(join(sub, "file"), "x", { mode: 0o644 });
    path = join(`${folder}-way`, "file");
    expect(await refusal(folder)).toMatch(/^it lies in the data directory/);
  } finally {
    await rm(`${folder}-way`);
  }
});

test("a file that is too large is refused", async () => {
  await writeFile(path, "x".repeat(101));
  expect(await refusal()).toBe("it has more than 100 bytes");
});

test.runIf(process.getuid?.() === 0)("a file of another user is refused, and one of root is not", async () => {
  await chown(path, 12_345, 12_345);
  expect(await refusal()).toMatch(/^it belongs to another user/);
  await chown(path, 0, 0);
  await chown(folder, 12_345, 12_345);
  expect(await refusal()).toMatch(/^its folder belongs to another user/);
});
