import { IncomingFileError, openIncomingFiles } from "../../../src/storage/incoming-files.ts";

/** Opens a file of a data directory as whoever runs this, and says why it may not. */
const [root = "", path = ""] = process.argv.slice(2);
try {
  await (await openIncomingFiles(root).open(path)).close();
  process.stdout.write("opened");
} catch (error) {
  if (!(error instanceof IncomingFileError)) throw error;
  process.stdout.write(error.message);
}
