import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import type { Readable } from "node:stream";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type DigestAlgorithm, digestOf } from "../../src/oci/digest.ts";
import { type ContentNames, UploadHashes } from "../../src/registry/upload-hashes.ts";
import type { Upload } from "../../src/registry/upload-id.ts";
import { type BlobStore, StorageFullError } from "../../src/storage/blob-store.ts";
import { openFilesystem } from "../../src/storage/filesystem.ts";
import { openWritable } from "../../src/storage/writable-file.ts";

const hashPrototype = Object.getPrototypeOf(createHash("sha256")) as { update: (data: Uint8Array) => unknown };

let directory: string;
let blobs: BlobStore;
/** How many bytes of uploads were read back. */
let readBack = 0;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-hashes-"));
  blobs = await openFilesystem(directory);
  readBack = 0;
});

afterEach(() => rm(directory, { recursive: true, force: true }));

/** One worker's hashes over the one store. */
function worker(store = blobs): UploadHashes {
  return new UploadHashes({
    append: (upload, body, offset) => store.append(upload, body, offset),
    openStaged: async (upload, start) => {
      const stream: Readable = await store.openStaged(upload, start);
      const read = stream.read.bind(stream);
      stream.read = (size?: number): unknown => {
        const chunk: unknown = read(size);
        if (chunk instanceof Uint8Array) readBack += chunk.byteLength;
        return chunk;
      };
      return stream;
    },
  });
}

async function begin(id: string, algorithm: DigestAlgorithm = "sha256"): Promise<Upload> {
  await blobs.stage(id);
  return { id, algorithm };
}

async function* pieces(...parts: readonly (Uint8Array | Error)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (part instanceof Error) throw part;
    yield part;
  }
}

function bytes(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + seed * 17) & 0xff);
}

function namesOf(content: Uint8Array, algorithm: DigestAlgorithm = "sha256"): ContentNames {
  return { digest: digestOf(content, algorithm), sha256: digestOf(content) };
}

const MEBIBYTE = 1024 * 1024;

