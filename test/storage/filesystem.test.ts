import { mkdir, mkdtemp, readFile, readdir, rename, rm, stat, statfs, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { type BlobStore, StorageFullError, UploadBusyError } from "../../src/storage/blob-store.ts";
import { blobPath, openFilesystem } from "../../src/storage/filesystem.ts";
import { syncPath } from "../../src/storage/sync.ts";
import { type WritableFile, openWritable } from "../../src/storage/writable-file.ts";
import { startChild } from "../support/child.ts";
import { smallFilesystem } from "../support/small-filesystem.ts";
import { underWayIn } from "../support/under-way.ts";
import { HeldSource, all, describeBlobStore, pieces, publish, read, readStaged } from "./blob-store.suite.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const APPEND = new URL("process/append.ts", import.meta.url);
const CLAIM_NAME = new URL("process/claim-name.ts", import.meta.url);

describeBlobStore("files", async () => {
  const root = await mkdtemp(join(tmpdir(), "amr-files-"));
  return { open: () => openFilesystem(root), remove: () => rm(root, { recursive: true, force: true }) };
});

let root: string;
let store: BlobStore;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "amr-files-"));
  store = await openFilesystem(root);
});

afterEach(() => rm(root, { recursive: true, force: true }));

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
const pathOf = (content: string): string => blobPath(join(root, "blobs"), digestOf(content));
/** Every file below the root, but the token of removals and empty ones for uploads to come. */
const files = async (): Promise<string[]> => {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const found = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
  return found.filter((path) => path !== "blobs/removal/removal" && !path.startsWith("uploads/+folder.")).toSorted();
};

const claimed = async (boot: string, pid: number, start: string): Promise<void> => {
  await store.stage("u");
  await rename(join(root, "uploads/u/data"), join(root, `uploads/u/data.${boot}.${pid}.${start}.00000000`));
};

/** The parts of the name that a process of now gives to what it claims. */
const partsOfChild = async (): Promise<{ boot: string; pid: number; start: string }> => {
  const folder = await mkdtemp(join(tmpdir(), "amr-claim-"));
  await writeFile(join(folder, "f"), "");
  const child = startChild(CLAIM_NAME, folder, "f");
  await child.said(1);
  await child.ended();
  await rm(folder, { recursive: true });
  const [, boot = "", pid = "", start = ""] = child.lines[0]?.split(".") ?? [];
  return { boot, pid: Number(pid), start };
};

describe("files of blobs", () => {
  test("lie where the layout says, in private folders, and nobody can write to them", async () => {
    const digest = await publish(store, "content");
    expect(pathOf("content")).toBe(join(root, "blobs", "sha256", digest.slice(7, 9), digest.slice(7)));
    expect(await modeOf(pathOf("content"))).toBe(0o444);
    expect(await readFile(pathOf("content"), "utf8")).toBe("content");
    for (const folder of ["blobs", "uploads", "blobs/sha256", `blobs/sha256/${digest.slice(7, 9)}`]) {
      expect(await modeOf(join(root, folder))).toBe(0o700);
    }
    await store.stage("u");
    expect(await modeOf(join(root, "uploads", "u"))).toBe(0o700);
    expect(await modeOf(join(root, "uploads", "u", "data"))).toBe(0o600);
  });

  test("that are none of the store's are not listed", async () => {
    const digest = await publish(store, "content");
    await store.discard(`u-${digest.slice(7, 23)}`);
    await writeFile(`${pathOf("content")}.1`, "");
    await writeFile(join(root, "blobs", "sha256", "stray"), "");
    await mkdir(join(root, "blobs", "md5", "ab"), { recursive: true });
    await writeFile(join(root, "blobs", "md5", "ab", "ab"), "");
    await mkdir(join(root, "uploads", "+tree.1"));
    await rm(join(root, "blobs", "sha256", "stray"));
    expect(await all(store.list())).toEqual([digest]);
    expect(await all(store.listStaged())).toEqual([]);
  });

  test("leave nothing beside them, however they were published, replaced and removed", async () => {
    const digest = await publish(store, "content", "u");
    await store.publish("u", digest, { replace: true });
    await store.publish("u", digest);
    await publish(store, "content", "v");
    await store.publish("v", digest, { replace: true });
    for (const upload of ["u", "v"]) await store.discard(upload);
    expect(await files()).toEqual([pathOf("content").slice(root.length + 1)]);
    await store.remove(digest, async () => true);
    expect(await files()).toEqual([]);
    expect(await underWayIn(root)).toEqual([]);
  });
});

