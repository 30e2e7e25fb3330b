import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { linkSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { type RepositoryName, isRepositoryName } from "../../src/oci/reference.ts";
import type { BlobStore } from "../../src/storage/blob-store.ts";
import { blobPath, openFilesystem } from "../../src/storage/filesystem.ts";
import { openLinkedTree } from "../../src/storage/linked-tree.ts";
import type { RuntimeFile, RuntimeTree } from "../../src/storage/runtime-tree.ts";
import { NO_ROWS, blobRowsOf } from "../support/blob-rows.ts";
import { startChild } from "../support/child.ts";
import { underWayIn } from "../support/under-way.ts";
import { publish } from "./blob-store.suite.ts";

const PROCESS_NAME = new URL("process/process-name.ts", import.meta.url);
const LINK_FOREVER = new URL("process/link-forever.ts", import.meta.url);

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let root: string;
let blobs: BlobStore;
let tree: RuntimeTree;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "amr-tree-"));
  await mkdir(join(root, "trusted"));
  blobs = await openFilesystem(root);
  tree = await openLinkedTree(root, NO_ROWS);
});

afterEach(() => rm(root, { recursive: true, force: true }));

function repository(name: string): RepositoryName {
  if (!isRepositoryName(name)) throw new TypeError(name);
  return name;
}

const MODELS = repository("models/llama");
const MANIFEST = digestOf("a manifest");

async function blob(content: string): Promise<Digest> {
  const digest = await publish(blobs, content);
  await blobs.discard(`u-${digest.slice(7, 23)}`);
  return digest;
}

/** Everything below `trusted/`: folders end in a slash, files with their content. */
async function contents(): Promise<string[]> {
  const entries = await readdir(join(root, "trusted"), { recursive: true, withFileTypes: true });
  const all = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(join(root, "trusted").length + 1);
    return entry.isDirectory() ? `${name}/` : `${name}: ${await readFile(path, "utf8")}`;
  });
  return (await Promise.all(all)).toSorted();
}

/** Nothing that is under way may stay behind. */
async function underWay(): Promise<readonly string[]> {
  return underWayIn(root);
}

/** Links with nobody else around. */
async function link(name: RepositoryName, manifest: Digest, files: readonly RuntimeFile[], by = tree): Promise<void> {
  expect(await by.link(name, manifest, files, async () => true)).toBe(true);
}

const folder = (name: string, manifest = MANIFEST): string => `${name}/${manifest.replace(":", "-")}`;

