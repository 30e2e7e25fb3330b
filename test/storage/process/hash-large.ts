import { open } from "node:fs/promises";
import { createFileHashing } from "../../../src/storage/file-hashing.ts";

/** `hash-large.ts <file>`: hashes a file and says how many bytes of memory that took more than a small one before, and its digest. */
const [, , path = ""] = process.argv;
const hashing = createFileHashing();

async function hash(name: string): Promise<string> {
  const file = await open(name);
  try {
    return (await hashing.hash(file.fd, "sha256", async () => undefined)).digest;
  } finally {
    await file.close();
  }
}

const peak = (): number => process.resourceUsage().maxRSS * 1024;
await hash(process.argv[1] ?? "");
const before = peak();
const digest = await hash(path);
process.stdout.write(`${JSON.stringify({ digest, grown: peak() - before })}\n`);