async function spareFolders(): Promise<readonly string[]> {
  return (await readdir(join(root, "uploads"))).filter((name) => name.startsWith("+folder."));
}

async function inodeOf(upload: string): Promise<number> {
  return (await stat(join(root, "uploads", upload))).ino;
}

describe("the folder of an upload that has ended", () => {
  test("is that of the next one, which is as new", async () => {
    await store.stage("u");
    await store.append("u", pieces("secret"), 0);
    await store.publish("u", digestOf("secret"));
    const folder = await inodeOf("u");
    await store.discard("u");
    const began = Date.now();
    await store.stage("v");
    expect(await inodeOf("v")).toBe(folder);
    expect(await store.staged("v")).toEqual({ size: 0 });
    expect(await store.touchedAt("v")).toBeGreaterThan(began - 1000);
    expect(await store.staged("u")).toBeUndefined();
    expect(await spareFolders()).toEqual([]);
  });

  test("is that of the next one with its file, where nothing was written to it", async () => {
    await store.stage("u");
    const file = await inodeOf("u/data");
    await utimes(join(root, "uploads/u/data"), 1, 1);
    await store.discard("u");
    expect(await store.staged("u")).toBeUndefined();
    const began = Date.now();
    await store.stage("v");
    expect(await inodeOf("v/data")).toBe(file);
    expect(await store.touchedAt("v")).toBeGreaterThan(began - 1000);
    expect(await store.append("v", pieces("abc"), 0)).toBe(3);
    expect(await files()).toEqual(["uploads/v/data"]);
  });

  test("is not that of the next one while somebody writes to it, and not with bytes that nobody published", async () => {
    await store.stage("u");
    const child = startChild(APPEND, root, "u", "0");
    await child.said(1);
    await expect(store.discard("u")).rejects.toBeInstanceOf(UploadBusyError);
    await store.stage("v");
    expect(await readStaged(store, "v")).toBe("");
    await child.kill();
    await store.append("u", pieces("abc"), 0);
    await store.discard("u");
    await store.stage("w");
    expect(await readStaged(store, "w")).toBe("");
  });

  test("is not kept with anything in it", async () => {
    await store.stage("u");
    await writeFile(join(root, "uploads/u/stray"), "x");
    await store.discard("u");
    await store.stage("v");
    expect(await readdir(join(root, "uploads/v"))).toEqual(["data"]);
  });

  test("is made anew where those that were kept are gone", async () => {
    await store.stage("u");
    await store.discard("u");
    for (const name of await spareFolders()) await rm(join(root, "uploads", name), { recursive: true });
    await store.stage("v");
    expect(await readStaged(store, "v")).toBe("");
  });

  test("is one of a bounded number that are kept, and none is after its process", async () => {
    const ids = Array.from({ length: 100 }, (_, at) => `u${at}`);
    for (const id of ids) await store.stage(id);
    for (const id of ids) await store.discard(id);
    expect(await spareFolders()).toHaveLength(64);
    const [name = ""] = await spareFolders();
    await mkdir(join(root, "uploads", name.replace(/^\+folder\.[^.]+\./, "+folder.another-boot.")));
    await openFilesystem(root);
    expect(await spareFolders()).toHaveLength(64);
  });

  test("cannot be had where an upload of that name is open", async () => {
    await store.stage("u");
    await store.append("u", pieces("abc"), 0);
    await expect(store.stage("u")).rejects.toThrow(/ENOTEMPTY|EEXIST/);
    expect(await readStaged(store, "u")).toBe("abc");
    expect(await readdir(join(root, "uploads"))).toEqual(["u"]);
  });
});

