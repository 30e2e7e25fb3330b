import { execFile } from "node:child_process";
import { once } from "node:events";
import { appendFile, chmod, link, mkdir, mkdtemp, open, readFile, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type IncomingFiles, IncomingFileError, openIncomingFiles } from "../../src/storage/incoming-files.ts";
import { startChild } from "../support/child.ts";

const run = promisify(execFile);

let root: string;
let outside: string;
let files: IncomingFiles;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "amr-incoming-"));
  outside = await mkdtemp(join(tmpdir(), "amr-outside-"));
  files = openIncomingFiles(root);
  await mkdir(join(root, "sub"));
  await writeFile(join(outside, "m.gguf"), "secret");
});

afterEach(async () => {
  await rm(root, { recursive: true });
  await rm(outside, { recursive: true });
});

async function put(path: string, bytes: string): Promise<void> {
  await writeFile(join(root, path), bytes);
}

async function bytesOf(path: string): Promise<string> {
  const file = await files.open(path);
  try {
    return (await buffer(Readable.from(file.bytes()))).toString();
  } finally {
    await file.close();
  }
}

async function refusal(path: string): Promise<string> {
  const error = await files.open(path).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(IncomingFileError);
  const { message } = error as Error;
  expect(message).not.toContain(root);
  return message;
}

const LINKS = "symbolic-link artifacts are not allowed";
const REGULAR = "artifact must be a regular file";
const MISSING = "no such file in the registry directory";

describe("a file of the data directory", () => {
  test("is read as it is, in a folder too, also when it is empty or has several names", async () => {
    await put("m.gguf", "bytes");
    await put("sub/n.gguf", "more");
    await put("empty.gguf", "");
    await link(join(root, "m.gguf"), join(root, "linked.gguf"));
    expect(await bytesOf("m.gguf")).toBe("bytes");
    expect(await bytesOf("sub/n.gguf")).toBe("more");
    expect(await bytesOf("empty.gguf")).toBe("");
    expect(await bytesOf("linked.gguf")).toBe("bytes");
  });

  test("is the one that was opened, whatever its name names by then", async () => {
    await put("m.gguf", "first");
    const file = await files.open("m.gguf");
    await put("other.gguf", "second");
    await rename(join(root, "other.gguf"), join(root, "m.gguf"));
    expect((await buffer(Readable.from(file.bytes()))).toString()).toBe("first");
    expect(file.size).toBe(5);
    await file.close();
  });

  test("has the bytes that it had when it was opened, however fast it grows", async () => {
    await put("m.gguf", "bytes");
    const file = await files.open("m.gguf");
    const read = file.bytes()[Symbol.asyncIterator]();
    await appendFile(join(root, "m.gguf"), "x".repeat(10_000));
    expect(String((await read.next()).value)).toBe("bytes");
    await appendFile(join(root, "m.gguf"), "x".repeat(10_000));
    expect((await read.next()).done).toBe(true);
    await file.close();
  });

  test("tells when it has grown, was written over in place, or only touched", async () => {
    for (const change of [
      (path: string) => appendFile(path, "x"),
      async (path: string) => {
        const handle = await open(path, "r+");
        await handle.write("X", 0);
        await handle.close();
      },
      (path: string) => utimes(path, 1, 1),
    ]) {
      await put("m.gguf", "bytes");
      const file = await files.open("m.gguf");
      expect(await file.isUnchanged()).toBe(true);
      await change(join(root, "m.gguf"));
      expect(await file.isUnchanged()).toBe(false);
      await file.close();
    }
  });
});

describe("refused is", () => {
  test("what is not there, or below what is no folder", async () => {
    await put("m.gguf", "bytes");
    expect(await refusal("missing.gguf")).toBe(MISSING);
    expect(await refusal("nowhere/m.gguf")).toBe(MISSING);
    expect(await refusal("m.gguf/m.gguf")).toBe(MISSING);
    expect(await refusal(`${"x".repeat(256)}.gguf`)).toBe("the file's name is too long");
  });

  test("a symbolic link, to a file inside too, and one that leads nowhere", async () => {
    await put("m.gguf", "bytes");
    await symlink(join(outside, "m.gguf"), join(root, "out.gguf"));
    await symlink("m.gguf", join(root, "in.gguf"));
    await symlink("missing.gguf", join(root, "dangling.gguf"));
    for (const path of ["out.gguf", "in.gguf", "dangling.gguf"]) expect(await refusal(path)).toBe(LINKS);
  });

  test("a folder on the way that is a symbolic link, to a folder inside too", async () => {
    await put("sub/n.gguf", "bytes");
    await symlink(outside, join(root, "out"));
    await symlink("sub", join(root, "in"));
    expect(await refusal("out/m.gguf")).toBe(LINKS);
    expect(await refusal("in/n.gguf")).toBe(LINKS);
  });

  test("a folder", async () => {
    expect(await refusal("sub")).toBe(REGULAR);
  });

  test("a FIFO, at once, though nobody writes to it", async () => {
    await run("mkfifo", [join(root, "fifo.gguf")]);
    expect(await refusal("fifo.gguf")).toBe(REGULAR);
  });

  test("a socket", async () => {
    const server = createServer().listen(join(root, "socket.gguf"));
    await once(server, "listening");
    expect(await refusal("socket.gguf")).toBe(REGULAR);
    server.close();
  });

  test.skipIf(process.getuid?.() !== 0)("a device", async () => {
    await run("mknod", [join(root, "device.gguf"), "c", "1", "5"]);
    expect(await refusal("device.gguf")).toBe(REGULAR);
  });

  test("what this user may not read", async () => {
    await put("m.gguf", "bytes");
    await chmod(join(root, "m.gguf"), 0);
    const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    await chmod(root, 0o755);
    const script = new URL("process/open-incoming.ts", import.meta.url).pathname;
    const { stdout } = await run(process.execPath, [script, root, "m.gguf"], nobody);
    expect(stdout).toBe("the registry may not read this file");
  });
});

