import { openLmdb } from "../../../src/storage/lmdb.ts";
import type { Key } from "../../../src/storage/metadata-store.ts";
import { v7 } from "../../support/uuid.ts";

/**
 * A process of its own over a metadata directory: `commit.ts <directory> <key> <count>` raises the number under a key so often, each time
 * on the grounds of what it read, several at once. It says every number that is durable on standard output, a line each.
 */
const [, , directory = "", name = "", count = "0"] = process.argv;
const key: Key = ["blob", name];
const store = await openLmdb(directory);

async function raise(): Promise<void> {
  for (;;) {
    const found = await store.get(key);
    const value = Number(found?.value ?? 0) + 1;
    const outcome = await store.commit({
      expect: [{ key, version: found?.version ?? "absent" }],
      put: [
        { key, value },
        { key: ["link", name, value], value: process.pid },
      ],
      remove: [["link", name, value - 3]],
      audit: [{ id: v7(), time: Date.now(), type: "test.raise", actor: { principal: name, kind: "system" }, outcome: "allow" }],
    });
    if (outcome === "committed") {
      process.stdout.write(`${value}\n`);
      return;
    }
  }
}

let left = Number(count);
await Promise.all(
  Array.from({ length: 4 }, async () => {
    while (left > 0) {
      left -= 1;
      await raise();
    }
  }),
);
await store.close();
