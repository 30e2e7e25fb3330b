import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LayoutError } from "../../src/cli/layout-error.ts";
import { type Layout, openLayout } from "../../src/cli/layout.ts";
import { type Digest, digestOf, encodedOf } from "../../src/oci/digest.ts";
import { buildTar } from "./build-tar.ts";

const CONTENT = Buffer.alloc(3_000_000, "weights ");
const BLOB = digestOf(CONTENT);
const MANIFEST = Buffer.from('{"schemaVersion":2}');
const ENTRY = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: digestOf(MANIFEST), size: MANIFEST.length };
const MARKER = '{"imageLayoutVersion":"1.0.0"}';
const INDEX = JSON.stringify({ schemaVersion: 2, manifests: [{ ...ENTRY, annotations: { "org.opencontainers.image.ref.name": "v1" } }] });
const FILES: Readonly<Record<string, Buffer | string>> = {
  "oci-layout": MARKER,
  "index.json": INDEX,
  [pathOf(BLOB)]: CONTENT,
  [pathOf(ENTRY.digest)]: MANIFEST,
};

let folder: string;
let open: Layout | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "securectl-layout-"));
  open = undefined;
});
afterEach(async () => {
  await open?.close();
  await rm(folder, { recursive: true, force: true });
});

function pathOf(digest: Digest): string {
  return `blobs/sha256/${encodedOf(digest)}`;
}

const FORMS: Readonly<Record<string, (files: Readonly<Record<string, Buffer | string>>) => Promise<string>>> = {
  folder: async (files) => {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(join(folder, "layout", dirname(path)), { recursive: true });
      await writeFile(join(folder, "layout", path), content);
    }
    return join(folder, "layout");
  },
  archive: async (files) => {
    const file = join(folder, "layout.tar");
    await writeFile(file, buildTar(Object.entries(files).map(([name, content]) => ({ name, content }))));
    return file;
  },
};

async function faultOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => "none",
    (error: unknown) => (error instanceof LayoutError ? error.code : error),
  );
}

describe.each(Object.keys(FORMS))("a layout as %s", (form) => {
  const place = async (files: Readonly<Record<string, Buffer | string>>): Promise<string> => (await FORMS[form]?.(files)) ?? "";
  const opened = async (files: Readonly<Record<string, Buffer | string>>): Promise<Layout> => (open = await openLayout(await place(files)));

  test("tells what its index names and which blobs are there", async () => {
    const layout = await opened({ ...FILES, "README.txt": "of no interest" });
    expect(layout.entries).toEqual([{ ...ENTRY, annotations: { "org.opencontainers.image.ref.name": "v1" } }]);
    expect(new Set(layout.digests())).toEqual(new Set([BLOB, ENTRY.digest]));
    expect(layout.sizeOf(BLOB)).toBe(CONTENT.length);
    expect(layout.sizeOf(digestOf("another"))).toBeUndefined();
  });

  test("hands out blobs, whole or from an offset on", async () => {
    const layout = await opened(FILES);
    expect(await layout.read(ENTRY, 100)).toEqual(MANIFEST);
    const source = layout.source({ digest: BLOB, size: CONTENT.length });
    expect(CONTENT.subarray(1_500_000).equals(await buffer(source.open(1_500_000)))).toBe(true);
    let seen = 0;
    await layout.check({ digest: BLOB, size: CONTENT.length }, (bytes) => (seen = bytes));
    expect(seen).toBe(CONTENT.length);
  });

  test("hands out no bytes that have another digest or size", async () => {
    const layout = await opened({ ...FILES, [pathOf(ENTRY.digest)]: '{"schemaVersion":3}', [pathOf(BLOB)]: CONTENT.subarray(1) });
    expect(await faultOf(layout.read(ENTRY, 100))).toBe("blob-corrupt");
    expect(await faultOf(layout.check(ENTRY))).toBe("blob-corrupt");
    expect(await faultOf(layout.check({ digest: BLOB, size: CONTENT.length }))).toBe("blob-corrupt");
    expect(await faultOf(layout.check({ digest: BLOB, size: CONTENT.length - 1 }))).toBe("blob-corrupt");
    expect(await faultOf(layout.check({ digest: digestOf("another"), size: 7 }))).toBe("blob-missing");
    expect(() => layout.source({ digest: BLOB, size: CONTENT.length })).toThrow("blob-corrupt");
  });

  test("reads nothing whole that is larger than its kind may be", async () => {
    const layout = await opened(FILES);
    expect(await faultOf(layout.read({ digest: BLOB, size: CONTENT.length }, 1000))).toBe("layout-too-large");
  });

  test.each<[string, string, Record<string, string | undefined>]>([
    ["without a marker", "layout-invalid", { "oci-layout": undefined }],
    ["of another version", "layout-invalid", { "oci-layout": '{"imageLayoutVersion":"2.0.0"}' }],
    ["without an index", "layout-invalid", { "index.json": undefined }],
    ["with an index that is not JSON", "layout-invalid", { "index.json": "{" }],
    ["with an index that has a key twice", "layout-invalid", { "index.json": '{"schemaVersion":2,"manifests":[],"manifests":[]}' }],
    ["with an index of something else", "layout-invalid", { "index.json": '{"schemaVersion":2,"manifests":[{"digest":"sha256:x"}]}' }],
    ["with an endless marker", "layout-too-large", { "oci-layout": " ".repeat(5000) }],
  ])("%s is refused as %s", async (_, code, changes) => {
    const files = Object.fromEntries(
      Object.entries({ ...FILES, ...changes }).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    expect(await faultOf(place(files).then(openLayout))).toBe(code);
  });
});

test("a link in the place of a blob, of the index or of a folder is refused", async () => {
  for (const path of [pathOf(BLOB), "index.json", "blobs"]) {
    const files = Object.entries(FILES).filter(([name]) => !name.startsWith(path));
    const place = (await FORMS["folder"]?.(Object.fromEntries(files))) ?? "";
    await mkdir(dirname(join(place, path)), { recursive: true });
    await symlink(path === "blobs" ? folder : "/etc/passwd", join(place, path));
    expect(await faultOf(openLayout(place))).toBe("archive-unsafe");
    await rm(place, { recursive: true });
  }
});

test("a place where nothing is, or no file, is a usage error", async () => {
  await expect(openLayout(join(folder, "nothing"))).rejects.toMatchObject({ exit: 2 });
  await expect(openLayout("/dev/null")).rejects.toMatchObject({ exit: 2 });
});
