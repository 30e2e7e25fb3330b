import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { StorageFullError } from "../../src/storage/blob-store.ts";
import { decodeKey, encodeKey } from "../../src/storage/lmdb-key.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { startChild } from "../support/child.ts";
import { smallFilesystem } from "../support/small-filesystem.ts";
import { anyKey, auditOf, change, compareKeys, describeMetadataStore } from "./metadata-store.suite.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const COMMIT = new URL("process/commit.ts", import.meta.url);

describeMetadataStore("LMDB", async () => {
  const directory = await mkdtemp(join(tmpdir(), "amr-lmdb-"));
  return { open: () => openLmdb(directory), remove: () => rm(directory, { recursive: true, force: true }) };
});

test("LMDB that was closed takes no commit any more, and is not taken for broken", async () => {
  const directory = await mkdtemp(join(tmpdir(), "amr-lmdb-"));
  try {
    const broken = vi.fn<(error: unknown) => void>();
    const store = await openLmdb(directory, broken);
    const closing = store.close();
    const late = change({ put: [{ key: ["late"], value: 1 }] });
    await expect(store.commit(late)).rejects.toThrow(/closed/);
    await closing;
    await expect(store.commit(late)).rejects.toThrow(/closed/);
    expect(broken).not.toHaveBeenCalled();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

describe("keys in LMDB", () => {
  test("come back as they were", () => {
    fc.assert(
      fc.property(anyKey, (key) => {
        expect(decodeKey(encodeKey(key))).toEqual(key);
      }),
    );
  });

  test("sort as bytes as they sort as keys", () => {
    fc.assert(
      fc.property(anyKey, anyKey, (one, other) => {
        expect(Math.sign(Buffer.compare(encodeKey(one), encodeKey(other)))).toBe(Math.sign(compareKeys(one, other)));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("several processes on one LMDB directory", () => {
  let directory: string;
  let store: MetadataStore;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "amr-lmdb-"));
    store = await openLmdb(directory);
  });

  afterEach(async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });

  test("lose none of their changes to one record, and link one audit chain", async () => {
    const children = Array.from({ length: 3 }, () => startChild(COMMIT, directory, "n", "60"));
    expect(await Promise.all(children.map((child) => child.ended()))).toEqual([0, 0, 0]);
    expect((await store.get(["blob", "n"]))?.value).toBe(180);
    const said = children.flatMap(({ lines }) => lines.map(Number));
    expect(said.toSorted((one, other) => one - other)).toEqual(Array.from({ length: 180 }, (_empty, index) => index + 1));
    expect(await auditOf(store)).toHaveLength(180);
  });

  test("see at once what another one has committed", async () => {
    const child = startChild(COMMIT, directory, "n", "200");
    for (let value = 1; value <= 200; value += 1) {
      await child.said(value);
      const last = Number(child.lines.at(-1));
      // Without waiting in between: what was read a moment ago must not be what is seen now.
      expect((await store.get(["blob", "n"]))?.value).toBeGreaterThanOrEqual(last);
    }
    expect(await child.ended()).toBe(0);
    expect((await store.list({ start: ["blob"], end: ["bloc"], limit: 9 })).map((entry) => entry.value)).toEqual([200]);
  });

  test("keep every change that one of them was told is durable before it was killed, and none by halves", async () => {
    for (let round = 0; round < 4; round += 1) {
      const before = Number((await store.get(["blob", "n"]))?.value ?? 0);
      const children = [startChild(COMMIT, directory, "n", "100000"), startChild(COMMIT, directory, "n", "100000")];
      await Promise.all(children.map((child) => child.said(15 + 7 * round)));
      await Promise.all(children.map((child) => child.kill()));
      // The lock that a killed writer held is free. What it had written whole, and not yet shown, is shown with the next change.
      expect(await store.commit(change({ put: [{ key: ["blob", "other"], value: round }] }))).toBe("committed");
      const value = Number((await store.get(["blob", "n"]))?.value);
      expect(value).toBeGreaterThanOrEqual(Math.max(...children.flatMap(({ lines }) => lines.map(Number))));
      expect(value).toBeGreaterThan(before);
      const links = await store.list({ start: ["link"], end: ["linl"], limit: 10 });
      expect(links.map(({ key }) => key[2])).toEqual([value - 2, value - 1, value]);
      expect(await auditOf(store)).toHaveLength(value + round + 1);
    }
  });
});

// LMDB: after a failed write of the page that shows a commit, no transaction of the process begins any more; a later commit never returns.
describe.runIf(existsSync("/proc/self/fdinfo"))("LMDB whose last write of a commit fails", () => {
  test.each(["EIO", "ENOSPC", "EBADF"])("(%s) says at once that it is broken for this process, and to nobody else", async (fault) => {
    const directory = await mkdtemp(join(tmpdir(), "amr-lmdb-"));
    const child = startChild(new URL("process/break-metadata.ts", import.meta.url), directory, fault);
    expect(await child.ended()).toBe("SIGKILL");
    const said: unknown = JSON.parse(child.lines.at(-1) ?? "");
    expect(said).toEqual({ before: "done done", isBroken: true, after: "failed", told: 1, get: "failed", list: "failed" });
    const store = await openLmdb(directory);
    expect((await store.get(["blob", "n"]))?.value).toBe(1);
    expect(await store.commit(change({ put: [{ key: ["blob", "n"], value: 3 }] }))).toBe("committed");
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
});

describe("LMDB on a full disk", () => {
  test("says so, keeps what it had, and goes on when there is room again", async (context) => {
    await using small = await smallFilesystem("4m");
    if (small === undefined) return context.skip("no file system can be mounted here");
    const report = await small.run(new URL("process/fill-metadata.ts", import.meta.url));
    expect(report).toMatchObject({ error: StorageFullError.name, unhandled: 0, intact: true, after: "committed" });
    expect(report["events"]).toBe(report["committed"]);
  });
});
