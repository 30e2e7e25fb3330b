import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { keys } from "../../src/storage/keys.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";

// What one worker has answered, no other worker may contradict: a revocation is in force at every door once it is acknowledged.
test("a worker that reads all the time sees what another one committed, from its acknowledgement on", async () => {
  const directory = await mkdtemp(join(tmpdir(), "amr-newest-"));
  const [one, other] = [await openLmdb(directory), await openLmdb(directory)];
  const key = keys.job("newest");
  try {
    for (let value = 0; value < 150; value += 1) {
      await other.get(key);
      await one.commit({ expect: [], put: [{ key, value }], remove: [], audit: [] });
      expect((await other.get(key))?.value).toBe(value);
      expect(await other.list({ start: key, end: ["joc"], limit: 1 })).toMatchObject([{ value }]);
    }
  } finally {
    await one.close();
    await other.close();
    await rm(directory, { recursive: true, force: true });
  }
}, 30_000);
