import { mkdtemp, open, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LayoutError } from "../../src/cli/layout-error.ts";
import { readTar } from "../../src/cli/tar-reader.ts";
import { runs } from "../support/runs.ts";
import { type Member, buildTar, paxRecords } from "./build-tar.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "securectl-tar-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** The files of an archive with their content. */
async function filesOf(archive: Buffer): Promise<Readonly<Record<string, string>>> {
  const file = join(folder, "a.tar");
  await writeFile(file, archive);
  const handle = await open(file);
  try {
    const members = await readTar(handle);
    return Object.fromEntries([...members].map(([path, { at, size }]) => [path, archive.toString("utf8", at, at + size)]));
  } finally {
    await handle.close();
  }
}

async function faultOf(archive: Buffer): Promise<unknown> {
  return filesOf(archive).then(
    (files) => files,
    (error: unknown) => (error instanceof LayoutError ? error.code : error),
  );
}

test("files are found by their paths, with and without folders and a leading ./", async () => {
  const members = [
    { name: "./", type: "5" },
    { name: "./oci-layout", content: "marker" },
    { name: "./blobs/sha256/", type: "5" },
    { name: "blobs/sha256/ab", content: Buffer.alloc(513, "x") },
    { name: "empty" },
    { name: "old", content: "from before POSIX", type: "\0", magic: "" },
  ];
  expect(await filesOf(buildTar(members))).toEqual({
    "oci-layout": "marker",
    "blobs/sha256/ab": "x".repeat(513),
    empty: "",
    old: "from before POSIX",
  });
});

test("long names are read as POSIX, pax and GNU write them", async () => {
  const long = `${"d".repeat(90)}/${"f".repeat(90)}`;
  const posix = { name: "f".repeat(90), prefix: "d".repeat(90), content: "posix" };
  const pax = [
    { name: "h", type: "x", content: paxRecords({ mtime: "1.5", path: `pax/${long}`, "SCHILY.xattr.user.\u00e9": "ü" }) },
    { name: "cut", content: "pax" },
  ];
  const gnu = [
    { name: "././@LongLink", type: "L", magic: "ustar  ", content: `gnu/${long}\0` },
    // What stands where POSIX has a prefix is something else there.
    { name: "cut", magic: "ustar  ", prefix: "0123", content: "gnu" },
  ];
  expect(await filesOf(buildTar([posix, ...pax, ...gnu]))).toEqual({ [long]: "posix", [`pax/${long}`]: "pax", [`gnu/${long}`]: "gnu" });
});

test.each<[string, (size: number) => Member[]]>([
  [
    "pax",
    (size) => [
      { name: "h", type: "x", content: paxRecords({ size: String(size) }) },
      { name: "large", size: 0 },
    ],
  ],
  [
    "GNU",
    (size) => {
      const rawSize = Buffer.alloc(12);
      rawSize[0] = 0x80;
      rawSize.writeBigUInt64BE(BigInt(size), 4);
      return [{ name: "large", magic: "ustar  ", rawSize }];
    },
  ],
])("a file of more than 8 GiB is skipped, not read, as %s writes its size", async (_, members) => {
  const size = 12 * 1024 ** 3 + 1;
  const file = join(folder, "large.tar");
  const head = buildTar(members(size), Buffer.alloc(0));
  await writeFile(file, head);
  await truncate(file, head.length + Math.ceil(size / 512) * 512);
  const handle = await open(file, "r+");
  try {
    const { size: at } = await handle.stat();
    const rest = buildTar([{ name: "behind", content: "it" }]);
    await handle.write(rest, 0, rest.length, at);
    expect(await readTar(handle)).toEqual(
      new Map([
        ["large", { at: head.length, size }],
        ["behind", { at: at + 512, size: 2 }],
      ]),
    );
  } finally {
    await handle.close();
  }
});

