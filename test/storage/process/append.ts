import { setTimeout as sleep } from "node:timers/promises";
import { openFilesystem } from "../../../src/storage/filesystem.ts";

/**
 * `append.ts <root> <upload> <size>`: goes on with an upload by numbered lines of 16 bytes, without an end, in pieces of so many bytes; or,
 * when the size is 0, holds it without writing. Says `claimed`, and then the size that it has written up to, a line each.
 */
const [, , root = "", upload = "", size = "0"] = process.argv;
const store = await openFilesystem(root);
const start = (await store.staged(upload))?.size ?? 0;

async function* lines(): AsyncGenerator<Uint8Array> {
  process.stdout.write("claimed\n");
  if (Number(size) === 0) await sleep(1e6);
  for (let at = start; ;) {
    const piece = Array.from({ length: Number(size) / 16 }, (_empty, index) => `${String(at / 16 + index).padStart(15, "0")}\n`).join("");
    yield Buffer.from(piece);
    at += piece.length;
    process.stdout.write(`${at}\n`);
  }
}

await store.append(upload, lines(), start);
