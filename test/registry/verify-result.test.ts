import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createLogger } from "../../src/log.ts";
import { publishResult, readIntegrityResult } from "../../src/registry/verify-result.ts";
import { keys } from "../../src/storage/keys.ts";
import { verificationRecord } from "../../src/storage/records.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

const log = createLogger("silent");
let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-integrity-"));
  path = join(folder, "integrity.json");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const read = (): Promise<unknown> => readIntegrityResult({ integrityResultPath: path, log });

describe("the result of the last integrity check", () => {
  test("is unknown while there is no file", async () => {
    expect(await read()).toEqual({ detail: "no integrity check has run yet", status: "unknown" });
  });

  test.each([
    '{"status":"ok","models_checked":3,"failures":0,"checked_at":"2026-01-01T00:00:00Z"}',
    "[1,2]",
    '"text"',
    "17",
    "null",
    " {} \n",
  ])("is whatever one value its file holds: %s", async (content) => {
    await writeFile(path, content);
    expect(await read()).toEqual(JSON.parse(content));
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "status: ok"],
    ["two values", "{} {}"],
    ["half a value", '{"status":"ok"'],
    ["a member twice", '{"status":"ok","status":"failed"}'],
    ["no UTF-8", Buffer.from([0x22, 0xff, 0x22])],
    ["nesting without end", "[".repeat(100_000)],
    ["more than a mebibyte", `"${"x".repeat(1024 * 1024)}"`],
  ])("cannot be had from a file with %s", async (_, content) => {
    await writeFile(path, content);
    await expect(read()).rejects.toMatchObject({ code: "UNAVAILABLE", message: "integrity result unavailable" });
  });

  test("may have a mebibyte", async () => {
    const text = "x".repeat(1024 * 1024 - 2);
    await writeFile(path, `"${text}"`);
    expect(await read()).toBe(text);
  });

  test("cannot be had through a symbolic link", async () => {
    await writeFile(join(folder, "secret"), "{}");
    await symlink(join(folder, "secret"), path);
    await expect(read()).rejects.toMatchObject({ code: "UNAVAILABLE", message: "integrity result unavailable" });
  });
});

describe("publishing a result", () => {
  let store: Awaited<ReturnType<typeof temporaryMetadata>>;
  beforeEach(async () => {
    store = await temporaryMetadata();
  });
  afterEach(() => store[Symbol.asyncDispose]());

  const KEY = keys.job("verify-all");
  const publish = (metadata = store.metadata): Promise<void> => publishResult({ metadata, log, integrityResultPath: path });

  /** A check ends, by its id and how many blobs it has checked. */
  async function ends(id: string, blobsChecked: number): Promise<void> {
    const last = {
      id,
      by: "olga",
      startedAt: 0,
      endedAt: 1000,
      blobsChecked,
      bytesChecked: 0,
      blobsDamaged: 0,
      blobsUnreadable: 0,
      unreadable: [],
      status: "ok",
      detail: null,
      artifactsChecked: 0,
      artifactsFailed: 0,
      isPublished: false,
    };
    const value = verificationRecord.parse({ v: 1, since: 0, current: null, last });
    await store.metadata.commit({ expect: [], put: [{ key: KEY, value }], remove: [], audit: [] });
  }
  const lastPublished = async (): Promise<unknown> => {
    const { last } = verificationRecord.parse((await store.metadata.get(KEY))?.value);
    return [last?.id, last?.isPublished];
  };

  test("writes it once, and names nobody in it", async () => {
    await publish();
    expect(await read()).toMatchObject({ status: "unknown" });
    await ends("a", 1);
    await publish();
    expect(await read()).toEqual({
      status: "ok",
      models_checked: 0,
      failures: 0,
      checked_at: "1970-01-01T00:00:01.000Z",
      started_at: "1970-01-01T00:00:00.000Z",
      blobs_checked: 1,
      bytes_checked: 0,
      blobs_damaged: 0,
      blobs_unreadable: 0,
    });
    expect(await lastPublished()).toEqual(["a", true]);
    await rm(path);
    await publish();
    expect(await read()).toMatchObject({ status: "unknown" });
  });

  test("leaves the later one there, also when an earlier one was slow to be written", async () => {
    await ends("a", 1);
    let isFirst = true;
    const slow = {
      list: store.metadata.list.bind(store.metadata),
      commit: store.metadata.commit.bind(store.metadata),
      close: async () => undefined,
      get: async (key: Parameters<typeof store.metadata.get>[0]) => {
        const before = await store.metadata.get(key);
        if (isFirst) {
          isFirst = false;
          await ends("b", 2);
          await publish();
        }
        return before;
      },
    };
    await publish(slow);
    expect(await read()).toMatchObject({ blobs_checked: 2 });
    expect(await lastPublished()).toEqual(["b", true]);
  });
});
