import { createHash } from "node:crypto";
import { type FileHandle, appendFile, mkdtemp, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { takeInFile, tensorManifestOf } from "../../src/registry/take-in-file.ts";
import { type BlobStore, StorageFullError } from "../../src/storage/blob-store.ts";
import { blobPath, openFilesystem } from "../../src/storage/filesystem.ts";
import { openIncomingFiles } from "../../src/storage/incoming-files.ts";
import { blobsWith } from "../support/blob-registry.ts";
import { cloningFolder } from "../support/reflinks.ts";
import { underWayIn } from "../support/under-way.ts";
import { v7 } from "../support/uuid.ts";

let root: string;
let blobs: BlobStore;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "amr-take-in-"));
  blobs = await openFilesystem(root);
});
afterEach(() => rm(root, { recursive: true }));

type Services = Parameters<typeof takeInFile>[0];

function services(over: Partial<Services> = {}): Services {
  return { blobs, files: openIncomingFiles(root), newId: v7, ...over };
}

/** What a blob holds, and which file it is. */
async function published(folder: string, digest: Digest): Promise<{ text: string; ino: number; links: number; mode: number }> {
  const path = blobPath(join(folder, "blobs"), digest);
  const { ino, nlink: links, mode } = await stat(path);
  return { text: await readFile(path, "utf8"), ino, links, mode: mode & 0o777 };
}

/** Takes a file in while somebody has it open to write, and lets him go on before and after it is published; what is published then. */
async function takeInFromWriter(folder: string, store: BlobStore): Promise<unknown> {
  const path = join(folder, "m.gguf");
  await writeFile(path, "first");
  const writer = await open(path, "r+");
  const taken = await takeInFile(services({ blobs: store, files: openIncomingFiles(folder) }), "m.gguf");
  await overwrite(writer, "again");
  await store.publish(taken.upload, taken.digest, { size: taken.size });
  await overwrite(writer, "later");
  await store.discard(taken.upload);
  await overwrite(writer, "after");
  await writer.truncate(0);
  await writer.close();
  const { ino, ...rest } = await published(folder, taken.digest);
  return { ...rest, digest: taken.digest, size: taken.size, isSameFile: ino === (await stat(path)).ino };
}

const UNTOUCHED = { text: "first", links: 1, mode: 0o444, digest: digestOf("first"), size: 5, isSameFile: false };

async function overwrite(writer: FileHandle, text: string): Promise<void> {
  await writer.write(text, 0);
  await writer.sync();
}

describe("a file that somebody has open to write", () => {
  test("is copied, so that nothing he writes changes what was taken in", async () => {
    expect(await takeInFromWriter(root, blobs)).toEqual(UNTOUCHED);
  });

  test("is cloned where the file system can, with the same effect", async ({ skip }) => {
    await using folder = await cloningFolder();
    if (folder === undefined) return skip("no file system here clones files, and none may be mounted");
    let clones = 0;
    const store = await openFilesystem(folder.path);
    const watched = blobsWith(store, {
      clone: async (upload, fd) => {
        const isClone = await store.clone(upload, fd);
        clones += Number(isClone);
        return isClone;
      },
    });
    expect(await takeInFromWriter(folder.path, watched)).toEqual(UNTOUCHED);
    expect(clones).toBe(1);
  });

  test("and grows or is written over while it is copied is refused, and leaves nothing", async () => {
    for (const change of [
      (path: string) => appendFile(path, "more"),
      async (path: string) => {
        const writer = await open(path, "r+");
        await overwrite(writer, "X");
        await writer.close();
      },
    ]) {
      const path = join(root, "m.gguf");
      await writeFile(path, "bytes");
      const append: BlobStore["append"] = async (upload, bytes, offset) => {
        const size = await blobs.append(upload, bytes, offset);
        await change(path);
        return size;
      };
      const taking = takeInFile(services({ blobs: blobsWith(blobs, { append }) }), "m.gguf");
      await expect(taking).rejects.toThrow("hash verification failed: artifact changed while hashing");
      expect(await underWayIn(root)).toEqual([]);
    }
  });
});

describe("taking a file in", () => {
  test("never links it, whatever names it has", async () => {
    await writeFile(join(root, "m.gguf"), "bytes");
    const taken = await takeInFile(services(), "m.gguf");
    expect((await stat(join(root, "m.gguf"))).nlink).toBe(1);
    await blobs.publish(taken.upload, taken.digest, { size: taken.size });
    expect((await stat(join(root, "m.gguf"))).nlink).toBe(1);
  });

  test("keeps the digest of everything, in pieces of any size", async () => {
    const bytes = Buffer.alloc(5 * 1024 * 1024 + 17, "abc");
    await writeFile(join(root, "m.gguf"), bytes);
    const taken = await takeInFile(services(), "m.gguf");
    expect([taken.size, taken.digest]).toEqual([bytes.length, `sha256:${createHash("sha256").update(bytes).digest("hex")}`]);
  });

  test("stops when only the reserve is left of the storage, before and on the way, and leaves nothing", async () => {
    await writeFile(join(root, "m.gguf"), Buffer.alloc(40 * 1024 * 1024));
    for (const looks of [0, 1, 3]) {
      let looked = 0;
      const room = async (): Promise<number> => {
        looked += 1;
        return looked > looks ? 0 : 1;
      };
      await expect(takeInFile(services({ blobs: blobsWith(blobs, { room }) }), "m.gguf")).rejects.toThrow(StorageFullError);
      expect(await underWayIn(root)).toEqual([]);
    }
  });
});

describe("a tensor manifest beside a model", () => {
  test("is known by its digest, is not there yet, or is not asked for", async () => {
    await writeFile(join(root, "m.json"), "{}");
    expect(await tensorManifestOf(services(), "m.json")).toEqual({ path: "m.json", digest: digestOf("{}") });
    expect(await tensorManifestOf(services(), "missing.json")).toEqual({ path: "missing.json", digest: null });
    expect(await tensorManifestOf(services(), "")).toEqual({ path: "", digest: null });
  });

  test("is refused when it is larger than any may be, before it is read", async () => {
    const file = await open(join(root, "huge.json"), "w");
    await file.truncate(64 * 1024 ** 2 + 1);
    await file.close();
    await expect(tensorManifestOf(services(), "huge.json")).rejects.toThrow("gguf-guard manifest exceeds 64 MiB");
  });
});
