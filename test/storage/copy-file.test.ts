import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { copyFile } from "../../src/storage/copy-file.ts";

const CONTENT = randomBytes(1_500_000);

let directory: string;
let handle: FileHandle;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-copy-"));
  await writeFile(join(directory, "file"), CONTENT);
  handle = await open(join(directory, "file"));
});

afterEach(async () => {
  await handle.close();
  await rm(directory, { recursive: true });
});

const readFromFile = async (into: Buffer, length: number, position: number): Promise<number> =>
  (await handle.read(into, 0, length, position)).bytesRead;

/** Takes each piece's bytes only at the last moment, right before it calls back. */
class LateSink extends Writable {
  readonly hash = createHash("sha256");
  size = 0;

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    setImmediate(() => {
      this.hash.update(piece);
      this.size += piece.length;
      done();
    });
  }

  get digest(): string {
    return this.hash.digest("hex");
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe("copyFile", () => {
  test("writes the whole file, and leaves the sink open", async () => {
    const sink = new LateSink();
    expect(await copyFile(readFromFile, sink, { start: 0, end: Infinity })).toBe(CONTENT.length);
    expect([sink.size, sink.writableEnded, sink.listenerCount("close")]).toEqual([CONTENT.length, false, 0]);
    expect(sink.digest).toBe(sha256(CONTENT));
  });

  test("writes any part of it, and what there is of a part that goes beyond the end", async () => {
    const part = fc.record({ start: fc.nat(CONTENT.length + 1000), length: fc.nat(CONTENT.length) });
    await fc.assert(
      fc.asyncProperty(part, async ({ start, length }) => {
        const sink = new LateSink();
        const expected = CONTENT.subarray(start, start + length + 1);
        expect(await copyFile(readFromFile, sink, { start, end: start + length })).toBe(expected.length);
        expect(sink.digest).toBe(sha256(expected));
      }),
      { numRuns: 50 },
    );
  });

  test("uses no memory again that another copy still writes from", async () => {
    const sinks = Array.from({ length: 20 }, () => new LateSink());
    await Promise.all(sinks.map((sink, at) => copyFile(readFromFile, sink, { start: at, end: Infinity })));
    for (const [at, sink] of sinks.entries()) expect(sink.digest).toBe(sha256(CONTENT.subarray(at)));
  });

  test("uses no memory again of a copy that broke off in the middle of a write", async () => {
    const stuck: Buffer[] = [];
    const sink = new Writable({
      write: (piece: Buffer) => {
        stuck.push(piece);
        setImmediate(() => sink.destroy());
      },
    });
    await expect(copyFile(readFromFile, sink, { start: 0, end: Infinity })).rejects.toThrow("closed");
    const before = stuck.map((piece) => sha256(piece));
    for (let round = 0; round < 4; round += 1) await copyFile(readFromFile, new LateSink(), { start: 777, end: Infinity });
    expect(stuck.map((piece) => sha256(piece))).toEqual(before);
    expect(before.length).toBeGreaterThan(0);
  });

  test("ends when the sink is closed already, is closed without a call, or fails", async () => {
    const closed = new Writable({ write: () => undefined }).destroy();
    await expect(copyFile(readFromFile, closed, { start: 0, end: Infinity })).rejects.toThrow("closed");
    const failing = new Writable({ write: (_piece, _encoding, done) => done(new Error("refused")) });
    failing.on("error", () => undefined);
    await expect(copyFile(readFromFile, failing, { start: 0, end: Infinity })).rejects.toThrow(/refused|closed/);
  });

  test("throws on what reading throws", async () => {
    const error = Object.assign(new Error("bad sector"), { code: "EIO" });
    await expect(copyFile(() => Promise.reject(error), new LateSink(), { start: 0, end: Infinity })).rejects.toMatchObject({ code: "EIO" });
  });
});
