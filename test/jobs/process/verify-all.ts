import { loadConfig } from "../../../src/config.ts";
import { startScheduler } from "../../../src/jobs/scheduler.ts";
import { verifyAll } from "../../../src/jobs/verify-all.ts";
import { createLogger } from "../../../src/log.ts";
import { openRegistry } from "../../../src/services.ts";
import { blobsWith } from "../../support/blob-registry.ts";

/** `verify-all.ts <directory> <lease> <count>`: a worker that checks so many blobs and no more until it is killed; says which it reads, a line each. */
const [, , directory = "", lease = "", count = ""] = process.argv;
const registry = await openRegistry(loadConfig({ REGISTRY_DIR: directory }), 8470, createLogger("silent"));
let read = 0;
const blobs = blobsWith(registry.blobs, {
  open: async (digest) => {
    process.stdout.write(`${digest}\n`);
    read += 1;
    if (read > Number(count)) await new Promise(() => undefined);
    return registry.blobs.open(digest);
  },
});
const options = { interval: 0, rate: 0, look: 10 };
const run = (signal: AbortSignal): Promise<void> => verifyAll({ ...registry, blobs }, options, signal);
startScheduler(registry, [{ name: "verify-all", every: 60_000, run }], { lease: Number(lease) });
// The scheduler keeps no process alive.
setInterval(() => undefined, 60_000);