describe("linking a manifest", () => {
  test("makes its folder with hard links to the blobs, which readers of other users can walk", async () => {
    const [weights, config] = [await blob("weights"), await blob("config")];
    await link(MODELS, MANIFEST, [
      { path: "model.gguf", blob: weights },
      { path: "conf/deep/config.json", blob: config },
      { path: "copy.gguf", blob: weights },
    ]);
    const at = folder("models/llama");
    expect(await contents()).toEqual([
      "models/",
      "models/llama/",
      `${at}/`,
      `${at}/conf/`,
      `${at}/conf/deep/`,
      `${at}/conf/deep/config.json: config`,
      `${at}/copy.gguf: weights`,
      `${at}/model.gguf: weights`,
    ]);
    const path = join(root, "trusted", at);
    expect(await tree.pathOf(MODELS, MANIFEST)).toBe(path);
    const [linked, published] = [await stat(join(path, "model.gguf")), await stat(blobPath(join(root, "blobs"), weights))];
    expect(linked.ino).toBe(published.ino);
    expect(linked.mode & 0o777).toBe(0o444);
    for (const made of ["models", "models/llama", at, `${at}/conf/deep`]) {
      expect((await stat(join(root, "trusted", made))).mode & 0o777).toBe(0o755);
    }
    expect(await underWay()).toEqual([]);
  });

  test("makes folders open whatever the umask", async () => {
    const before = process.umask(0o077);
    try {
      await link(MODELS, MANIFEST, [{ path: "a/b", blob: await blob("b") }]);
    } finally {
      process.umask(before);
    }
    expect((await stat(join(root, "trusted", folder("models/llama"), "a"))).mode & 0o777).toBe(0o755);
  });

  test("again makes the folder hold exactly the files of now", async () => {
    await link(MODELS, MANIFEST, [
      { path: "a", blob: await blob("old") },
      { path: "gone/b", blob: await blob("old") },
    ]);
    await link(MODELS, MANIFEST, [{ path: "a", blob: await blob("new") }]);
    expect(await contents()).toEqual(["models/", "models/llama/", `${folder("models/llama")}/`, `${folder("models/llama")}/a: new`]);
    expect(await underWay()).toEqual([]);
  });

  test("survives the blob: what a runtime was given stays whole until it is unlinked", async () => {
    const digest = await blob("weights");
    await link(MODELS, MANIFEST, [{ path: "a", blob: digest }]);
    await blobs.remove(digest, async () => true);
    expect(await readFile(join(root, "trusted", folder("models/llama"), "a"), "utf8")).toBe("weights");
  });

  test("whose blob is missing makes nothing, and leaves what was there", async () => {
    await link(MODELS, MANIFEST, [{ path: "a", blob: await blob("old") }]);
    const before = await contents();
    const missing = { path: "b", blob: digestOf("missing") };
    await expect(link(MODELS, MANIFEST, [{ path: "a", blob: await blob("new") }, missing])).rejects.toMatchObject({ code: "ENOENT" });
    expect(await contents()).toEqual(before);
    expect(await underWay()).toEqual([]);
  });

  test("takes names that need care, and digests of both algorithms", async () => {
    const manifest = digestOf("a manifest", "sha512");
    const paths = ["model v1.0 (final).gguf", "-rf", ".hidden", "ünï", "x".repeat(255), `sha256-${"0".repeat(64)}`];
    await link(MODELS, manifest, await Promise.all(paths.map(async (path) => ({ path, blob: await blob(path) }))));
    const at = join(root, "trusted", folder("models/llama", manifest));
    expect((await readdir(at)).toSorted()).toEqual(paths.toSorted());
  });

  test.each([
    "",
    "/etc/passwd",
    "..",
    "../other",
    "a/../../b",
    "a//b",
    "./a",
    "a/",
    "a\0b",
    "a\\b",
    "a\nb",
    "a\u202eb",
    "x".repeat(256),
    "a/".repeat(600),
  ])("refuses the path %j", async (path) => {
    const file = { path, blob: await blob("weights") };
    await expect(link(MODELS, MANIFEST, [file])).rejects.toBeInstanceOf(TypeError);
    expect(await contents()).toEqual([]);
    expect(await underWay()).toEqual([]);
  });

  test("refuses one path for two files, and a file in the place of a folder", async () => {
    const [one, other] = [await blob("one"), await blob("other")];
    for (const paths of [
      ["a", "a"],
      ["a", "a/b"],
      ["a/b", "a"],
    ] as const) {
      const files = [
        { path: paths[0], blob: one },
        { path: paths[1], blob: other },
      ];
      await expect(link(MODELS, MANIFEST, files)).rejects.toThrow(/EEXIST|ENOTDIR/);
      expect(await contents()).toEqual([]);
      expect(await underWay()).toEqual([]);
    }
  });

  test("copies a file that has as many links as the file system allows", async (context) => {
    const digest = await blob("tokenizer");
    const links = join(root, "links");
    await mkdir(links);
    const source = blobPath(join(root, "blobs"), digest);
    if (!exhaustLinks(source, links)) return context.skip("this file system allows more than 70 000 links to a file");
    await link(MODELS, MANIFEST, [{ path: "tokenizer.json", blob: digest }]);
    const copy = join(root, "trusted", folder("models/llama"), "tokenizer.json");
    expect(await readFile(copy, "utf8")).toBe("tokenizer");
    expect((await stat(copy)).mode & 0o777).toBe(0o444);
  });
});

