import { openFilesystem } from "../../../src/storage/filesystem.ts";
import { openIncomingFiles } from "../../../src/storage/incoming-files.ts";
import { takeInFile } from "../../../src/registry/take-in-file.ts";

/** Takes a file in, and tells what it was and the most memory that this took (MiB). */
const [root = "", path = ""] = process.argv.slice(2);
const blobs = await openFilesystem(root);
const { size, digest, upload } = await takeInFile({ blobs, files: openIncomingFiles(root), newId: () => "one" }, path);
await blobs.discard(upload);
process.stdout.write(`${JSON.stringify({ size, digest, peak: process.resourceUsage().maxRSS / 1024 })}\n`);
