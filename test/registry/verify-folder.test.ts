import { copyFile, lstat, mkdir, readFile, readdir, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { verifyAll } from "../../src/jobs/verify-all.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { repairRuntimeTree } from "../../src/registry/runtime-folders.ts";
import { streamAudit } from "../../src/registry/read-audit.ts";
import { verificationStatus, startVerification } from "../../src/registry/verify-run.ts";
import { type ArtifactVerification, verifyArtifact } from "../../src/registry/verify-artifact.ts";
import type { Registry } from "../../src/services.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { RuntimeTree } from "../../src/storage/runtime-tree.ts";
import { overwriteRow } from "../support/blob-rows.ts";
import { callerWith } from "../support/callers.ts";
import { fileOf } from "../support/damaged-bytes.ts";
import { PortFaults } from "../support/port-faults.ts";
import { repository } from "../support/principal.ts";
import { Transitions, descriptorOf, digestIn, imageOf, indexOf } from "../support/transitions.ts";
import { treeWith } from "../support/workers.ts";

const publisher = callerWith(["publisher@models"], { name: "pushing" });
const operator = callerWith(["operator@*"], { name: "operating" });
/** A loaded machine may take its time. */
const PATIENT = { timeout: 60_000 };
const AT = "models/m";
const [SMALL, LARGE] = ["tokenizer", "weights"];
const titled = (content: string, title: string): object => ({
  ...descriptorOf(content),
  annotations: { "org.opencontainers.image.title": title },
});
/** One layer that is a row, and so a file of its own in `trusted/`, and one that is a file, and so a link. */
const MODEL = imageOf([], { layers: [titled(SMALL, "conf/tokenizer.json"), titled(LARGE, "model.gguf")] });

let registry: Transitions;
let services: Registry;
/** What the log says as an error. */
let told: unknown[];
let folder: string;
let [copy, linked]: [string, string] = ["", ""];

beforeEach(async () => {
  registry = await Transitions.start();
  ({ services } = registry);
  told = [];
  vi.spyOn(services.log, "error").mockImplementation((said: unknown) => void told.push(said));
  await registry.saidBlob(publisher, AT, "{}");
  await registry.saidBlob(publisher, AT, SMALL);
  await registry.blob(publisher, AT, LARGE);
  await registry.manifest(publisher, AT, MODEL);
  await registry.promote(operator, AT, digestIn(MODEL));
  folder = folderOf(MODEL);
  [copy, linked] = [join(folder, "conf/tokenizer.json"), join(folder, "model.gguf")];
});
afterEach(() => registry[Symbol.asyncDispose]());

function folderOf(manifest: object): string {
  return join(registry.directory, "trusted", AT, digestIn(manifest).replace(":", "-"));
}

async function verifyOne(over: Partial<Registry> = {}, manifest = MODEL): Promise<ArtifactVerification["outcome"]> {
  const { repository: name, record } = await registry.find(operator, AT, digestIn(manifest));
  return (await verifyArtifact({ ...services, ...over }, { repository: name, record })).outcome;
}

async function verifyEverything(over: Partial<Registry> = {}): Promise<string | undefined> {
  const integrityResultPath = join(registry.directory, "integrity-last.json");
  const all = { ...services, ...over, integrityResultPath };
  await startVerification(all, operator);
  await verifyAll(all, { interval: 0, rate: 0, look: 10 }, new AbortController().signal);
  return (await verificationStatus(all)).last?.status;
}

const said = (path: string, blob: string): object => ({
  repository: AT,
  manifest: digestIn(MODEL),
  path,
  digest: digestOf(blob),
});
const pending = () => services.metadata.list(under(keys.treesPending(), 10));

async function isRight(): Promise<void> {
  expect([await readFile(copy, "utf8"), await readFile(linked, "utf8")]).toEqual([SMALL, LARGE]);
  expect((await lstat(copy)).isFile()).toBe(true);
  expect((await stat(copy)).mode & 0o777).toBe(0o444);
  expect((await stat(linked)).ino).toBe((await stat(fileOf(registry.directory, digestOf(LARGE)))).ino);
  expect(await pending()).toEqual([]);
}

/** Puts another file in the place of one. */
async function replace(path: string, bytes: string): Promise<void> {
  await rm(path);
  await writeFile(path, bytes);
}

const WAYS: readonly (readonly [string, (over?: Partial<Registry>) => Promise<string | undefined>, string])[] = [
  ["of its artifact", verifyOne, "intact"],
  ["of everything", verifyEverything, "ok"],
];

describe.each(WAYS)("a check %s", (_, verify, fine) => {
  test("changes nothing where all is right, and tells nothing", async () => {
    const before = await stat(folder);
    expect(await verify()).toBe(fine);
    expect([(await stat(folder)).ino, told]).toEqual([before.ino, []]);
    await isRight();
  });

  test.each([
    ["bytes of the same size", () => replace(copy, "hijacked!")],
    ["fewer bytes", () => replace(copy, "token")],
    ["more bytes", () => replace(copy, `${SMALL}!`)],
    ["no bytes", () => replace(copy, "")],
    ["nothing", () => rm(copy)],
    ["a folder", () => rm(copy).then(() => mkdir(copy))],
    ["a dangling link", () => rm(copy).then(() => symlink("nowhere", copy))],
    ["no folder", () => rm(dirname(copy), { recursive: true })],
  ])("puts the right bytes back where a copy has become %s", async (_says, harm) => {
    const runtime = await readFile(copy, "utf8");
    await harm();
    expect(await verify()).toBe(fine);
    await isRight();
    expect([runtime, told]).toEqual([SMALL, [said("conf/tokenizer.json", SMALL)]]);
    expect(await verify()).toBe(fine);
    expect(told).toHaveLength(1);
  });

  test("makes a folder again that is gone", async () => {
    await rm(folder, { recursive: true });
    expect(await verify()).toBe(fine);
    await isRight();
  });

  test("replaces a link that somebody has put there, to a file or a folder, and follows neither", async () => {
    const elsewhere = join(registry.directory, "elsewhere");
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, "tokenizer.json"), SMALL);
    await rm(copy);
    await symlink(join(elsewhere, "tokenizer.json"), copy);
    expect(await verify()).toBe(fine);
    await isRight();
    await rm(dirname(copy), { recursive: true });
    await symlink(elsewhere, dirname(copy));
    expect(await verify()).toBe(fine);
    await isRight();
    expect((await lstat(dirname(copy))).isDirectory()).toBe(true);
    await rename(folder, join(elsewhere, "all"));
    await symlink(join(elsewhere, "all"), folder);
    expect(await verify()).toBe(fine);
    await isRight();
    expect((await lstat(folder)).isDirectory()).toBe(true);
    expect(told).toHaveLength(3);
    expect(await readFile(join(elsewhere, "tokenizer.json"), "utf8")).toBe(SMALL);
  });

  test("reads nothing of a link to the blob's own file, and what stands in its place", async () => {
    const opened: string[] = [];
    const tree = treeWith(services.tree, {
      look: async (name, manifest, file, size) => {
        const state = await services.tree.look(name, manifest, file, size);
        if (typeof state === "string") return state;
        opened.push(file.path);
        return state;
      },
    });
    expect(await verify({ tree })).toBe(fine);
    expect(opened).toEqual(["conf/tokenizer.json"]);
    // As where a file has all the links that the file system lets it have.
    await rm(linked);
    await copyFile(fileOf(registry.directory, digestOf(LARGE)), linked);
    expect(await verify({ tree })).toBe(fine);
    expect([opened.splice(0), told]).toEqual([["conf/tokenizer.json", "conf/tokenizer.json", "model.gguf"], []]);
    await replace(linked, "hijacks");
    expect(await verify({ tree })).toBe(fine);
    await isRight();
    expect(told).toEqual([said("model.gguf", LARGE)]);
  });

  test("is no verdict on a copy that the disk cannot read, nor fails", async () => {
    await replace(copy, "hijacked!");
    const error = Object.assign(new Error("EIO"), { code: "EIO" });
    const unreadable = treeWith(services.tree, { look: async () => ({ open: () => Promise.reject(error) }) });
    expect(await verify({ tree: unreadable })).toBe(fine);
    const failing = treeWith(services.tree, { look: () => Promise.reject(error) });
    expect(await verify({ tree: failing })).toBe(fine);
    expect([await readFile(copy, "utf8"), await pending()]).toEqual(["hijacked!", []]);
    expect(told).toMatchObject([{ err: error }, { err: error }, { err: error }]);
  });
});