test("a data directory that is reached by a symbolic link is a data directory", async () => {
  await put("m.gguf", "bytes");
  await symlink(root, join(outside, "data"));
  files = openIncomingFiles(join(outside, "data"));
  expect(await bytesOf("m.gguf")).toBe("bytes");
});

async function identityOf(path: string): Promise<string> {
  const file = await files.open(path);
  await file.close();
  return file.identity;
}

function noneWhenRefused(error: unknown): undefined {
  if (!(error instanceof IncomingFileError)) throw error;
}

describe("a file that was taken in", () => {
  test("is removed", async () => {
    await put("sub/n.gguf", "bytes");
    await files.removeIfSame("sub/n.gguf", await identityOf("sub/n.gguf"));
    await expect(stat(join(root, "sub/n.gguf"))).rejects.toThrow("ENOENT");
    await files.removeIfSame("sub/n.gguf", "any");
  });

  test("stays when it has changed, or another file with the same bytes took its place", async () => {
    await put("m.gguf", "bytes");
    const identity = await identityOf("m.gguf");
    await appendFile(join(root, "m.gguf"), "x");
    await files.removeIfSame("m.gguf", identity);
    expect(await readFile(join(root, "m.gguf"), "utf8")).toBe("bytesx");
    const now = await identityOf("m.gguf");
    await put("other.gguf", "bytesx");
    await rename(join(root, "other.gguf"), join(root, "m.gguf"));
    await files.removeIfSame("m.gguf", now);
    expect(await readFile(join(root, "m.gguf"), "utf8")).toBe("bytesx");
  });

  test("stays when a symbolic link took its place, as does what that names", async () => {
    await put("m.gguf", "bytes");
    await put("sub/n.gguf", "bytes");
    const [identity, inFolder] = [await identityOf("m.gguf"), await identityOf("sub/n.gguf")];
    await rename(join(root, "m.gguf"), join(root, "moved.gguf"));
    await symlink("moved.gguf", join(root, "m.gguf"));
    await rename(join(root, "sub"), join(root, "moved"));
    await symlink("moved", join(root, "sub"));
    await files.removeIfSame("m.gguf", identity);
    await files.removeIfSame("sub/n.gguf", inFolder);
    expect(await readFile(join(root, "moved.gguf"), "utf8")).toBe("bytes");
    expect(await readFile(join(root, "moved/n.gguf"), "utf8")).toBe("bytes");
  });
});

describe("while somebody swaps a folder for a symbolic link and back, as fast as he can,", () => {
  const SCRIPT = new URL("process/swap-folder.ts", import.meta.url);

  test("no file behind the link is ever opened", async () => {
    await put("sub/m.gguf", "inside");
    const swapper = startChild(SCRIPT, root, outside);
    try {
      await swapper.said(1);
      const seen = { opened: 0, refused: 0 };
      for (let tries = 0; tries < 20_000 && (tries < 500 || seen.opened === 0 || seen.refused === 0); tries += 1) {
        const file = await files.open("sub/m.gguf").catch(noneWhenRefused);
        seen[file === undefined ? "refused" : "opened"] += 1;
        if (file === undefined) continue;
        expect((await buffer(Readable.from(file.bytes()))).toString()).toBe("inside");
        await file.close();
      }
      expect(seen.opened * seen.refused).toBeGreaterThan(0);
    } finally {
      await swapper.kill();
    }
  });

  test("no file behind the link is ever removed", async () => {
    const swapper = startChild(SCRIPT, root, outside);
    try {
      await swapper.said(1);
      let removed = 0;
      for (let tries = 0; tries < 20_000 && (tries < 500 || removed < 20); tries += 1) {
        await writeFile(join(root, "aside/m.gguf"), "inside").catch(() => undefined);
        const file = await files.open("sub/m.gguf").catch(noneWhenRefused);
        await file?.close();
        if (file === undefined) continue;
        await files.removeIfSame("sub/m.gguf", file.identity);
        removed += 1;
        expect(await readFile(join(outside, "m.gguf"), "utf8")).toBe("secret");
      }
      expect(removed).toBeGreaterThan(0);
    } finally {
      await swapper.kill();
    }
  });
});
