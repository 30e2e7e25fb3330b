import { chmod, link, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DirectoryCopier } from "../../conformance/crash-copy.ts";
import { FileDigests } from "../../conformance/file-digests.ts";
import { digestOf } from "../../src/oci/digest.ts";

const BLOB = "blobs/sha256/aa/aaa";
const [OLD, NEW] = ["old bytes", "new bytes"];

let folder: string;
let source: string;
let copier: DirectoryCopier;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-copy-"));
  source = join(folder, "data");
  copier = new DirectoryCopier(source, join(folder, "published"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function put(path: string, bytes: string, mode = 0o444): Promise<void> {
  const file = join(source, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, bytes);
  await chmod(file, mode);
}

/** The next copy. */
async function copied(name: string): Promise<string> {
  const target = join(folder, name);
  copier.copyTo(target);
  return target;
}

describe("a copy of a data directory", () => {
  test("has its files, with their modes and the links that join them, but for the lock of its metadata", async () => {
    await put(BLOB, OLD);
    await mkdir(join(source, "trusted"));
    await link(join(source, BLOB), join(source, "trusted/part"));
    await put("metadata/data.mdb", "rows", 0o600);
    await put("metadata/lock.mdb", "", 0o600);
    const copy = await copied("copy");
    expect(await readFile(join(copy, BLOB), "utf8")).toBe(OLD);
    const [blob, part, rows] = await Promise.all([BLOB, "trusted/part", "metadata/data.mdb"].map((path) => stat(join(copy, path))));
    expect([blob?.ino, blob && blob.mode & 0o777, rows && rows.mode & 0o777]).toEqual([part?.ino, 0o444, 0o600]);
    await expect(stat(join(copy, "metadata/lock.mdb"))).rejects.toThrow("ENOENT");
  });

  test("does not touch what it is a copy of", async () => {
    await put(BLOB, OLD);
    const { ctimeMs, nlink } = await stat(join(source, BLOB));
    await copied("copy");
    expect(await stat(join(source, BLOB))).toMatchObject({ ctimeMs, nlink });
  });

  test("shares published files with the copies before it, and nothing else", async () => {
    await put(BLOB, OLD);
    await put("metadata/data.mdb", "rows", 0o600);
    await put("uploads/one/data", "of a blob that is gone");
    const [first, second] = [await copied("first"), await copied("second")];
    const isShared = async (path: string): Promise<boolean> => (await stat(join(first, path))).ino === (await stat(join(second, path))).ino;
    expect(await Promise.all([BLOB, "metadata/data.mdb", "uploads/one/data"].map(isShared))).toEqual([true, false, false]);
  });

  test.each([
    ["in its place", async () => put("new", NEW).then(() => rename(join(source, "new"), join(source, BLOB)))],
    ["in place, which none ever is", async () => chmod(join(source, BLOB), 0o644).then(() => put(BLOB, NEW))],
  ])("has the bytes of a published file that was replaced %s", async (_, replace) => {
    await put(BLOB, OLD);
    const digests = new FileDigests();
    const first = await copied("first");
    expect(await digests.of(join(first, BLOB))).toBe(digestOf(OLD));
    await replace();
    const second = await copied("second");
    expect([await digests.of(join(first, BLOB)), await digests.of(join(second, BLOB))]).toEqual([digestOf(OLD), digestOf(NEW)]);
  });

  test("keeps nothing of a published file that is gone", async () => {
    await put(BLOB, OLD);
    const first = await copied("first");
    await rm(join(source, BLOB));
    const second = await copied("second");
    await expect(stat(join(second, BLOB))).rejects.toThrow("ENOENT");
    expect((await stat(join(first, BLOB))).nlink).toBe(1);
  });
});

describe("the digest of a file", () => {
  test("is that of its bytes after each change, and undefined when there is none", async () => {
    const digests = new FileDigests();
    await put("file", OLD, 0o600);
    expect(await digests.of(join(source, "file"))).toBe(digestOf(OLD));
    expect(await digests.of(join(source, "file"), "sha512")).toBe(digestOf(OLD, "sha512"));
    await put("file", `${NEW} and more`, 0o600);
    expect(await digests.of(join(source, "file"))).toBe(digestOf(`${NEW} and more`));
    expect(await digests.of(join(source, "none"))).toBeUndefined();
  });
});