test.each([false, true])("a fault of the disk in any call keeps its verdict, and is made good later (lasting: %s)", async (lasts) => {
  const faults = new PortFaults();
  const failing = faults.around(services);
  for (let nth = 1; ; nth += 1) {
    await replace(copy, "hijacked!");
    faults.arm(nth, "EIO", lasts);
    expect(await verifyOne(failing)).toBe("intact");
    const failed = faults.disarm();
    // Whoever failed to let go of the folder tries it again after a while.
    await vi.waitFor(async () => {
      await repairRuntimeTree(services);
      await verifyOne();
      await isRight();
    }, PATIENT);
    if (failed === undefined) break;
    // To hold the folder, to remove it, to make it, to let go of it.
    expect(failed).toBe(["metadata.commit", "tree.unlink", "tree.link", "metadata.commit"][nth - 1]);
  }
});

test("wrong bytes go though there is no room for right ones", async () => {
  await replace(copy, "hijacked!");
  const full = Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
  expect(await verifyOne({ tree: treeWith(services.tree, { link: () => Promise.reject(full) }) })).toBe("intact");
  expect([await readdir(join(registry.directory, "trusted")), (await pending()).length]).toEqual([[], 1]);
  await repairRuntimeTree(services);
  await isRight();
});

/** A tree in which something happens just before the first look at a file. */
function beforeLooking(act: () => Promise<unknown>, times = 1): RuntimeTree {
  let left = times;
  return treeWith(services.tree, {
    look: async (...args) => {
      left -= 1;
      if (left >= 0) await act();
      return services.tree.look(...args);
    },
  });
}

