import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { buffer } from "node:stream/consumers";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { openBlobs } from "../../src/storage/blob-rows.ts";
import type { BlobStore, ByteRange } from "../../src/storage/blob-store.ts";
import { keys } from "../../src/storage/keys.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { putRows } from "../support/rows.ts";
import { underWayIn } from "../support/under-way.ts";
import { all, describeBlobStore, publish, read } from "./blob-store.suite.ts";

describeBlobStore("files, where there could be rows", async () => {
  const place = await mkdtemp(join(tmpdir(), "amr-blob-rows-"));
  const metadata = await openLmdb(join(place, "metadata"));
  return {
    open: () => openBlobs(place, metadata),
    remove: async () => {
      await metadata.close();
      await rm(place, { recursive: true, force: true });
    },
  };
});

describe("a blob that is a row", () => {
  let root: string;
  let metadata: MetadataStore;
  let blobs: BlobStore;
  const DIGEST = digestOf("content");

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "amr-blob-rows-"));
    metadata = await openLmdb(join(root, "metadata"));
    blobs = await openBlobs(root, metadata);
  });

  afterEach(async () => {
    await metadata.close();
    await rm(root, { recursive: true, force: true });
  });

  const put = (value: unknown, digest = DIGEST): Promise<unknown> => putRows(metadata, [{ key: keys.blobContent(digest), value }]);

  /** What a sink gets that stays open, and how much that is said to be. */
  async function copied(digest: Digest, range?: ByteRange): Promise<unknown> {
    const sink = new PassThrough();
    const length = await (await blobs.open(digest, range)).copyTo?.(sink);
    expect(sink.writableEnded).toBe(false);
    return [length, (await buffer(sink.end())).toString("hex")];
  }

  test("is read as one that is a file, whole and in parts", async () => {
    const part = fc.tuple(fc.nat(40), fc.nat(40)).map(([start, length]) => ({ start, end: start + length }));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 30 }), fc.option(part, { nil: undefined }), async (bytes, range) => {
        const [row, file] = [digestOf(bytes), digestOf(bytes, "sha512")];
        await put(bytes, row);
        await blobs.stage("u");
        await blobs.append("u", onePiece(bytes), 0);
        await blobs.publish("u", file);
        await blobs.discard("u");
        expect([await blobs.stat(row), await read(blobs, row, range)]).toEqual([await blobs.stat(file), await read(blobs, file, range)]);
        expect(await copied(row, range)).toEqual(await copied(file, range));
      }),
      { numRuns: 60 },
    );
  });

  test("is not copied to a sink that is closed", async () => {
    await put(Buffer.from("content"));
    const sink = new PassThrough();
    sink.destroy();
    await expect((await blobs.open(DIGEST)).copyTo?.(sink)).rejects.toThrow("closed");
  });

  test("goes before a file of its digest, and the file is there when the row is gone", async () => {
    await publish(blobs, "content");
    await put(Buffer.from("the row"));
    expect([await read(blobs, DIGEST), await blobs.stat(DIGEST)]).toEqual(["the row", { size: 7 }]);
    await putRows(metadata, [], [keys.blobContent(DIGEST)]);
    expect(await read(blobs, DIGEST)).toBe("content");
  });

  test("is as good as empty when something else is in its place", async () => {
    await put({ v: 1 });
    expect([await read(blobs, DIGEST), await blobs.stat(DIGEST)]).toEqual(["", { size: 0 }]);
  });

  test("is no file, and in no list of those", async () => {
    await put(Buffer.from("content"));
    expect(await all(blobs.list())).toEqual([]);
    expect(await blobs.published(DIGEST)).toBeUndefined();
    await blobs.remove(DIGEST, async () => true);
    expect(await read(blobs, DIGEST)).toBe("content");
  });

  test("is lent as a file to who reads files, for as long as that takes, whether it fails or not", async () => {
    await put(Buffer.from("content"));
    const lent = await blobs.inFile(DIGEST, async (path) => [await readFile(path, "utf8"), (await stat(path)).mode & 0o777]);
    expect(lent).toEqual(["content", 0o400]);
    await expect(blobs.inFile(DIGEST, () => Promise.reject(new Error("unreadable")))).rejects.toThrow("unreadable");
    expect(await underWayIn(root)).toEqual([]);
    const file = await publish(blobs, "a file");
    expect(await blobs.inFile(file, (path) => readFile(path, "utf8"))).toBe("a file");
  });

  test("that a process which ended had lent leaves no file after the next start", async () => {
    await writeFile(join(root, "uploads", "+blob.another-boot.1.1.00000000.0192d3a4-0000-7000-8000-000000000000"), "cont");
    await openBlobs(root, metadata);
    expect(await underWayIn(root)).toEqual([]);
  });
});

async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield Buffer.from(bytes);
}
