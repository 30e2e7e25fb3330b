import { utimes } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { expireUploads } from "../../src/jobs/expire-uploads.ts";
import { HeldSource, all, pieces } from "../storage/blob-store.suite.ts";
import { blobsWith } from "../support/blob-registry.ts";
import { type World, openWorld } from "./garbage.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const HOUR = 60 * 60 * 1000;
let world: World;

beforeEach(async () => {
  world = await openWorld();
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

const left = async (): Promise<string[]> => (await all(world.stores.blobs.listStaged())).toSorted();

test("uploads that nobody has written to for a day are discarded, and no others", async () => {
  const { blobs } = world.stores;
  for (const upload of ["old", "touched", "new"]) {
    await blobs.stage(upload);
    await blobs.append(upload, pieces("abc"), 0);
  }
  const dayAgo = (Date.now() - 25 * HOUR) / 1000;
  for (const upload of ["old", "touched"]) await utimes(join(world.directory, "uploads", upload, "data"), dayAgo, dayAgo);
  await blobs.append("touched", pieces("def"), 3);
  expect(await expireUploads(world.stores)).toBe(1);
  expect(await left()).toEqual(["new", "touched"]);
  world.ahead = 23 * HOUR;
  expect(await expireUploads(world.stores)).toBe(0);
  world.ahead = 25 * HOUR;
  expect(await expireUploads(world.stores)).toBe(2);
  expect(await left()).toEqual([]);
});

test("an upload that somebody holds is left, and goes when it is free", async () => {
  const { blobs } = world.stores;
  await blobs.stage("held");
  await blobs.stage("free");
  const source = new HeldSource();
  const appending = blobs.append("held", source, 0);
  await source.asked;
  expect(await expireUploads(world.stores, { lifetime: -HOUR })).toBe(1);
  expect(await left()).toEqual(["held"]);
  source.give();
  await appending;
  expect(await expireUploads(world.stores, { lifetime: -HOUR })).toBe(1);
});

test("an upload that cannot be removed keeps no other one", async () => {
  const { blobs } = world.stores;
  for (const upload of ["a", "b", "c"]) await blobs.stage(upload);
  const sick = blobsWith(blobs, {
    discard: async (upload) => {
      if (upload === "b") throw Object.assign(new Error("EIO"), { code: "EIO" });
      await blobs.discard(upload);
    },
  });
  expect(await expireUploads({ ...world.stores, blobs: sick }, { lifetime: -HOUR })).toBe(2);
  expect(await left()).toEqual(["b"]);
});

test("an end that is asked for comes between two uploads", async () => {
  const { blobs } = world.stores;
  for (const upload of ["a", "b", "c"]) await blobs.stage(upload);
  const ending = new AbortController();
  const watched = blobsWith(blobs, {
    discard: async (upload) => {
      ending.abort();
      await blobs.discard(upload);
    },
  });
  expect(await expireUploads({ ...world.stores, blobs: watched }, { lifetime: -HOUR, signal: ending.signal })).toBe(1);
  expect(await left()).toHaveLength(2);
});
