import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openFilesystem } from "../../src/storage/filesystem.ts";
import { release } from "../../src/storage/release.ts";
import { readStaged } from "./blob-store.suite.ts";

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

test("bytes with memory of their own give it back at once; a part of shared memory does not", () => {
  const whole = Buffer.alloc(100_000);
  release(whole);
  expect([whole.length, whole.buffer.byteLength]).toEqual([0, 0]);
  release(whole);
  const shared = new ArrayBuffer(100);
  for (const part of [new Uint8Array(shared, 0, 50), new Uint8Array(shared, 50)]) release(part);
  expect(shared.byteLength).toBe(100);
  const pooled = Buffer.from("text");
  release(pooled);
  expect(pooled.toString()).toBe("text");
});

test("what is appended keeps its memory unless the store is to take it over, and then every byte is written first", async () => {
  const root = await mkdtemp(join(tmpdir(), "amr-release-"));
  const store = await openFilesystem(root);
  await store.stage("u");
  const [kept, given] = [Buffer.alloc(100_000, "kept"), Buffer.alloc(100_000, "given")];
  await store.append("u", only(kept), 0);
  await store.append("u", only(given), 100_000, { takesOver: true });
  expect([kept.length, given.length]).toEqual([100_000, 0]);
  expect(await readStaged(store, "u")).toBe(`${"kept".repeat(25_000)}${"given".repeat(20_000)}`);
  await rm(root, { recursive: true });
});
