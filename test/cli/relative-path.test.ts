import { mkdir, mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join, relative, resolve } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EXIT } from "../../src/cli/failure.ts";
import { TITLE, fileNameOf, isSafeRelativePath, placeIn } from "../../src/cli/relative-path.ts";
import { digestOf } from "../../src/oci/digest.ts";

let folder: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "securectl-path-")));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test.each(["a", "weights.gguf", "sub/dir/a.json", ".hidden", "model v1 (final).bin", "日本語.txt", "a..b"])(
  "%j is a file's name",
  (path) => {
    expect(isSafeRelativePath(path)).toBe(true);
  },
);

test.each([
  "",
  "/etc/passwd",
  "..",
  "../a",
  "a/../../b",
  "a/..",
  "./a",
  "a/./b",
  "a//b",
  "a/",
  "a\\..\\b",
  "C:\\a",
  "c:a",
  "a\0b",
  "a\nb",
  "\u001b[2J",
  "NUL",
  "con.txt",
  "a/AUX",
  "a.",
  "a ",
  "x".repeat(256),
  "a/".repeat(600) + "a",
])("%j is none", (path) => {
  expect(isSafeRelativePath(path)).toBe(false);
});

test("no accepted path leaves its folder", () => {
  const part = fc.oneof(
    fc.constantFrom("..", ".", "", "a", "/", "\\"),
    fc.array(fc.nat(0xffff), { maxLength: 8 }).map((units) => String.fromCharCode(...units)),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
      const path = parts.join("/");
      fc.pre(isSafeRelativePath(path));
      const inside = relative("/folder", resolve("/folder", path));
      expect(inside).toBe(path);
      expect(isAbsolute(inside) || inside.startsWith("..")).toBe(false);
    }),
  );
});

test("a layer's file is named by its title, else by its digest", () => {
  const layer = { mediaType: "a/b", digest: digestOf("x"), size: 1 };
  expect(fileNameOf({ ...layer, annotations: { [TITLE]: "sub/a.bin" } })).toBe("sub/a.bin");
  expect(fileNameOf(layer)).toBe(digestOf("x").replace(":", "-"));
});

test("a title that leaves the folder is an integrity failure", () => {
  const layer = { mediaType: "a/b", digest: digestOf("x"), size: 1, annotations: { [TITLE]: "../../.ssh/authorized_keys" } };
  expect(() => fileNameOf(layer)).toThrow(expect.objectContaining({ exit: EXIT.integrity }));
});

test("the place of a file is inside of the folder, whose own folders are made", async () => {
  const place = await placeIn(join(folder, "out"), "sub/dir/a.bin");
  expect(place).toBe(join(folder, "out/sub/dir/a.bin"));
  expect(await placeIn(join(folder, "out"), "sub/dir/b.bin")).toBe(join(folder, "out/sub/dir/b.bin"));
});

test("a link that is there already and leads out of the folder is an integrity failure", async () => {
  await mkdir(join(folder, "out"));
  await mkdir(join(folder, "elsewhere"));
  await symlink(join(folder, "elsewhere"), join(folder, "out/sub"));
  await expect(placeIn(join(folder, "out"), "sub/a.bin")).rejects.toMatchObject({ exit: EXIT.integrity });
});

test("a link that stays inside is followed, and the folder itself may be one", async () => {
  await mkdir(join(folder, "real/sub"), { recursive: true });
  await symlink(join(folder, "real"), join(folder, "out"));
  await symlink("sub", join(folder, "real/alias"));
  expect(await placeIn(join(folder, "out"), "alias/a.bin")).toBe(join(folder, "real/sub/a.bin"));
});