describe("a claim", () => {
  test("of a living process keeps all others out until it is given up", async () => {
    await store.stage("u");
    const child = startChild(APPEND, root, "u", "0");
    await child.said(1);
    await expect(store.append("u", pieces("x"), 0)).rejects.toBeInstanceOf(UploadBusyError);
    await expect(store.discard("u")).rejects.toBeInstanceOf(UploadBusyError);
    expect(await store.staged("u")).toMatchObject({ size: 0 });
    await child.kill();
    expect(await store.append("u", pieces("x"), 0)).toBe(1);
    expect(await files()).toEqual(["uploads/u/data"]);
  });

  test("of a process of another boot is void", async () => {
    await claimed("an-earlier-boot", process.pid, "1");
    expect(await store.append("u", pieces("x"), 0)).toBe(1);
  });

  test("of a process that has ended is void", async () => {
    const { boot, pid, start } = await partsOfChild();
    await claimed(boot, pid, start);
    expect(await store.append("u", pieces("x"), 0)).toBe(1);
  });

  test("of a process whose id another one has by now is void", async () => {
    const { boot, start } = await partsOfChild();
    await claimed(boot, process.ppid, start);
    expect(await store.append("u", pieces("x"), 0)).toBe(1);
  });

  test("that another copy of this program in the same process holds keeps out", async () => {
    const parts = (await readFile("/proc/self/stat", "utf8")).replace(/^.*\) /, "").split(" ");
    const { boot } = await partsOfChild();
    await claimed(boot, process.pid, parts[19] ?? "");
    await expect(store.append("u", pieces("x"), 0)).rejects.toBeInstanceOf(UploadBusyError);
  });

  test("is void whatever its name says", async () => {
    for (const name of ["data.", "data.x", "data.x.y.z", "data.....", "data.x.-1.z.w", "data.x.99999999999.z.w"]) {
      await store.stage(name);
      await rename(join(root, "uploads", name, "data"), join(root, "uploads", name, name));
      expect(await store.append(name, pieces("x"), 0)).toBe(1);
    }
  });

  test("of a dead process is taken over by exactly one of many", async () => {
    for (let round = 0; round < 20; round += 1) {
      await claimed("an-earlier-boot", 1, "1");
      const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => store.append("u", pieces("x"), 0)));
      expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      expect(await readStaged(store, "u")).toBe("x");
      await store.discard("u");
    }
  });

  test("that could not be given up is one's own again", async () => {
    await store.stage("u");
    const source = new HeldSource();
    const appending = store.append("u", source, 0);
    await source.asked;
    // A folder in its place keeps the file from getting its name back.
    await mkdir(join(root, "uploads/u/data/x"), { recursive: true });
    source.give();
    await expect(appending).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
    await rm(join(root, "uploads/u/data"), { recursive: true });
    expect(await store.append("u", pieces("x"), 0)).toBe(1);
  });
});

describe("a process that is killed in the midst of an upload", () => {
  test.each([16, 1_048_576])(
    "leaves a prefix that the next one goes on with (pieces of %i bytes)",
    async (size) => {
      await store.stage("u");
      for (let round = 1; round <= 3; round += 1) {
        const child = startChild(APPEND, root, "u", String(size));
        await child.said(5 * round);
        await child.kill();
      }
      const left = (await store.staged("u"))?.size ?? 0;
      const text = await readStaged(store, "u");
      expect(text).toHaveLength(left);
      const lines = text.slice(0, text.length - (text.length % 16)).split("\n");
      expect(lines.slice(0, -1).every((line, index) => Number(line) === index)).toBe(true);
      expect(await store.append("u", pieces("end"), left)).toBe(left + 3);
      const digest = digestOf(`${text}end`);
      await store.publish("u", digest);
      expect(await read(store, digest)).toBe(`${text}end`);
    },
    60_000,
  );

  test("or between the steps of its beginning or its end leaves no upload, but something that expires and can be discarded", async () => {
    await mkdir(join(root, "uploads/u"));
    expect(await all(store.listStaged())).toEqual(["u"]);
    expect(await store.staged("u")).toBeUndefined();
    expect(await store.touchedAt("u")).toBeGreaterThan(0);
    await store.discard("u");
    expect(await all(store.listStaged())).toEqual([]);
    expect(await store.touchedAt("u")).toBeUndefined();
    // Its empty file was put aside, and the folder not yet.
    await mkdir(join(root, "uploads/v"));
    await writeFile(join(root, "uploads/v/unused"), "");
    await store.discard("v");
    expect(await all(store.listStaged())).toEqual([]);
  });
});

/** What a fault does to one write: how many bytes of it are written, and the error after them. */
interface Fault {
  readonly written?: number;
  readonly code?: string;
}

/** A file system whose writes and syncs fail as they are told, one fault a call; then they work again. */
class FaultyFiles {
  readonly writes: Fault[] = [];
  readonly syncs: string[] = [];
  readonly opens: string[] = [];
  /** How many files are open. */
  open = 0;

  readonly openFile: typeof openWritable = (path, flags, mode) => {
    const code = this.opens.shift();
    if (code !== undefined) throw faultOf(code);
    const file = openWritable(path, flags, mode);
    this.open += 1;
    return {
      write: (parts, position) => this.#write(file, parts, position),
      close: () => {
        this.open -= 1;
        file.close();
      },
    };
  };

