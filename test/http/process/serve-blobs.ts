import { startBlobRegistry } from "../../support/blob-registry.ts";

/** Serves uploads and blobs over a folder until it is killed: says its port, and at each SIGUSR2 the most memory that it had, in bytes. */
const [directory = ""] = process.argv.slice(2);
const { edge } = await startBlobRegistry({ directory });
process.on("SIGUSR2", () => process.stdout.write(`${process.resourceUsage().maxRSS * 1024}\n`));
process.stdout.write(`${edge.port}\n`);
