import { buffer } from "node:stream/consumers";
import { digestOf } from "../../../src/oci/digest.ts";
import { openFilesystem } from "../../../src/storage/filesystem.ts";

/** `fill-blobs.ts <folder on a file system of 4 MiB>`: appends until there is no room, makes some and goes on; says what came of it. */
const [, , folder = ""] = process.argv;
const store = await openFilesystem(folder);
const nameOf = (error: unknown): string => (error instanceof Error ? error.name : "nothing");
const content = Buffer.alloc(3 * 1024 ** 2, "content ");

async function* bytes(from: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < content.length; at += 65_536) yield content.subarray(at, at + 65_536);
}

await store.stage("first");
await store.append("first", bytes(1024 ** 2), 0);
await store.publish("first", digestOf(content.subarray(1024 ** 2)));
await store.stage("second");
const appended = await store.append("second", bytes(0), 0).catch(nameOf);
const { size = 0 } = (await store.staged("second")) ?? {};
const sizeIsOfFile = (await buffer(await store.openStaged("second", 0))).equals(content.subarray(0, size));
const again = await store.append("second", bytes(size), size).catch(nameOf);
let blobs = 0;
for await (const _ of store.list()) blobs += 1;
await store.remove(digestOf(content.subarray(1024 ** 2)), async () => true);
await store.discard("first");
const { size: left = 0 } = (await store.staged("second")) ?? {};
await store.append("second", bytes(left), left);
await store.publish("second", digestOf(content));
const finished = (await buffer(await store.open(digestOf(content)))).equals(content) ? "right" : "wrong";
process.stdout.write(JSON.stringify({ appended, sizeIsOfFile, again, blobs, finished }));