test("a file whose bytes are a row is a copy of them, which all may read and nobody may change, whatever the umask", async () => {
  const rows = await openLinkedTree(root, blobRowsOf("config"));
  const files = [
    { path: "deep/config.json", blob: digestOf("config") },
    { path: "weights", blob: await blob("weights") },
  ];
  const before = process.umask(0o077);
  try {
    expect(await rows.link(MODELS, MANIFEST, files, async () => true)).toBe(true);
  } finally {
    process.umask(before);
  }
  const at = join(root, "trusted", folder("models/llama"));
  expect([await readFile(join(at, "deep/config.json"), "utf8"), await readFile(join(at, "weights"), "utf8")]).toEqual([
    "config",
    "weights",
  ]);
  expect((await stat(join(at, "deep/config.json"))).mode & 0o777).toBe(0o444);
  await rows.unlink(MODELS, MANIFEST);
  expect(await contents()).toEqual([]);
});

describe("a look at a file", () => {
  const file = { path: "deep/config.json", blob: digestOf("config") };
  let at: string;

  beforeEach(() => {
    at = join(root, "trusted", folder("models/llama"));
  });

  test("tells a link to the blob's own file from a file of its own, which can be read", async () => {
    await blob("config");
    await link(MODELS, MANIFEST, [file]);
    expect(await tree.look(MODELS, MANIFEST, file, 6)).toBe("linked");
    // The blob is the row, and any file of its digest another thing.
    const rows = await openLinkedTree(root, blobRowsOf("config"));
    const own = await rows.look(MODELS, MANIFEST, file, 6);
    expect(typeof own === "string" ? own : await textOf(await own.open())).toBe("config");
    await writeFile(join(at, "deep/config.json.new"), "changed");
    await rename(join(at, "deep/config.json.new"), join(at, file.path));
    const other = await tree.look(MODELS, MANIFEST, file, 7);
    expect(typeof other === "string" ? other : await textOf(await other.open())).toBe("changed");
    expect(await tree.look(MODELS, MANIFEST, file, 6)).toBe("wrong");
  });

  test("reads one byte more than there should be of a file that grows, and follows no link that comes in between", async () => {
    const rows = await openLinkedTree(root, blobRowsOf("config"));
    await link(MODELS, MANIFEST, [file], rows);
    const [grown, moved] = [await rows.look(MODELS, MANIFEST, file, 6), await rows.look(MODELS, MANIFEST, file, 6)];
    if (typeof grown === "string" || typeof moved === "string") throw new Error("it is there");
    await rm(join(at, file.path));
    await writeFile(join(at, file.path), "config and more");
    expect(await textOf(await grown.open())).toBe("config ");
    await rename(join(at, file.path), join(root, "elsewhere"));
    await symlink(join(root, "elsewhere"), join(at, file.path));
    await expect(moved.open()).rejects.toMatchObject({ code: "ELOOP" });
  });

  test.each([
    ["nothing is", async () => rm(join(at, file.path))],
    ["a pipe is", async () => rm(join(at, file.path)).then(() => void execFileSync("mkfifo", [join(at, file.path)]))],
    [
      "a file is in the place of its folder",
      async () => rm(join(at, "deep"), { recursive: true }).then(() => writeFile(join(at, "deep"), "")),
    ],
    ["no folder of the manifest is", async () => rm(at, { recursive: true })],
  ])("finds it wrong where %s", async (_, harm) => {
    const rows = await openLinkedTree(root, blobRowsOf("config"));
    await link(MODELS, MANIFEST, [file], rows);
    await harm();
    expect(await rows.look(MODELS, MANIFEST, file, 6)).toBe("wrong");
  });
});

/** Links a file until no more is allowed; false when that is not in sight. */
function exhaustLinks(source: string, into: string): boolean {
  for (let links = 0; links < 70_000; links += 1) {
    try {
      linkSync(source, join(into, String(links)));
    } catch {
      return true;
    }
  }
  return false;
}