  readonly sync = async (path: string): Promise<number> => {
    const fault = this.syncs.shift();
    if (fault !== undefined && fault !== "") throw faultOf(fault);
    return syncPath(path);
  };

  async #write(file: WritableFile, parts: readonly Uint8Array[], position: number): Promise<number> {
    const fault = this.writes.shift();
    if (fault === undefined) return file.write(parts, position);
    const part = Buffer.concat(parts).subarray(0, fault.written ?? 0);
    const written = part.length === 0 ? 0 : await file.write([part], position);
    if (fault.code !== undefined) throw faultOf(fault.code);
    return written;
  }
}

function faultOf(code: string): Error {
  return Object.assign(new Error(code), { code });
}

describe("a disk that fails", () => {
  let faulty: FaultyFiles;

  beforeEach(async () => {
    faulty = new FaultyFiles();
    store = await openFilesystem(root, faulty);
    await store.stage("u");
  });

  afterEach(() => {
    if (faulty.open > 0) throw new Error(`${faulty.open} files were left open`);
  });

  test("by short writes loses and doubles nothing", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 9 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 }),
        async (parts, shorts) => {
          faulty.writes.splice(0, Infinity, ...shorts.map((written) => ({ written })));
          const { size = 0 } = (await store.staged("u")) ?? {};
          expect(await store.append("u", pieces(...parts), size)).toBe(size + Buffer.byteLength(parts.join("")));
          expect(await readStaged(store, "u", size)).toBe(parts.join(""));
        },
      ),
    );
    faulty.writes.length = 0;
  });

  test.each(["ENOSPC", "EDQUOT"])("for want of room (%s) keeps what was written, and takes the rest when there is room", async (code) => {
    faulty.writes.push({ written: 2, code });
    await expect(store.append("u", pieces("abcdef"), 0)).rejects.toBeInstanceOf(StorageFullError);
    expect(await store.staged("u")).toMatchObject({ size: 2 });
    expect(await store.append("u", pieces("cdef"), 2)).toBe(6);
    expect(await readStaged(store, "u")).toBe("abcdef");
  });

  test("by taking no byte and giving no reason counts as full", async () => {
    faulty.writes.push({});
    await expect(store.append("u", pieces("abcdef"), 0)).rejects.toBeInstanceOf(StorageFullError);
    expect(await store.append("u", pieces("abcdef"), 0)).toBe(6);
  });

  test("by EIO says so, and nothing is written beyond the gap", async () => {
    faulty.writes.push({ written: 1, code: "EIO" });
    const source = new HeldSource();
    const appending = store.append("u", source, 0);
    for (const piece of ["abc", "def", "ghi"]) source.give(piece);
    source.give();
    await expect(appending).rejects.toMatchObject({ code: "EIO" });
    expect(await readStaged(store, "u")).toBe("a");
    expect(await store.append("u", pieces("bc"), 1)).toBe(3);
  });

  test("stops its source: a client is not listened to for the rest of a body that has no place", async () => {
    faulty.writes.push({ code: "ENOSPC" });
    let given = 0;
    const endless = async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        given += 1;
        yield Buffer.alloc(65_536);
      }
    };
    await expect(store.append("u", endless(), 0)).rejects.toBeInstanceOf(StorageFullError);
    expect(given).toBeLessThan(64);
  });

  test.each(["ENOSPC", "EIO", "EMFILE"])("when a file is opened (%s) writes nothing", async (code) => {
    faulty.opens.push(code);
    await expect(store.append("u", pieces("abc"), 0)).rejects.toThrow(code === "ENOSPC" ? /room/ : code);
    expect(await store.append("u", pieces("abc"), 0)).toBe(3);
  });

  test.each([
    ["the file's own", ["EIO"]],
    ["the file's own, for want of room", ["ENOSPC"]],
  ])("at %s fsync shows nothing, and shows all when the disk is well again", async (_which, codes) => {
    await store.append("u", pieces("content"), 0);
    faulty.syncs.push(...codes);
    await expect(store.publish("u", digestOf("content"))).rejects.toThrow(codes[0] === "EIO" ? "EIO" : /room/);
    expect(await store.stat(digestOf("content"))).toBeUndefined();
    expect(await files()).toEqual(["uploads/u/data"]);
    await store.publish("u", digestOf("content"));
    expect(await read(store, digestOf("content"))).toBe("content");
  });

  test("at any fsync of a folder does not acknowledge, and does when all is durable", async () => {
    const folders = ["", "EIO"];
    for (let before = 1; before <= 4; before += 1) {
      await store.discard("u");
      await store.remove(digestOf("content"), async () => true);
      await rm(join(root, "blobs/sha256"), { recursive: true, force: true });
      store = await openFilesystem(root, faulty);
      await store.stage("u");
      await store.append("u", pieces("content"), 0);
      faulty.syncs.splice(0, Infinity, ...Array.from({ length: before - 1 }, () => ""), ...folders.slice(1));
      await expect(store.publish("u", digestOf("content"))).rejects.toMatchObject({ code: "EIO" });
      await store.publish("u", digestOf("content"));
      expect(await read(store, digestOf("content"))).toBe("content");
    }
  });

  test("syncs the file, every new folder's parent, and at last the folder of the blob", async () => {
    const synced: string[] = [];
    const watching = await openFilesystem(root, {
      sync: async (path) => {
        const size = await syncPath(path);
        synced.push(path.slice(root.length + 1));
        return size;
      },
    });
    await publish(watching, "content", "w");
    const folder = pathOf("content").slice(root.length + 1, -65);
    expect(synced[0]).toMatch(/^uploads\/w\/data\./);
    expect(synced.slice(1)).toEqual(["blobs", "blobs/sha256", folder]);
    synced.length = 0;
    await watching.publish("w", digestOf("content"));
    expect(synced.slice(1)).toEqual([folder]);
    synced.length = 0;
    await watching.flush(digestOf("content"));
    expect(synced).toEqual([pathOf("content").slice(root.length + 1), folder, "blobs/sha256", "blobs"]);
  });

  test("never lets a source run far ahead of what is written", async () => {
    let [given, written, ahead] = [0, 0, 0];
    const slow = await openFilesystem(root, {
      openFile: (path, flags, mode) => {
        const file = openWritable(path, flags, mode);
        return {
          ...file,
          write: async (parts, position) => {
            await new Promise((resolve) => setTimeout(resolve, 1));
            const bytes = await file.write(parts, position);
            written += bytes;
            return bytes;
          },
        };
      },
    });
    const source = async function* source(): AsyncGenerator<Uint8Array> {
      for (; given < 32 * 1024 ** 2; given += 65_536) {
        ahead = Math.max(ahead, given - written);
        yield Buffer.alloc(65_536);
      }
    };
    await slow.append("u", source(), 0);
    expect(ahead).toBeLessThan(3 * 1024 ** 2);
  });

  test("of a few megabytes says when it is full, publishes nothing cut, and takes the upload when there is room again", async (context) => {
    await using small = await smallFilesystem("4m");
    if (small === undefined) return context.skip("no file system can be mounted here");
    expect(await small.run(new URL("process/fill-blobs.ts", import.meta.url))).toEqual({
      appended: StorageFullError.name,
      sizeIsOfFile: true,
      again: StorageFullError.name,
      blobs: 1,
      finished: "right",
    });
  });
});

