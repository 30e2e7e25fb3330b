import { expect, test } from "vitest";
import { RegistryError } from "../../src/oci/errors.ts";
import type { Services } from "../../src/registry/ports.ts";
import { watchedFiles } from "../../src/registry/watched-files.ts";
import type { IncomingFile, IncomingFiles } from "../../src/storage/incoming-files.ts";

const MEBIBYTE = new Uint8Array(1024 ** 2);

/** A file of so many mebibytes, of which none is ever held; `failing` is thrown after the last. */
function filesWith(mebibytes: number, failing?: Error): IncomingFiles {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < mebibytes; at += 1) yield MEBIBYTE;
    if (failing !== undefined) throw failing;
  }
  const file = { size: mebibytes * MEBIBYTE.length, identity: "1", fd: 3, bytes, isUnchanged: async () => true, close: async () => {} };
  return { open: async (): Promise<IncomingFile> => file, removeIfSame: async () => {} };
}

async function readAll(
  files: IncomingFiles,
  signal = new AbortController().signal,
  each: (read: number) => void = () => {},
): Promise<unknown[]> {
  const lines: unknown[] = [];
  const log = { info: (line: unknown) => void lines.push(line) } as unknown as Services["log"];
  const file = await watchedFiles({ files, log }, signal).open("a.gguf");
  let read = 0;
  for await (const chunk of file.bytes()) {
    read += chunk.byteLength;
    each(read);
  }
  return lines;
}

test("a large file tells how far it is, a line a gibibyte, and a small one nothing", async () => {
  const gibibyte = 1024 ** 3;
  expect(await readAll(filesWith(1023))).toEqual([]);
  expect(await readAll(filesWith(2500))).toEqual([
    { path: "a.gguf", bytes: gibibyte, of: 2500 * MEBIBYTE.length },
    { path: "a.gguf", bytes: 2 * gibibyte, of: 2500 * MEBIBYTE.length },
  ]);
});

test("a signal ends the reading in the middle, with its reason", async () => {
  const [stop, reason] = [new AbortController(), new Error("told to stop")];
  let last = 0;
  const reading = readAll(filesWith(100), stop.signal, (read) => {
    last = read;
    if (read === 3 * MEBIBYTE.length) stop.abort(reason);
  });
  await expect(reading).rejects.toBe(reason);
  expect(last).toBe(3 * MEBIBYTE.length);
});

test("what the disk does not give is the file's fault alone", async () => {
  const reading = readAll(filesWith(1, Object.assign(new Error("i/o error"), { code: "EIO" })));
  await expect(reading).rejects.toThrow(new RegistryError("CONFLICT", "hash verification failed: the file cannot be read (EIO)"));
});
