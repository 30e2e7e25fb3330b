import { collect, openWorld } from "../garbage.ts";

/** `collect.ts <directory>`: collects without any grace, again and again, until it is killed; says how many blobs went, a line each time. */
await using world = await openWorld(process.argv[2] ?? "");
for (;;) {
  const removed = await collect(world.stores, 0);
  process.stdout.write(`${removed}\n`);
}
