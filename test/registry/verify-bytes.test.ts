import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createLogger } from "../../src/log.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { type Reading, readPublished } from "../../src/registry/verify-bytes.ts";
import type { BlobStore } from "../../src/storage/blob-store.ts";
import { openFilesystem } from "../../src/storage/filesystem.ts";
import { blobsWith } from "../support/blob-registry.ts";
import { fileOf, overwrite } from "../support/damaged-bytes.ts";

const log = createLogger("silent");
let directory: string;
let blobs: BlobStore;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-verify-"));
  blobs = await openFilesystem(directory);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function publish(bytes: string, algorithm: "sha256" | "sha512" = "sha256"): Promise<Digest> {
  const digest = digestOf(bytes, algorithm);
  await blobs.stage("u");
  await blobs.append("u", Readable.from([Buffer.from(bytes)]), 0);
  await blobs.publish("u", digest);
  await blobs.discard("u");
  return digest;
}

const reading = (over: Partial<Reading> = {}): Reading => ({ signal: new AbortController().signal, pace: () => 0, ...over });

/** A store whose streams are no files. */
function streaming(read: () => Readable): BlobStore {
  return blobsWith(blobs, { open: async () => read() });
}

describe("reading a published blob", () => {
  test.each(["sha256", "sha512"] as const)("tells the digest and size of what is there, by %s", async (algorithm) => {
    const bytes = "weights".repeat(300_000);
    const digest = await publish(bytes, algorithm);
    expect(await readPublished({ blobs, log }, digest, reading())).toEqual({ found: "bytes", actual: digest, size: bytes.length });
    await overwrite(directory, digest, "other");
    const other = { found: "bytes", actual: digestOf("other", algorithm), size: 5 };
    expect(await readPublished({ blobs, log }, digest, reading())).toEqual(other);
  });

  test("gives the same over a store whose streams are no files", async () => {
    const digest = digestOf("abc");
    const of = async (read: () => Readable) => readPublished({ blobs: streaming(read), log }, digest, reading());
    expect(await of(() => Readable.from([Buffer.from("a"), Buffer.from("bc")]))).toEqual({ found: "bytes", actual: digest, size: 3 });
  });

  test("tells when nothing is there", async () => {
    const digest = await publish("abc");
    await rm(fileOf(directory, digest));
    expect(await readPublished({ blobs, log }, digest, reading())).toEqual({ found: "nothing" });
  });

  test.each(["EIO", "EMFILE", "ENFILE", "ENOMEM", "ETIMEDOUT", "ESTALE", "EACCES"])("says nothing of bytes behind %s", async (code) => {
    const failure = Object.assign(new Error(`${code}: secret/path`), { code });
    const digest = await publish("abc");
    const failing = blobsWith(blobs, { open: () => Promise.reject(failure) });
    expect(await readPublished({ blobs: failing, log }, digest, reading())).toEqual({ found: "unreadable", code });
    const breaking = streaming(() =>
      Readable.from(
        (async function* () {
          yield Buffer.from("ab");
          throw failure;
        })(),
      ),
    );
    expect(await readPublished({ blobs: breaking, log }, digest, reading())).toEqual({ found: "unreadable", code });
  });

  test("takes a folder in the place of a blob for a failure of the storage", async () => {
    const digest = await publish("abc");
    await rm(fileOf(directory, digest));
    await mkdir(fileOf(directory, digest));
    expect(await readPublished({ blobs, log }, digest, reading())).toEqual({ found: "unreadable", code: "EISDIR" });
  });

  test("ends with the signal, whatever the store's streams are, and lets go of them", async () => {
    const digest = await publish("weights".repeat(300_000));
    const reason = new Error("in vain");
    for (const withFiles of [true, false]) {
      const ending = new AbortController();
      let opened: Readable | undefined;
      const watched = blobsWith(blobs, {
        open: async () => {
          const stream = withFiles ? await blobs.open(digest) : Readable.from([Buffer.alloc(1000), Buffer.alloc(1000)]);
          opened = stream;
          return stream;
        },
      });
      // So slow that it would not end by itself.
      const pace = (): number => {
        ending.abort(reason);
        return 1;
      };
      await expect(readPublished({ blobs: watched, log }, digest, reading({ signal: ending.signal, pace }))).rejects.toBe(reason);
      await expect.poll(() => opened?.destroyed).toBe(true);
    }
  });

  test("does not begin after the signal", async () => {
    const digest = await publish("abc");
    const unopened = blobsWith(blobs, { open: () => Promise.reject(new TypeError("was opened")) });
    await expect(readPublished({ blobs: unopened, log }, digest, reading({ signal: AbortSignal.abort() }))).rejects.toThrow(/abort/i);
  });

  test("takes as long as its pace demands, and no longer once the pace is lifted", async () => {
    const bytes = "x".repeat(1_000_000);
    const digest = await publish(bytes);
    const began = performance.now();
    await readPublished({ blobs, log }, digest, reading({ pace: () => 5_000_000 }));
    expect(performance.now() - began).toBeGreaterThanOrEqual(190);
    let looks = 0;
    // For ever, if it were not lifted at the third look.
    const lifted = reading({ pace: () => ((looks += 1) > 2 ? 0 : 1) });
    expect(await readPublished({ blobs, log }, digest, lifted)).toMatchObject({ found: "bytes", actual: digest });
  });
});