test.each<[string, string, Member[]]>([
  ["a symbolic link", "archive-unsafe", [{ name: "a", type: "2" }]],
  ["a hard link", "archive-unsafe", [{ name: "a", type: "1" }]],
  ["a device", "archive-unsafe", [{ name: "a", type: "3" }]],
  ["a pipe", "archive-unsafe", [{ name: "a", type: "6" }]],
  ["GNU's sparse file", "archive-unsafe", [{ name: "a", type: "S" }]],
  ["GNU's long link", "archive-unsafe", [{ name: "a", type: "K", content: "b" }]],
  ["a header for all members", "archive-unsafe", [{ name: "a", type: "g", content: paxRecords({ path: "b" }) }]],
  ["pax's sparse file", "archive-unsafe", [{ name: "a", type: "x", content: paxRecords({ "GNU.sparse.size": "5" }) }]],
  ["an absolute path", "archive-unsafe", [{ name: "/etc/passwd" }]],
  ["a path that climbs", "archive-unsafe", [{ name: "../a" }]],
  ["a path that climbs in the middle", "archive-unsafe", [{ name: "a/../../b" }]],
  ["a path that climbs in pax records", "archive-unsafe", [{ name: "a", type: "x", content: paxRecords({ path: "../a" }) }, { name: "a" }]],
  ["a path of another system", "archive-unsafe", [{ name: "a\\b" }]],
  ["a path with an empty part", "archive-unsafe", [{ name: "a//b" }]],
  ["a path twice", "archive-unsafe", [{ name: "a" }, { name: "./a" }]],
  ["a folder and a file of one path", "archive-unsafe", [{ name: "a/", type: "5" }, { name: "a" }]],
  ["a file and a folder of one path", "archive-unsafe", [{ name: "a" }, { name: "a/", type: "5" }]],
  [
    "two names for one member",
    "archive-unsafe",
    [{ name: "h", type: "x", content: paxRecords({ path: "a" }) }, { name: "l", type: "L", content: "b" }, { name: "c" }],
  ],
  ["a file that ends like a folder", "archive-invalid", [{ name: "a/" }]],
  ["a folder with content", "archive-invalid", [{ name: "a/", type: "5", content: "x" }]],
  ["a file without a name", "archive-invalid", [{ name: "" }]],
  ["a wrong checksum", "archive-invalid", [{ name: "a", checksum: 1 }]],
  ["a size that is no number", "archive-invalid", [{ name: "a", rawSize: Buffer.from("0000000000x\0") }]],
  ["a negative size", "archive-invalid", [{ name: "a", rawSize: Buffer.alloc(12, 0xff) }]],
  ["more content than there is", "archive-invalid", [{ name: "a", size: 4096 }]],
  ["records that are cut", "archive-invalid", [{ name: "a", type: "x", content: "30 path=a\n" }]],
  ["records without a length", "archive-invalid", [{ name: "a", type: "x", content: "path=a\n" }]],
  ["records that end in nothing", "archive-invalid", [{ name: "a", type: "x", content: "9 path=ab" }]],
  ["a size in records that is no number", "archive-invalid", [{ name: "a", type: "x", content: paxRecords({ size: "-1" }) }]],
  ["records about nothing", "archive-invalid", [{ name: "a", type: "x", content: paxRecords({ path: "a" }) }]],
  ["records beyond measure", "layout-too-large", [{ name: "a", type: "x", size: 2_000_000 }]],
  ["a name beyond measure", "layout-too-large", [{ name: "a", type: "L", content: "a".repeat(1025) }]],
])("%s is refused as %s", async (_, code, members) => {
  expect(await faultOf(buildTar(members))).toBe(code);
});

test.each<[string, string, Buffer]>([
  ["an archive without an end", "archive-invalid", Buffer.alloc(0)],
  ["an archive with half an end", "archive-invalid", Buffer.alloc(512)],
  ["another archive behind the end", "archive-unsafe", Buffer.concat([Buffer.alloc(512), buildTar([{ name: "hidden" }])])],
  ["more filling than anybody needs", "archive-unsafe", Buffer.alloc(2_000_000)],
])("%s is refused as %s", async (_, code, end) => {
  expect(await faultOf(buildTar([{ name: "a", content: "x" }], end))).toBe(code);
});

test.each<[string, Buffer]>([
  ["nothing", Buffer.alloc(0)],
  ["a few bytes", Buffer.from("hello")],
  ["a compressed archive", Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(1000, 7)])],
])("%s is no archive", async (_, bytes) => {
  expect(await faultOf(bytes)).toBe("archive-invalid");
  await expect(filesOf(bytes)).rejects.toThrow(/; compressed ones are not read$/);
});

test("whatever byte of a header is changed, the archive is refused", async () => {
  const archive = buildTar([
    { name: "oci-layout", content: "marker" },
    { name: "h", type: "x", content: paxRecords({ path: "blobs/sha256/abc" }) },
    { name: "cut", content: "content" },
  ]);
  const headers = [0, 1024, 2048].flatMap((start) => Array.from({ length: 512 }, (_, at) => start + at));
  const before = await filesOf(archive);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...headers), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const changed = Buffer.from(archive);
      changed[at] = (changed[at] ?? 0) ^ flip;
      // What stands behind the checksum's six digits is read by nobody.
      expect(["archive-invalid", "archive-unsafe", "layout-too-large", before]).toContainEqual(await faultOf(changed));
    }),
    { numRuns: runs(500) },
  );
});

test("bytes at random are an archive or are refused", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2048 }), async (bytes) => {
      expect(await faultOf(Buffer.from(bytes))).toBeTypeOf(bytes.length >= 1024 && bytes.every((byte) => byte === 0) ? "object" : "string");
    }),
    { numRuns: runs(300) },
  );
});