describe("unlinking a manifest", () => {
  test("removes its folder and the parents that nothing else needs", async () => {
    const file = { path: "a", blob: await blob("a") };
    await link(MODELS, MANIFEST, [file]);
    await link(repository("models/llama/tuned"), MANIFEST, [file]);
    await tree.unlink(MODELS, MANIFEST);
    expect(await tree.pathOf(MODELS, MANIFEST)).toBeUndefined();
    const at = folder("models/llama/tuned");
    expect(await contents()).toEqual(["models/", "models/llama/", "models/llama/tuned/", `${at}/`, `${at}/a: a`]);
    await tree.unlink(repository("models/llama/tuned"), MANIFEST);
    expect(await contents()).toEqual([]);
    expect(await underWay()).toEqual([]);
    expect(await readdir(join(root, "trusted"))).toEqual([]);
  });

  test("that was never linked is fine", async () => {
    await tree.unlink(MODELS, MANIFEST);
    await link(MODELS, MANIFEST, [{ path: "a", blob: await blob("a") }]);
    await tree.unlink(MODELS, digestOf("another manifest"));
    expect(await tree.pathOf(MODELS, MANIFEST)).toBeDefined();
  });

  test("leaves a file that a runtime holds open readable, and its blob", async () => {
    const digest = await blob("weights");
    await link(MODELS, MANIFEST, [{ path: "a", blob: digest }]);
    await tree.unlink(MODELS, MANIFEST);
    expect(await readFile(blobPath(join(root, "blobs"), digest), "utf8")).toBe("weights");
  });
});

async function namesBelow(path: string): Promise<string> {
  const names: string[] = await readdir(path, { recursive: true }).catch(() => []);
  return names.toSorted((one, other) => (one < other ? -1 : 1)).join(" ");
}

describe("a link is called off", () => {
  let other: RuntimeTree;
  beforeEach(async () => {
    other = await openLinkedTree(root, NO_ROWS);
  });

  test("when the answer is no once all is ready, and what was there stays", async () => {
    const old = await blob("old");
    await link(MODELS, MANIFEST, [{ path: "a", blob: old }]);
    const before = await contents();
    const files = [{ path: "a", blob: await blob("new") }];
    let asked = 0;
    const no = async (): Promise<boolean> => {
      asked += 1;
      return false;
    };
    expect(await tree.link(MODELS, MANIFEST, files, no)).toBe(false);
    expect([asked, await contents(), await underWay()]).toEqual([1, before, []]);
  });

  test.each(["a folder that is there", "no folder"])("by an unlink that comes after the question, over %s", async (over) => {
    const files = [{ path: "deep/a", blob: await blob("a") }];
    if (over !== "no folder") await link(MODELS, MANIFEST, files);
    const unlinked = async (): Promise<boolean> => {
      await other.unlink(MODELS, MANIFEST);
      expect(await contents()).toEqual([]);
      return true;
    };
    expect(await tree.link(MODELS, MANIFEST, files, unlinked)).toBe(false);
    expect([await contents(), await underWay()]).toEqual([[], []]);
  });

  test("by no unlink of another folder, and not when it is begun anew after the unlink", async () => {
    const files = [{ path: "a", blob: await blob("a") }];
    const around = async (): Promise<boolean> => {
      await other.unlink(MODELS, digestOf("another manifest"));
      await other.unlink(repository("models/other"), MANIFEST);
      return true;
    };
    expect(await tree.link(MODELS, MANIFEST, files, around)).toBe(true);
    await other.unlink(MODELS, MANIFEST);
    await link(MODELS, MANIFEST, files);
    expect(await tree.pathOf(MODELS, MANIFEST)).toBeDefined();
  });

  test("by an unlink at any time: whatever was asked before it leaves nothing behind", async () => {
    const files = await Promise.all(["a", "b/c", "d"].map(async (path) => ({ path, blob: await blob(path) })));
    const trees = [tree, other, await openLinkedTree(root, NO_ROWS)];
    for (let round = 0; round < 40; round += 1) {
      let served = true;
      const links = trees.map(async (mine) => mine.link(MODELS, MANIFEST, files, async () => served));
      for (let turns = 0; turns < round * 3; turns += 1) await new Promise(setImmediate);
      served = false;
      await other.unlink(MODELS, MANIFEST);
      expect(await contents()).toEqual([]);
      await Promise.all(links);
      expect([await contents(), await underWay()]).toEqual([[], []]);
    }
  });
});

