import { expect, test, vi } from "vitest";
import { smallFilesystem } from "../support/small-filesystem.ts";

vi.setConfig({ testTimeout: 600_000 });

function failed(words: string): object {
  return { code: 1, err: expect.stringContaining(words) as unknown };
}

test("a registry on a full disk refuses what it cannot keep, loses nothing, reads on, and goes on; half a backup or restore is never a whole one", async (context) => {
  await using small = await smallFilesystem("128m");
  if (small === undefined) return context.skip("no file system can be mounted here");
  const report = await small.run(new URL("process/full-disk.ts", import.meta.url));
  const done = { code: 0, err: "" };
  expect(report).toEqual({
    refused: [507],
    reads: [200],
    again: [201],
    workers: 2,
    commands: {
      firstBackup: failed("there is no room left on the disk"),
      noBackup: failed("holds no backup that was completed"),
      secondBackup: done,
      thirdBackup: failed("an earlier backup in the folder is what it was"),
      earlier: done,
      halfRestored: failed("do not start what is there"),
      wholeRestored: done,
    },
    refusedStart: 1,
    stillServes: [200],
    restoredReads: [200],
  });
});
