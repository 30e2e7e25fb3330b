import { openDataDirectory } from "../../../src/storage/data-directory.ts";

/** `hold-directory.ts <directory>`: says `held` and holds the directory until it is killed, or says why it cannot. */
try {
  await openDataDirectory(process.argv[2] ?? "");
  process.stdout.write("held\n");
  setInterval(() => {}, 1000);
} catch (error) {
  process.stdout.write(`${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}\n`);
}