describe("what happens meanwhile wins:", () => {
  test("a revocation, after which nothing is there, nor told", async () => {
    const tree = beforeLooking(() => registry.revoke(operator, AT, digestIn(MODEL)));
    await verifyOne({ tree });
    expect([await readdir(join(registry.directory, "trusted")), told]).toEqual([[], []]);
  });

  test("whoever holds the folder, and is making it anew", async () => {
    const away = join(registry.directory, "away");
    const row = { key: keys.treePending(repository(AT), digestIn(MODEL), "another"), value: { v: 1, at: 1, process: "another" } };
    const tree = beforeLooking(async () => {
      await rename(folder, away);
      await services.metadata.commit({ expect: [], put: [row], remove: [], audit: [] });
    });
    expect(await verifyOne({ tree })).toBe("intact");
    expect([await readdir(join(registry.directory, "trusted", AT)), told]).toEqual([[], []]);
  });

  test("whoever has made the folder anew between two looks", async () => {
    const away = join(registry.directory, "away");
    let looks = 0;
    const tree = treeWith(services.tree, {
      look: async (...args) => {
        looks += 1;
        if (looks === 1) await rename(folder, away);
        const state = await services.tree.look(...args);
        if (looks === 1) await rename(away, folder);
        return state;
      },
    });
    expect(await verifyOne({ tree })).toBe("intact");
    await isRight();
    expect([looks, told]).toEqual([3, []]);
  });

  test("a blob found damaged, whose folder is not brought back", async () => {
    await replace(copy, "hijacked!");
    const tree = treeWith(services.tree, {
      unlink: async (...args) => {
        await services.tree.unlink(...args);
        await overwriteRow(services.metadata, digestOf(SMALL), "rotten");
        expect(await verifyOne()).toBe("damaged");
      },
    });
    expect(await verifyOne({ tree })).toBe("intact");
    expect([await readdir(join(registry.directory, "trusted")), await pending()]).toEqual([[], []]);
  });
});

test("a folder of what is part of a trusted artifact is checked with it, and by many at once one time", async () => {
  const index = indexOf([MODEL]);
  await registry.manifest(publisher, AT, index);
  await registry.promote(operator, AT, digestIn(index));
  await replace(copy, "hijacked!");
  expect(await Promise.all(Array.from({ length: 8 }, () => verifyOne({}, index)))).toEqual(Array.from({ length: 8 }, () => "intact"));
  await isRight();
  expect(told).toEqual([said("conf/tokenizer.json", SMALL)]);
});

test("what is not to be served gets no folder, and a copy that is put right leaves no event", async () => {
  const other = imageOf([SMALL]);
  await registry.manifest(publisher, AT, other);
  expect(await verifyOne({}, other)).toBe("intact");
  await replace(copy, "hijacked!");
  const before = await count();
  expect(await verifyOne()).toBe("intact");
  await isRight();
  expect([await count(), await readdir(join(registry.directory, "trusted", AT))]).toEqual([before, [digestIn(MODEL).replace(":", "-")]]);
});

async function count(): Promise<number> {
  let events = 0;
  for await (const _ of streamAudit(services, {})) events += 1;
  return events;
}