describe("UploadHashes", () => {
  test.each(["sha256", "sha512"] as const)("hashes by %s while the bytes arrive and reads nothing back", async (algorithm) => {
    const upload = await begin("a", algorithm);
    const hashes = worker();
    let size = 0;
    for (const seed of [1, 2, 3]) size = await hashes.append(upload, pieces(bytes(1000, seed), bytes(24, seed)), size);
    const all = Buffer.concat([1, 2, 3].flatMap((seed) => [bytes(1000, seed), bytes(24, seed)]));
    expect(await hashes.names(upload, size)).toEqual(namesOf(all, algorithm));
    expect(readBack).toBe(0);
  });

  test.each([
    ["sha256", 1],
    ["sha512", 2],
  ] as const)("pays for a second hash only where it is needed: by %s each byte is hashed %i times", async (algorithm, times) => {
    const update = vi.spyOn(hashPrototype, "update");
    const upload = await begin("a", algorithm);
    const hashes = worker();
    await hashes.append(upload, pieces(bytes(1000), bytes(24, 2)), 0);
    await hashes.names(upload, 1024);
    const hashed = update.mock.calls.reduce((sum, [data]) => sum + data.length, 0);
    update.mockRestore();
    expect(hashed).toBe(1024 * times);
  });

  test("tells the digest by sha256 of an upload that was announced by sha512, and reads nothing back", async () => {
    const upload = await begin("a", "sha512");
    const hashes = worker();
    await hashes.append(upload, pieces(bytes(1000)), 0);
    expect(await hashes.names({ ...upload, algorithm: "sha256" }, 1000)).toEqual(namesOf(bytes(1000)));
    expect(readBack).toBe(0);
  });

  test("can tell the digest again, and go on after it", async () => {
    const upload = await begin("a");
    const hashes = worker();
    const size = await hashes.append(upload, pieces(bytes(10)), 0);
    expect(await hashes.names(upload, size)).toEqual(namesOf(bytes(10)));
    expect(await hashes.names(upload, size)).toEqual(namesOf(bytes(10)));
    await hashes.append(upload, pieces(bytes(5)), size);
    expect(await hashes.names(upload, 15)).toEqual(namesOf(Buffer.concat([bytes(10), bytes(5)])));
    expect(readBack).toBe(0);
  });

  test("goes on after a body that broke off without reading back what had arrived", async () => {
    const upload = await begin("a");
    const hashes = worker();
    const broken = new Error("the client is gone");
    await expect(hashes.append(upload, pieces(bytes(700), broken), 0)).rejects.toBe(broken);
    expect(await hashes.append(upload, pieces(bytes(300, 2)), 700)).toBe(1000);
    expect(await hashes.names(upload, 1000)).toEqual(namesOf(Buffer.concat([bytes(700), bytes(300, 2)])));
    expect(readBack).toBe(0);
  });

  test("reads back what another worker took, and what it hashed by another algorithm", async () => {
    const upload = await begin("a");
    const size = await worker().append(upload, pieces(bytes(1000)), 0);
    const hashes = worker();
    expect(await hashes.append(upload, pieces(bytes(24, 2)), size)).toBe(1024);
    expect(readBack).toBe(1000);
    const all = Buffer.concat([bytes(1000), bytes(24, 2)]);
    expect(await hashes.names(upload, 1024)).toEqual(namesOf(all));
    expect(await hashes.names({ ...upload, algorithm: "sha512" }, 1024)).toEqual(namesOf(all, "sha512"));
  });

  test("reads a long prefix back while the rest arrives", async () => {
    const upload = await begin("a");
    const prefix = Buffer.alloc(20 * MEBIBYTE, "prefix");
    await worker().append(upload, pieces(prefix), 0);
    const hashes = worker();
    let readBackDuringBody = 0;
    async function* slowBody(): AsyncGenerator<Uint8Array> {
      yield bytes(10);
      // The body goes on only when the prefix was read: it can be, since nothing else waits for it.
      while (readBack < prefix.length) await new Promise((resolve) => setImmediate(resolve));
      readBackDuringBody = readBack;
      yield bytes(20, 2);
    }
    const size = await hashes.append(upload, slowBody(), prefix.length);
    expect(readBackDuringBody).toBeGreaterThanOrEqual(prefix.length);
    expect(await hashes.names(upload, size)).toEqual(namesOf(Buffer.concat([prefix, bytes(10), bytes(20, 2)])));
  });

  test("does not trust its hash after a write that failed, whatever another worker writes in its place", async () => {
    let room = 100;
    const full = await openFilesystem(directory, {
      openFile: (path, flags, mode) => {
        const file = openWritable(path, flags, mode);
        return {
          ...file,
          // A disk with room for `room` bytes more.
          write: async (parts, position) => {
            if (room === 0) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
            const fitting = Buffer.concat(parts).subarray(0, room);
            room -= fitting.length;
            return file.write([fitting], position);
          },
        };
      },
    });
    const upload = await begin("a");
    const [failing, other] = [worker(full), worker()];
    await expect(failing.append(upload, pieces(bytes(300, 1)), 0)).rejects.toBeInstanceOf(StorageFullError);
    expect((await blobs.staged("a"))?.size).toBe(100);
    await other.append(upload, pieces(bytes(200, 2)), 100);
    const stored = Buffer.concat([bytes(300, 1).subarray(0, 100), bytes(200, 2)]);
    expect(await failing.names(upload, 300)).toEqual(namesOf(stored));
  });

  test("refuses to tell the digest of more bytes than there are", async () => {
    const upload = await begin("a");
    await worker().append(upload, pieces(bytes(10)), 0);
    await expect(worker().names(upload, 11)).rejects.toThrow("fewer");
  });

  test("forgets the uploads used longest ago rather than growing without bound, and still tells their digest", async () => {
    const hashes = worker();
    const uploads: Upload[] = [];
    for (let at = 0; at < 1030; at += 1) {
      const upload = await begin(`u${at}`);
      uploads.push(upload);
      await hashes.append(upload, pieces(bytes(8, at)), 0);
    }
    for (const [at, upload] of uploads.entries()) expect(await hashes.names(upload, 8)).toEqual(namesOf(bytes(8, at)));
    expect(readBack).toBeGreaterThanOrEqual(6 * 8);
  });

  test("tells the digest of what is stored after any appends, by any workers, broken off anywhere", async () => {
    const append = fc.record({
      by: fc.nat(2),
      parts: fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 4 }),
      breaks: fc.boolean(),
      offBy: fc.constantFrom(0, 0, 0, 0, -1, 1),
      restart: fc.constantFrom(false, false, false, true),
      asks: fc.constantFrom("sha256" as const, "sha512" as const),
    });
    let uploads = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(append, { maxLength: 12 }), async (appends) => {
        const upload = await begin(`p${(uploads += 1)}`);
        const workers = [worker(), worker(), worker()];
        let stored = Buffer.alloc(0);
        for (const { by, parts, breaks, offBy, restart, asks } of appends) {
          if (restart) workers[by] = worker();
          const hashes = workers[by] ?? worker();
          const source = breaks ? pieces(...parts, new Error("broken off")) : pieces(...parts);
          const outcome = await hashes.append(upload, source, stored.length + offBy).catch((error: unknown) => error);
          if (offBy === 0) stored = Buffer.concat([stored, ...parts]);
          expect(outcome instanceof RangeError).toBe(offBy !== 0);
          expect(await hashes.names({ ...upload, algorithm: asks }, stored.length)).toEqual(namesOf(stored, asks));
        }
        for (const hashes of workers) expect(await hashes.names(upload, stored.length)).toEqual(namesOf(stored));
      }),
      { numRuns: 60 },
    );
  });
});