test("room() keeps a twentieth of the file system, and at most a gibibyte, for what the registry itself writes", async () => {
  const { bavail, blocks, bsize } = await statfs(root);
  const kept = bavail * bsize - (await store.room());
  const wanted = Math.min(1024 ** 3, (blocks * bsize) / 20);
  // Others write to the same disk meanwhile.
  expect(Math.abs(kept - wanted)).toBeLessThan(wanted / 2);
});

describe("the folder of a store", () => {
  test("may be opened by many at once the first time, and has one token of removals", async () => {
    for (let round = 0; round < 10; round += 1) {
      const fresh = await mkdtemp(join(tmpdir(), "amr-files-"));
      await Promise.all(Array.from({ length: 8 }, () => openFilesystem(fresh)));
      expect(await readdir(join(fresh, "blobs"))).toEqual(["removal"]);
      expect(await readdir(join(fresh, "blobs/removal"))).toEqual(["removal"]);
      await rm(fresh, { recursive: true });
    }
  });

  test("does not follow a link that somebody put in the place of an upload's id", async () => {
    await symlink("/etc", join(root, "uploads", "etc"));
    await expect(store.append("etc", pieces("x"), 0)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(store.openStaged("etc", 0)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("that cannot be written to gives the system's error", async () => {
    await store.stage("u");
    await store.append("u", pieces("content"), 0);
    await rm(join(root, "blobs"), { recursive: true });
    await writeFile(join(root, "blobs"), "");
    await expect(store.publish("u", digestOf("content"))).rejects.toMatchObject({ code: "ENOTDIR" });
    expect(await readStaged(store, "u")).toBe("content");
  });
});