describe("the name of a process", () => {
  test("tells whether that process has ended, also when it was killed", async () => {
    const child = startChild(PROCESS_NAME, root);
    await child.said(1);
    const [name = ""] = child.lines;
    expect([await tree.hasEnded(name), await tree.hasEnded(tree.process), name === tree.process]).toEqual([false, false, false]);
    await child.kill();
    expect(await tree.hasEnded(name)).toBe(true);
  });

  test("is not that of another one which got its number, or of another boot of the machine", async () => {
    const [boot = "", pid = "", start = "", nonce = ""] = tree.process.split(".");
    for (const name of [[boot, pid, "1", nonce], [randomUUID(), pid, start, nonce], [""]]) {
      expect(await tree.hasEnded(name.join("."))).toBe(true);
    }
  });
});

describe("many links and unlinks at once", () => {
  test("never lose a folder that was linked, and never leave one that was unlinked", async () => {
    const file = { path: "deep/a", blob: await blob("a") };
    const trees = [tree, await openLinkedTree(root, NO_ROWS), await openLinkedTree(root, NO_ROWS)];
    const manifests = ["one", "two", "three"].map((text) => digestOf(text));
    await Promise.all(
      manifests.map(async (manifest, index) => {
        const mine = trees[index] ?? tree;
        // They share all parents: one takes away what another one is about to need.
        for (let round = 0; round < 25; round += 1) {
          await link(MODELS, manifest, [file], mine);
          expect(await mine.pathOf(MODELS, manifest)).toBeDefined();
          await mine.unlink(MODELS, manifest);
          expect(await mine.pathOf(MODELS, manifest)).toBeUndefined();
        }
      }),
    );
    expect(await contents()).toEqual([]);
    expect(await underWay()).toEqual([]);
  });

  test("show a folder whole or not at all", async () => {
    const files = await Promise.all(["a", "b/c", "d"].map(async (path) => ({ path, blob: await blob(path) })));
    const at = join(root, "trusted", folder("models/llama"));
    const done = new AbortController();
    const watching = (async () => {
      const seen = new Set<string>();
      while (!done.signal.aborted) seen.add(await namesBelow(at));
      return seen;
    })();
    for (let round = 0; round < 40; round += 1) {
      await link(MODELS, MANIFEST, files);
      if (round % 2 === 0) await tree.unlink(MODELS, MANIFEST);
    }
    done.abort();
    const seen = [...(await watching)].filter((names) => names !== "" && names !== "a b b/c d");
    expect(seen).toEqual([]);
  });
});

describe("opening the tree", () => {
  test("takes away what processes that were killed left under way, and nothing of one that lives", async () => {
    const living = startChild(PROCESS_NAME, root);
    await living.said(1);
    const place = join(root, "uploads", `+tree.${"0".repeat(64)}`);
    const kept = [`${place}/${living.lines[0]}.${randomUUID()}`, join(root, "uploads", `+gone.${living.lines[0]}.${randomUUID()}`)];
    for (const path of kept) await mkdir(path, { recursive: true });
    const texts = Array.from({ length: 20 }, (_, at) => `content ${at}`);
    for (const text of texts) await blob(text);
    for (let round = 0; round < 8; round += 1) {
      const child = startChild(LINK_FOREVER, root, ...texts);
      await child.said(1);
      for (let turns = 0; turns < round * 12; turns += 1) await new Promise(setImmediate);
      await child.kill();
      await openLinkedTree(root, NO_ROWS);
      expect(await underWay()).toHaveLength(2);
    }
    await living.kill();
    await openLinkedTree(root, NO_ROWS);
    expect(await underWay()).toEqual([]);
  });
});
