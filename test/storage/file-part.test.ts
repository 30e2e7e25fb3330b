import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readlinkSync, readdirSync } from "node:fs";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
import * as fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { FilePart } from "../../src/storage/file-part.ts";

const CONTENT = randomBytes(1_300_000);
const WHOLE = { start: 0, end: Infinity };

let directory: string;
let path: string;

beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "amr-published-")));
  path = join(directory, "file");
  await writeFile(path, CONTENT);
});
afterAll(() => rm(directory, { recursive: true }));

/** How often this process has the file open. */
function opened(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  }).length;
}

afterEach(() => {
  if (opened() > 0) throw new Error("the file is still open");
});

const ranges = fc
  .record({ start: fc.nat(CONTENT.length + 10), length: fc.integer({ min: 1, max: CONTENT.length }) })
  .map(({ start, length }) => ({ start, end: start + length - 1 }));

describe("a published file", () => {
  test("gives the bytes of any range, as a stream and to a sink, and is closed then", async () => {
    await fc.assert(
      fc.asyncProperty(ranges, async (range) => {
        const wanted = CONTENT.subarray(range.start, range.end + 1);
        expect((await buffer(new FilePart(path, range))).equals(wanted)).toBe(true);
        // Of its own memory, since that of a piece is used again.
        const pieces: Buffer[] = [];
        const sink = new Writable({
          write: (piece: Buffer, _encoding, done) => {
            pieces.push(Buffer.from(piece));
            done();
          },
        });
        expect(await new FilePart(path, range).copyTo(sink)).toBe(wanted.length);
        expect(Buffer.concat(pieces).equals(wanted)).toBe(true);
      }),
      { numRuns: 30 },
    );
    expect((await buffer(new FilePart(path, WHOLE))).equals(CONTENT)).toBe(true);
  });

  test("that is not there is an error with its code, and nothing stays open", () => {
    expect(() => new FilePart(`${path}.gone`, WHOLE)).toThrow(expect.objectContaining({ code: "ENOENT" }) as Error);
  });

  test("that is destroyed while it is read is closed after that read and not before", async () => {
    const file = new FilePart(path, WHOLE);
    // Begins to read; the answer of the other thread cannot be here before this function ends.
    file.read();
    file.destroy();
    expect(opened()).toBe(1);
    await once(file, "close");
    expect(opened()).toBe(0);
  });

  test("that was destroyed is read no more: its number may be another file's", async () => {
    const file = new FilePart(path, WHOLE).destroy();
    await expect(file.copyTo(new PassThrough())).rejects.toThrow("closed");
  });

  test("is closed when its sink goes away in the middle", async () => {
    const file = new FilePart(path, WHOLE);
    const sink = new Writable({ write: (_piece, _encoding, _done) => sink.destroy() });
    await expect(file.copyTo(sink)).rejects.toThrow("closed");
    if (!file.closed) await once(file, "close");
  });

  test("is closed, and the error told, when it cannot be read", async () => {
    const folder = new FilePart(directory, WHOLE);
    await expect(buffer(folder)).rejects.toMatchObject({ code: "EISDIR" });
    const other = new FilePart(directory, WHOLE);
    await expect(other.copyTo(new PassThrough())).rejects.toMatchObject({ code: "EISDIR" });
  });
});
