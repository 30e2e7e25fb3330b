import * as fc from "fast-check";
import { expect, test } from "vitest";
import { memorySource } from "../../src/formats/byte-source.ts";
import { FormatError } from "../../src/formats/format-error.ts";
import { MAX_LISTED_FILES, type PackedFiles, readTarMembers } from "../../src/formats/tar-members.ts";
import { buildTar } from "../cli/build-tar.ts";
import { runs } from "../support/runs.ts";

function membersOf(bytes: Buffer, isCut = false): PackedFiles {
  return readTarMembers({ source: memorySource(bytes), isCut });
}

/** What comes of it, or that it was refused; whatever else is thrown goes on. */
function attempt(read: () => PackedFiles): PackedFiles | FormatError {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
}

test("files are listed with where their bytes are, and content is not read", () => {
  const tar = buildTar([
    { name: "a.txt", content: "one" },
    { name: "folder/", type: "5" },
    { name: "folder/b.gguf", content: Buffer.alloc(513, "x") },
  ]);
  const read: number[] = [];
  const source = memorySource(tar);
  const watched = { size: tar.length, read: (at: number, into: Uint8Array) => (read.push(at), source.read(at, into)) };
  const { files, isWhole } = readTarMembers({ source: watched, isCut: false });
  expect(isWhole).toBe(true);
  expect(files.map(({ path, at, size }) => [path, tar.toString("utf8", at, at + size)])).toEqual([
    ["a.txt", "one"],
    ["folder/b.gguf", "x".repeat(513)],
  ]);
  // Three headers, the block that ends it and what fills it.
  expect(read).toHaveLength(5);
});

test("of an archive that is cut the files are listed that begin before that", () => {
  const tar = buildTar([
    { name: "a", content: "one" },
    { name: "b", content: Buffer.alloc(5000) },
    { name: "c", content: "three" },
  ]);
  expect(() => membersOf(tar.subarray(0, 2000))).toThrow("the archive ends early");
  expect(membersOf(tar.subarray(0, 2000), true)).toMatchObject({ files: [{ path: "a" }, { path: "b", size: 5000 }], isWhole: false });
});

test("an archive whose end comes before the cut is listed, and what fills it behind that is not known", () => {
  const tar = buildTar([{ name: "a", content: "one" }]);
  expect(membersOf(tar.subarray(0, 1536), true)).toMatchObject({ files: [{ path: "a" }], isWhole: false });
  expect(membersOf(tar, true)).toMatchObject({ files: [{ path: "a" }], isWhole: false });
  expect(membersOf(tar)).toMatchObject({ files: [{ path: "a" }], isWhole: true });
});

test("of many files the first are listed, and that there are more", () => {
  const many = Array.from({ length: MAX_LISTED_FILES + 1 }, (_, at) => ({ name: `f${at}` }));
  const found = membersOf(buildTar(many));
  expect(found.files).toHaveLength(MAX_LISTED_FILES);
  expect(found.isWhole).toBe(false);
  expect(() => membersOf(buildTar(Array.from({ length: 10_001 }, (_, at) => ({ name: `f${at}` }))))).toThrow("more than 10000 members");
});

test("whatever the bytes are, they are listed or refused as no archive", () => {
  const tar = buildTar([
    { name: "a", content: "one" },
    { name: "b/c", content: Buffer.alloc(600, "y") },
  ]);
  const changed = fc.record({ at: fc.nat(tar.length - 1), to: fc.nat(255), end: fc.nat(tar.length), isCut: fc.boolean() });
  fc.assert(
    fc.property(changed, ({ at, to, end, isCut }) => {
      const bytes = Buffer.from(tar);
      bytes[at] = to;
      const found = attempt(() => membersOf(bytes.subarray(0, end), isCut));
      expect(
        found instanceof FormatError || found.files.every(({ path }) => !path.startsWith("/") && !path.split("/").includes("..")),
      ).toBe(true);
    }),
    { numRuns: runs(1000) },
  );
});
