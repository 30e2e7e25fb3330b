import { execFile } from "node:child_process";
import { chmod, chown, lchown, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { DataDirectoryError, openDataDirectory } from "../../src/storage/data-directory.ts";
import { type Child, startChild, startProgram } from "../support/child.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const HOLD = new URL("process/hold-directory.ts", import.meta.url);
const IN_USE = /^DataDirectoryError: .* is in use by another registry/;

let parent: string;
let root: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "amr-data-"));
  root = join(parent, "data");
});

afterEach(() => rm(parent, { recursive: true, force: true }));

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
const locks = async (): Promise<string[]> => (await readdir(join(root, "metadata"))).filter((name) => name.startsWith("in-use."));

describe("a data directory", () => {
  test("is made with its folders, each as open as it may be, whatever the umask", async () => {
    const before = process.umask(0o077);
    try {
      const opened = await openDataDirectory(root);
      await opened.release();
      expect(opened.paths.root).toBe(root);
    } finally {
      process.umask(before);
    }
    const modes = { credentials: 0o700, metadata: 0o700, blobs: 0o700, uploads: 0o700, trusted: 0o755 };
    for (const [folder, mode] of Object.entries(modes)) expect([folder, await modeOf(join(root, folder))]).toEqual([folder, mode]);
  });

  test("that was too open is closed", async () => {
    await mkdir(join(root, "blobs"), { recursive: true });
    await chmod(join(root, "blobs"), 0o777);
    await (await openDataDirectory(root)).release();
    expect(await modeOf(join(root, "blobs"))).toBe(0o700);
  });

  test("in which others may put files keeps its folders from them, and is left as it is otherwise", async () => {
    for (const [before, after] of [
      [0o2775, 0o3775],
      [0o777, 0o1777],
      [0o755, 0o755],
    ] as const) {
      await mkdir(root, { recursive: true });
      await chmod(root, before);
      const opened = await openDataDirectory(root);
      await opened.release();
      expect([opened.isOpenToOthers, (await stat(root)).mode & 0o7777]).toEqual([false, after]);
    }
  });

  test.runIf(process.getuid?.() === 0).each(["folder", "link"])(
    "is refused where another user has put a %s in the place of one of its own",
    async (kind) => {
      const theirs = join(root, kind === "folder" ? "trusted" : "theirs");
      await mkdir(theirs, { recursive: true });
      if (kind === "folder") await chown(theirs, 65_534, 65_534);
      else {
        await symlink(theirs, join(root, "trusted"));
        await lchown(join(root, "trusted"), 65_534, 65_534);
      }
      await expect(openDataDirectory(root)).rejects.toThrow(/trusted belongs to another user: give it to root or to the registry's user/);
    },
  );

  test.each(["", "trusted"])("is refused in words where a file is in the way of its folder %j", async (folder) => {
    if (folder !== "") await mkdir(root);
    await writeFile(join(root, folder), "a file");
    await expect(openDataDirectory(root)).rejects.toThrow(DataDirectoryError);
    await expect(openDataDirectory(root)).rejects.toThrow(/cannot be used as the data directory \(EEXIST\)/);
  });

  test("is refused in words where the kernel lets nobody make a folder", async ({ skip }) => {
    const barred = "/proc/registry/data";
    if ((await stat("/proc/self").catch(() => undefined)) === undefined) skip("there is no /proc here");
    await expect(openDataDirectory(barred)).rejects.toThrow(`${barred} cannot be used as the data directory (ENOENT)`);
  });

  test("keeps what is in it, also what is none of the registry's", async () => {
    await mkdir(root);
    await writeFile(join(root, "model.gguf"), "bytes");
    for (let time = 0; time < 2; time += 1) await (await openDataDirectory(root)).release();
    expect(await readFile(join(root, "model.gguf"), "utf8")).toBe("bytes");
  });

  test("has absolute paths, from a relative one, too", async () => {
    const opened = await openDataDirectory(relative(process.cwd(), root));
    await opened.release();
    expect(opened.paths).toEqual({
      root,
      credentials: join(root, "credentials"),
      metadata: join(root, "metadata"),
      blobs: join(root, "blobs"),
      uploads: join(root, "uploads"),
      trusted: join(root, "trusted"),
    });
  });
});

describe("the root secret", () => {
  test("is made once, private, and the same for every process", async () => {
    const first = await openDataDirectory(root);
    const worker = await openDataDirectory(root, { worker: true });
    await first.release();
    const second = await openDataDirectory(root);
    await second.release();
    expect(first.secret).toHaveLength(32);
    expect([worker.secret, second.secret]).toEqual([first.secret, first.secret]);
    expect(await modeOf(join(root, "metadata/secret"))).toBe(0o600);
    expect(await readdir(join(root, "metadata"))).toEqual(["secret"]);
  });

  test("differs between registries", async () => {
    const [one, other] = [await openDataDirectory(root), await openDataDirectory(join(parent, "other"))];
    await Promise.all([one.release(), other.release()]);
    expect(one.secret).not.toEqual(other.secret);
  });

  test("is made anew after a crash in the midst of its making", async () => {
    await mkdir(join(root, "metadata"), { recursive: true });
    await writeFile(join(root, "metadata/secret.new"), "half");
    const opened = await openDataDirectory(root);
    await opened.release();
    expect(opened.secret).toHaveLength(32);
    expect(await readdir(join(root, "metadata"))).toEqual(["secret"]);
  });

  test("is never replaced: a damaged one, or one that others can read, refuses the start and leaves the directory free", async () => {
    await (await openDataDirectory(root)).release();
    await chmod(join(root, "metadata/secret"), 0o640);
    await expect(openDataDirectory(root)).rejects.toThrow(/others can read/);
    await chmod(join(root, "metadata/secret"), 0o600);
    await truncate(join(root, "metadata/secret"), 31);
    await expect(openDataDirectory(root)).rejects.toThrow(/must have 32 bytes/);
    await expect(openDataDirectory(root, { worker: true })).rejects.toBeInstanceOf(DataDirectoryError);
    expect((await stat(join(root, "metadata/secret"))).size).toBe(31);
    expect(await locks()).toEqual([]);
  });

  test("is not made by a worker", async () => {
    await mkdir(join(root, "metadata"), { recursive: true });
    await expect(openDataDirectory(root, { worker: true })).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("a second start over a directory", () => {
  const children: Child[] = [];

  afterEach(async () => {
    for (const child of children.splice(0)) await child.kill();
  });

  const start = async (...program: readonly string[]): Promise<string> => {
    const child =
      program.length === 0 ? startChild(HOLD, root) : startProgram("unshare", ...program, process.execPath, HOLD.pathname, root);
    children.push(child);
    await child.said(1);
    return child.lines[0] ?? "";
  };

  test("is refused with the reason while the first one runs, and its workers are not", async () => {
    const first = await openDataDirectory(root);
    await expect(openDataDirectory(root)).rejects.toThrow(/is in use by another registry: stop that one first/);
    expect(await start()).toMatch(IN_USE);
    await openDataDirectory(root, { worker: true });
    await first.release();
    expect(await start()).toBe("held");
    await expect(openDataDirectory(root)).rejects.toBeInstanceOf(DataDirectoryError);
  });

  test("goes on where the first one was killed, and tidies up behind it", async () => {
    expect(await start()).toBe("held");
    expect(await locks()).toHaveLength(1);
    await children[0]?.kill();
    expect(await locks()).toHaveLength(1);
    expect(await start()).toBe("held");
    expect(await locks()).toHaveLength(1);
  });

  test("is refused across a limit of process ids, as between containers", async (context) => {
    const namespaces = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
    const possible = await promisify(execFile)("unshare", [...namespaces, "true"]).catch(() => undefined);
    if (possible === undefined) return context.skip("no namespace of process ids can be made here");
    const first = await openDataDirectory(root);
    expect(await start(...namespaces)).toMatch(IN_USE);
    await first.release();
    expect(await start(...namespaces, "--kill-child")).toBe("held");
    expect(await start()).toMatch(IN_USE);
  });

  test("that comes at the same time as others leaves exactly one", async () => {
    for (let round = 0; round < 3; round += 1) {
      const said = await Promise.all(Array.from({ length: 4 }, () => start()));
      expect(said.filter((line) => line === "held")).toHaveLength(1);
      expect(said.filter((line) => IN_USE.test(line))).toHaveLength(3);
      for (const child of children.splice(0)) await child.kill();
    }
  });

  test("that comes at the same time in one process leaves exactly one", async () => {
    for (let round = 0; round < 20; round += 1) {
      const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => openDataDirectory(root)));
      const held = outcomes.filter((outcome) => outcome.status === "fulfilled");
      expect(held).toHaveLength(1);
      await Promise.all(held.map(({ value }) => value.release()));
      expect(await locks()).toEqual([]);
    }
  });

  test("is refused under a path that is longer than a socket's may be", async () => {
    root = join(parent, "x".repeat(200), "y".repeat(200));
    const first = await openDataDirectory(root);
    await expect(openDataDirectory(root)).rejects.toBeInstanceOf(DataDirectoryError);
    expect(await start()).toMatch(IN_USE);
    await first.release();
    await (await openDataDirectory(root)).release();
    expect(await locks()).toEqual([]);
  });

  test("takes a holder that accepts and says nothing for one that holds", async () => {
    await mkdir(join(root, "metadata"), { recursive: true });
    const mute = createServer((socket) => socket.on("error", () => {}));
    await new Promise<void>((resolve) => mute.listen(join(root, "metadata/in-use.0000000000000000"), resolve));
    await expect(openDataDirectory(root)).rejects.toBeInstanceOf(DataDirectoryError);
    await new Promise((resolve) => mute.close(resolve));
  });
});
