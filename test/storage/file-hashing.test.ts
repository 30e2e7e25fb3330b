import { createHash, randomBytes } from "node:crypto";
import { closeSync, openSync, readFileSync, readdirSync } from "node:fs";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DigestAlgorithm, digestOf } from "../../src/oci/digest.ts";
import { type FileHashing, HashingThreadError, type MayGoOn, createFileHashing } from "../../src/storage/file-hashing.ts";
import { startChild } from "../support/child.ts";

const PIECE = 4 * 1024 * 1024;
const LOWEST = 19;
const ENDING = fileURLToPath(new URL("./process/hashing-thread-that-ends.ts", import.meta.url));

let directory: string;
let hashing: FileHashing;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-hashing-"));
  hashing = createFileHashing();
});
afterAll(() => rm(directory, { recursive: true }));

const atOnce: MayGoOn = async () => undefined;

const around = (size: number) => fc.integer({ min: Math.max(0, size - 2), max: size + 2 });

let files = 0;
async function fileWith(bytes: Uint8Array | string): Promise<string> {
  const path = join(directory, `${(files += 1)}`);
  await writeFile(path, bytes);
  return path;
}

async function hashOf(path: string, by: FileHashing = hashing, mayGoOn = atOnce, algorithm: DigestAlgorithm = "sha256") {
  const fd = openSync(path, "r");
  try {
    return await by.hash(fd, algorithm, mayGoOn);
  } finally {
    closeSync(fd);
  }
}

/** The priorities (nice values) of the threads of this process that hash. */
function priorities(): readonly number[] {
  return readdirSync("/proc/self/task").flatMap((id) => {
    try {
      const [, name, rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(`/proc/self/task/${id}/stat`, "utf8")) ?? [];
      // proc(5): field 19, of which the third is the first after the name.
      return name === "hashing" ? [Number(rest.split(" ")[16])] : [];
    } catch {
      // It has just ended.
      return [];
    }
  });
}

describe("hashing a file aside", () => {
  test("gives digest and size of files of any length, several at a time, by both algorithms", async () => {
    const sizes = fc.oneof(around(0), around(256 * 1024), around(PIECE), around(2 * PIECE), fc.nat(1_000_000));
    const algorithms = fc.constantFrom<DigestAlgorithm[]>("sha256", "sha512");
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(sizes, algorithms), { minLength: 1, maxLength: 4 }), async (wanted) => {
        const results = await Promise.all(
          wanted.map(async ([size, algorithm]) => {
            const bytes = randomBytes(size);
            const found = await hashOf(await fileWith(bytes), hashing, atOnce, algorithm);
            return [found, { digest: digestOf(bytes, algorithm), size }];
          }),
        );
        for (const [found, expected] of results) expect(found).toEqual(expected);
      }),
      { numRuns: 20 },
    );
  });

  test("asks before each piece and at the end, and reads on only when it may", async () => {
    const path = await fileWith(Buffer.alloc(2 * PIECE + 5));
    const asked: number[] = [];
    const gate = Promise.withResolvers<void>();
    const found = hashOf(path, hashing, async (read) => {
      asked.push(read);
      if (read === PIECE) await gate.promise;
    });
    await expect.poll(() => asked).toEqual([0, PIECE]);
    // Others are not kept waiting meanwhile.
    expect(await hashOf(await fileWith("abc"))).toEqual({ digest: digestOf("abc"), size: 3 });
    expect(asked).toEqual([0, PIECE]);
    gate.resolve();
    expect(await found).toMatchObject({ size: 2 * PIECE + 5 });
    expect(asked).toEqual([0, PIECE, 2 * PIECE, 2 * PIECE + 5]);
  });

  test("ends with what it is told in the midst of a file, and reads others then", async () => {
    const reason = new Error("in vain");
    const path = await fileWith(Buffer.alloc(3 * PIECE, "a"));
    await expect(hashOf(path, hashing, async (read) => (read > 0 ? Promise.reject(reason) : undefined))).rejects.toBe(reason);
    expect(await hashOf(path)).toEqual({ digest: digestOf(Buffer.alloc(3 * PIECE, "a")), size: 3 * PIECE });
  });

  test("rejects with the code of the system where a file cannot be read, and goes on with others", async () => {
    await expect(hashOf(directory)).rejects.toMatchObject({ code: "EISDIR" });
    await expect(hashing.hash(-1, "sha256", atOnce)).rejects.toThrow(/fd/);
    expect(await hashOf(await fileWith("abc"))).toEqual({ digest: digestOf("abc"), size: 3 });
  });

  test.runIf(process.platform === "linux")("is done at the lowest priority, and nothing else of the process is", async () => {
    const own = getPriority();
    const seen = new Set<number>();
    await hashOf(await fileWith("abc"), hashing, async () => {
      for (const priority of priorities()) seen.add(priority);
    });
    expect([...seen]).toEqual([LOWEST]);
    expect(getPriority()).toBe(own);
  });

  test.runIf(process.platform === "linux")("leaves no thread behind when there is nothing more to do", async () => {
    await hashOf(await fileWith("abc"));
    expect(priorities()).toHaveLength(1);
    await expect.poll(priorities, { timeout: 30_000 }).toEqual([]);
    expect(await hashOf(await fileWith("abc"))).toMatchObject({ size: 3 });
  });

  test("tells of a thread that ends in the midst of a file, and begins another one for the next", async () => {
    const path = await fileWith(Buffer.alloc(3 * PIECE));
    const failing = createFileHashing(ENDING);
    await expect(hashOf(path, failing)).rejects.toThrow(HashingThreadError);
    const asked: number[] = [];
    const next = hashOf(path, failing, async (read) => void asked.push(read));
    await expect(next).rejects.toThrow(HashingThreadError);
    expect(asked).toEqual([0, PIECE]);
  });

  test("tells of a thread that ended while a file had to wait", async () => {
    const path = await fileWith(Buffer.alloc(3 * PIECE));
    const failing = createFileHashing(ENDING);
    const gate = Promise.withResolvers<void>();
    const waiting = hashOf(path, failing, async (read) => (read > 0 ? gate.promise : undefined));
    waiting.catch(() => undefined);
    await expect(hashOf(path, failing)).rejects.toThrow(HashingThreadError);
    gate.resolve();
    await expect(waiting).rejects.toThrow(HashingThreadError);
  });

  test("tells of a thread that cannot be started", async () => {
    const path = await fileWith("abc");
    await expect(hashOf(path, createFileHashing(join(directory, "nothing.ts")))).rejects.toThrow(HashingThreadError);
  });

  test("takes no more memory for a large file than for a small one, and keeps no process that has nothing else to do", async () => {
    const path = await fileWith("");
    const size = 256 * 1024 ** 2;
    await truncate(path, size);
    const child = startChild(new URL("./process/hash-large.ts", import.meta.url), path);
    expect(await child.ended()).toBe(0);
    const { digest, grown } = JSON.parse(child.lines[0] ?? "{}") as { digest: string; grown: number };
    const expected = createHash("sha256");
    for (let at = 0; at < size; at += PIECE) expected.update(Buffer.alloc(PIECE));
    expect(digest).toBe(`sha256:${expected.digest("hex")}`);
    expect(grown).toBeLessThan(size / 8);
  });
});
