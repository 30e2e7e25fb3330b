import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Child, startChild } from "./support/child.ts";

const PRIMARY = new URL("process/hand-over.ts", import.meta.url);

let folder: string;
let child: Child | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-hand-over-"));
});
afterEach(async () => {
  await child?.kill();
  await rm(folder, { recursive: true, force: true });
});

describe("a connection that is handed to a worker which does not take it", () => {
  test.each([
    ["ends when that has closed its listener and was the only one, though it goes on", "alone", ["", "1"]],
    ["is taken by another one that listens", "beside", ["hello", "2"]],
    ["ends when that ends before it has said whether it takes it", "killed", ["", "0"]],
  ])("%s", async (_, how, told) => {
    child = startChild(PRIMARY, folder, how);
    await child.said(2);
    expect(child.lines).toEqual(told);
  });
});
