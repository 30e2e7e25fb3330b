import { readdir, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { foldersOf } from "../../src/registry/blob-folders.ts";
import { servingEpoch } from "../../src/registry/open-downloads.ts";
import { blobGrounds, condemn, finishRemoval } from "../../src/registry/remove-blob.ts";
import { type BlobVerification, type VerifyServices, verifyBlob } from "../../src/registry/verify-blob.ts";
import { countDamaged, damageOf, forgetHealed } from "../../src/registry/verify-damage.ts";
import { streamAudit } from "../../src/registry/read-audit.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { eventOf, foundBlob } from "../jobs/garbage.ts";
import { blobRecord } from "../../src/storage/records.ts";
import { blobsWith } from "../support/blob-registry.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { fileOf, overwrite, restore } from "../support/damaged-bytes.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "pushing" });
const operator = callerWith(["operator@*"], { name: "operating" });
const AT = "models/m";
const WEIGHTS = "weights";
const BLOB = digestOf(WEIGHTS);
const MODEL = imageOf([WEIGHTS]);

let registry: Transitions;
let services: VerifyServices;

beforeEach(async () => {
  registry = await Transitions.start();
  ({ services } = registry);
});
afterEach(() => registry[Symbol.asyncDispose]());

/** A trusted artifact of one layer, in a repository. */
async function promoted(at: string): Promise<void> {
  for (const content of ["{}", WEIGHTS]) await registry.blob(publisher, at, content);
  await registry.manifest(publisher, at, MODEL);
  await registry.promote(operator, at, digestIn(MODEL));
}

const isFlagged = async (digest: Digest = BLOB): Promise<boolean | undefined> => {
  const entry = await services.metadata.get(keys.blob(digest));
  return entry && blobRecord.parse(entry.value).damaged;
};

async function events(...types: string[]) {
  const found = [];
  for await (const { event } of streamAudit(services, {})) if (types.includes(event.type)) found.push(event);
  return found;
}

/** The folder of each file in `trusted/`. */
async function folders(): Promise<string[]> {
  const trusted = join(registry.directory, "trusted");
  const entries = await readdir(trusted, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath }) => relative(trusted, parentPath));
  return files.toSorted();
}
const folderIn = (at: string): string => `${at}/${digestIn(MODEL).replace(":", "-")}`;

/** Services in which something happens after the bytes of a blob were read, the first so many times. */
function afterReading(act: () => Promise<unknown>, times = 1): VerifyServices {
  let left = times;
  return {
    ...services,
    blobs: blobsWith(services.blobs, {
      open: async (digest) => {
        const stream = await services.blobs.open(digest);
        return Readable.from(
          (async function* () {
            yield* stream;
            left -= 1;
            if (left >= 0) await act();
          })(),
        );
      },
    }),
  };
}

const intact: BlobVerification = { outcome: "intact", size: WEIGHTS.length };
const damaged: BlobVerification = { outcome: "damaged", actual: digestOf("wrong.."), size: 7 };

describe("intact bytes", () => {
  test("change nothing", async () => {
    await promoted(AT);
    const before = await services.metadata.get(keys.blob(BLOB));
    expect(await verifyBlob(services, BLOB)).toEqual(intact);
    expect(await services.metadata.get(keys.blob(BLOB))).toEqual(before);
    expect(await folders()).toEqual([folderIn(AT)]);
    expect(await countDamaged(services)).toEqual({ count: 0, complete: true });
  });

  test("by sha512 are known by sha512", async () => {
    const digest = await registry.blob(publisher, AT, WEIGHTS, "sha512");
    expect(await verifyBlob(services, digest)).toEqual(intact);
    await overwrite(registry.directory, digest, "wrong..");
    expect(await verifyBlob(services, digest)).toEqual({ ...damaged, actual: digestOf("wrong..", "sha512") });
  });
});

test("the folders of a blob begin with those of what is trusted, however many other manifests name it", async () => {
  await promoted(AT);
  await promoted("models/other");
  const junk = repository("models/a");
  const named = Array.from({ length: 10_000 }, (_, at) => digestOf(String(at)));
  await services.metadata.commit({
    expect: [],
    put: [
      { key: keys.blobRepository(BLOB, junk), value: {} },
      ...named.map((manifest) => ({ key: keys.edge(junk, { kind: "blob", digest: BLOB }, manifest), value: {} })),
    ],
    remove: [],
    audit: [eventOf("blob.push")],
  });
  const { folders: found } = await foldersOf(services, BLOB);
  const own = [AT, "models/other"].map((at) => ({ repository: at, manifest: digestIn(MODEL) }));
  expect([found.slice(0, 2), found.length]).toEqual([own, 10_000]);
});

describe("damaged bytes", () => {
  test("are out of service in every repository, and gone from trusted/, before anybody is answered", async () => {
    await promoted(AT);
    await promoted("models/other");
    const epoch = await servingEpoch(services);
    await overwrite(registry.directory, BLOB, "wrong..");
    expect(await verifyBlob(services, BLOB, { askedBy: "olga" })).toEqual(damaged);
    expect(await isFlagged()).toBe(true);
    expect(await folders()).toEqual([]);
    expect(await services.metadata.list(under(keys.treesPending(), 10))).toEqual([]);
    // Downloads under way are asked for again.
    expect(await servingEpoch(services)).toBeGreaterThan(epoch);
    expect(await damageOf(services, BLOB)).toMatchObject({ actual: digestOf("wrong.."), size: 7 });
    expect(await countDamaged(services)).toEqual({ count: 1, complete: true });
    expect(await events("blob.damage")).toEqual([
      expect.objectContaining({
        actor: { principal: "system", kind: "system" },
        outcome: "allow",
        target: { kind: "blob", name: BLOB, digest: BLOB },
        before: { damaged: false },
        after: { damaged: true, actual: digestOf("wrong.."), size: 7, asked_by: "olga" },
      }),
    ]);
  });

  test.each([
    ["cut", "weigh", { outcome: "damaged", actual: digestOf("weigh"), size: 5 }],
    ["empty", "", { outcome: "damaged", actual: digestOf(""), size: 0 }],
    ["longer", "weights!", { outcome: "damaged", actual: digestOf("weights!"), size: 8 }],
  ])("may be %s", async (_, bytes, result) => {
    await promoted(AT);
    await overwrite(registry.directory, BLOB, bytes);
    expect(await verifyBlob(services, BLOB)).toEqual(result);
    expect([await isFlagged(), await folders()]).toEqual([true, []]);
  });

  test("that are missing are damaged as well", async () => {
    await promoted(AT);
    await rm(fileOf(registry.directory, BLOB));
    expect(await verifyBlob(services, BLOB)).toEqual({ outcome: "missing" });
    expect([await isFlagged(), await folders()]).toEqual([true, []]);
    expect(await damageOf(services, BLOB)).toMatchObject({ actual: null, size: null });
  });

  test("found a second time are no second event", async () => {
    await promoted(AT);
    await overwrite(registry.directory, BLOB, "wrong..");
    await verifyBlob(services, BLOB);
    const found = await damageOf(services, BLOB);
    expect(await verifyBlob(services, BLOB)).toEqual(damaged);
    expect(await damageOf(services, BLOB)).toEqual(found);
    expect(await events("blob.damage")).toHaveLength(1);
  });

  test("lose a folder that a crash left behind their flag", async () => {
    await promoted(AT);
    await overwrite(registry.directory, BLOB, "wrong..");
    const crashing = { ...services, tree: { ...services.tree, unlink: () => Promise.reject(new Error("killed")) } };
    await expect(
      verifyBlob({ ...crashing, tree: Object.assign(Object.create(services.tree) as typeof services.tree, crashing.tree) }, BLOB),
    ).rejects.toThrow("killed");
    expect([await isFlagged(), await folders()]).toEqual([true, [folderIn(AT)]]);
    expect(await verifyBlob(services, BLOB)).toEqual(damaged);
    expect(await folders()).toEqual([]);
  });
});

describe("a damaged blob heals", () => {
  beforeEach(async () => {
    await promoted(AT);
    await overwrite(registry.directory, BLOB, "wrong..");
    await verifyBlob(services, BLOB);
  });

  test("when the right bytes are pushed, which brings its folders back", async () => {
    await registry.blob(publisher, AT, WEIGHTS);
    expect([await isFlagged(), await folders()]).toEqual([false, [folderIn(AT)]]);
    expect(await verifyBlob(services, BLOB)).toEqual(intact);
    expect(await damageOf(services, BLOB)).toBeUndefined();
  });

  test("when the right bytes are pushed to another repository, and its row is forgotten in time", async () => {
    await registry.blob(publisher, "models/other", WEIGHTS);
    expect([await isFlagged(), await folders()]).toEqual([false, [folderIn(AT)]]);
    expect(await countDamaged(services)).toEqual({ count: 0, complete: true });
    await forgetHealed(services);
    expect(await services.metadata.get(keys.blobDamage(BLOB))).toBeUndefined();
  });

  test("when somebody has put the right bytes back on the disk and it is verified", async () => {
    await restore(registry.directory, BLOB, WEIGHTS);
    expect(await isFlagged()).toBe(true);
    expect(await verifyBlob(services, BLOB, { askedBy: "olga" })).toEqual(intact);
    expect([await isFlagged(), await folders()]).toEqual([false, [folderIn(AT)]]);
    expect(await services.metadata.get(keys.blobDamage(BLOB))).toBeUndefined();
    expect(await events("blob.heal")).toEqual([
      expect.objectContaining({
        actor: { principal: "system", kind: "system" },
        before: { damaged: true },
        after: { damaged: false, size: WEIGHTS.length, asked_by: "olga" },
      }),
    ]);
  });

  test("and its row is kept while it is damaged", async () => {
    await forgetHealed(services);
    expect(await damageOf(services, BLOB)).toBeDefined();
  });
});

describe("what happens between the reading and the change wins:", () => {
  beforeEach(() => promoted(AT));

  test("a push that heals what another worker found damaged", async () => {
    await overwrite(registry.directory, BLOB, "wrong..");
    const racing = afterReading(async () => {
      expect(await verifyBlob(services, BLOB)).toEqual(damaged);
      await registry.blob(publisher, AT, WEIGHTS);
    });
    expect(await verifyBlob(racing, BLOB)).toEqual(intact);
    expect([await isFlagged(), await folders()]).toEqual([false, [folderIn(AT)]]);
    expect((await events("blob.damage", "blob.heal")).map(({ type }) => type)).toEqual(["blob.damage", "blob.heal"]);
  });

  test.each([
    ["lost", () => rm(fileOf(registry.directory, BLOB))],
    ["cut", () => overwrite(registry.directory, BLOB, "w")],
  ])("a push to the same repository that puts back %s bytes of which nobody knew", async (_, lose) => {
    await lose();
    let pushed = false;
    const racing = afterReading(() => registry.blob(publisher, AT, WEIGHTS));
    const open = racing.blobs.open.bind(racing.blobs);
    const missing = blobsWith(racing.blobs, {
      open: async (digest) => {
        try {
          return await open(digest);
        } catch (error) {
          // What is missing is known before anything is read.
          if (!pushed) await registry.blob(publisher, AT, WEIGHTS);
          pushed = true;
          throw error;
        }
      },
    });
    expect(await verifyBlob({ ...racing, blobs: missing }, BLOB)).toEqual(intact);
    expect([await isFlagged(), await folders()]).toEqual([false, [folderIn(AT)]]);
    expect(await events("blob.damage")).toEqual([]);
    expect(await events("blob.heal")).toHaveLength(1);
  });

  test("a push that put lost bytes back without a change of its own, just before the blob was called missing", async () => {
    await rm(fileOf(registry.directory, BLOB));
    const racing: VerifyServices = {
      ...services,
      metadata: {
        ...metadataOf(services),
        commit: async (change) => {
          if (change.audit.some(({ type }) => type === "blob.damage")) await restore(registry.directory, BLOB, WEIGHTS);
          return services.metadata.commit(change);
        },
      },
    };
    expect(await verifyBlob(racing, BLOB)).toEqual(intact);
    expect([await isFlagged(), await folders()]).toEqual([false, [folderIn(AT)]]);
  });

  test("another worker's finding, which then is no second event", async () => {
    await overwrite(registry.directory, BLOB, "wrong..");
    const racing = afterReading(() => verifyBlob(services, BLOB));
    expect(await verifyBlob(racing, BLOB)).toEqual(damaged);
    expect(await events("blob.damage")).toHaveLength(1);
    expect(await folders()).toEqual([]);
  });

  test("a push to another repository, which does not keep the damage from being found", async () => {
    await overwrite(registry.directory, BLOB, "wrong..");
    let readings = 0;
    const racing = afterReading(async () => {
      readings += 1;
      await registry.blob(publisher, `models/more${readings}`, WEIGHTS);
    }, Infinity);
    expect(await verifyBlob(racing, BLOB)).toEqual(damaged);
    expect([readings, await isFlagged()]).toEqual([1, true]);
  });

  test("a push to another repository after the folders were found, which makes it look again", async () => {
    await overwrite(registry.directory, BLOB, "wrong..");
    let readings = 0;
    let pushed = false;
    const counting = afterReading(async () => (readings += 1), Infinity);
    const metadata = {
      ...metadataOf(services),
      commit: async (change: Parameters<VerifyServices["metadata"]["commit"]>[0]) => {
        if (!pushed) await registry.blob(publisher, "models/more", WEIGHTS);
        pushed = true;
        return services.metadata.commit(change);
      },
    };
    expect(await verifyBlob({ ...counting, metadata }, BLOB)).toEqual(damaged);
    expect([readings, await isFlagged()]).toEqual([2, true]);
  });

  test("the removal of the blob, of which nothing is said then", async () => {
    const digest = await registry.blob(publisher, AT, "loose");
    await overwrite(registry.directory, digest, "wrong");
    const racing = afterReading(async () => {
      await registry.deleteBlob(publisher, AT, digest);
      expect(await condemn(services, digest, await foundBlob(services, digest, 5))).toBe(true);
    });
    expect(await verifyBlob(racing, digest)).toEqual({ outcome: "gone" });
    await finishRemoval(services, digest);
    expect(await verifyBlob(services, digest)).toEqual({ outcome: "gone" });
    expect(await events("blob.damage")).toEqual([]);
    expect((await blobGrounds(services, digest)).record).toBeUndefined();
  });

  test("and one that is touched all the time is given up in words", async () => {
    await overwrite(registry.directory, BLOB, "wrong..");
    let count = 0;
    const racing = afterReading(async () => {
      count += 1;
      const entry = await services.metadata.get(keys.blob(BLOB));
      await services.metadata.commit({
        expect: [],
        put: [{ key: keys.blob(BLOB), value: entry?.value }],
        remove: [],
        audit: [eventOf("test.touch")],
      });
    }, Infinity);
    await expect(verifyBlob(racing, BLOB)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(count).toBe(8);
  });
});

function metadataOf({ metadata }: VerifyServices): VerifyServices["metadata"] {
  return {
    get: (key) => metadata.get(key),
    list: (range) => metadata.list(range),
    commit: (change) => metadata.commit(change),
    close: () => metadata.close(),
  };
}

describe("a storage that fails", () => {
  test.each(["EIO", "EMFILE", "ENFILE", "ENOMEM", "ETIMEDOUT", "EACCES"])("with %s never sets the flag", async (code) => {
    await promoted(AT);
    await overwrite(registry.directory, BLOB, "wrong..");
    const error = Object.assign(new Error(code), { code });
    const failing = { ...services, blobs: blobsWith(services.blobs, { open: () => Promise.reject(error) }) };
    expect(await verifyBlob(failing, BLOB)).toEqual({ outcome: "unreadable", code });
    const breaking = {
      ...services,
      blobs: blobsWith(services.blobs, {
        open: async () =>
          Readable.from(
            (async function* () {
              yield Buffer.from("wrong");
              throw error;
            })(),
          ),
      }),
    };
    expect(await verifyBlob(breaking, BLOB)).toEqual({ outcome: "unreadable", code });
    expect([await isFlagged(), await folders(), await events("blob.damage")]).toEqual([false, [folderIn(AT)], []]);
  });

  test("does not heal either", async () => {
    await promoted(AT);
    await overwrite(registry.directory, BLOB, "wrong..");
    await verifyBlob(services, BLOB);
    const failing = {
      ...services,
      blobs: blobsWith(services.blobs, { open: () => Promise.reject(Object.assign(new Error(), { code: "EIO" })) }),
    };
    expect(await verifyBlob(failing, BLOB)).toEqual({ outcome: "unreadable", code: "EIO" });
    expect(await isFlagged()).toBe(true);
  });
});

/** Services that count how often blobs are opened, and how many are open at the same time. */
function counted() {
  const counts = { opened: 0, open: 0, most: 0 };
  const blobs = blobsWith(services.blobs, {
    open: async (digest) => {
      counts.opened += 1;
      counts.open += 1;
      counts.most = Math.max(counts.most, counts.open);
      const stream = await services.blobs.open(digest);
      // Plain, so that what was read last is known: its file is closed some time after.
      return Readable.from(
        (async function* () {
          yield* stream;
          counts.open -= 1;
        })(),
      );
    },
  });
  return { counts, services: { ...services, blobs } };
}

describe("many at once", () => {
  test("who ask for one blob have it read once, and all get the answer", async () => {
    const large = "large model ".repeat(1_000_000);
    const digest = await registry.blob(publisher, AT, large);
    await overwrite(registry.directory, digest, "wrong");
    const watched = counted();
    const answers = await Promise.all(Array.from({ length: 20 }, () => verifyBlob(watched.services, digest)));
    expect(watched.counts.opened).toBe(1);
    expect(answers).toEqual(Array.from({ length: 20 }, () => ({ outcome: "damaged", actual: digestOf("wrong"), size: 5 })));
    expect(await events("blob.damage")).toHaveLength(1);
  });

  test("who ask for different blobs wait instead of being refused", async () => {
    const contents = Array.from({ length: 12 }, (_, index) => `model ${index} `.repeat(50_000));
    const digests: Digest[] = [];
    for (const content of contents) digests.push(await registry.blob(publisher, AT, content));
    const watched = counted();
    const answers = await Promise.all(digests.map((digest) => verifyBlob(watched.services, digest)));
    expect(answers.map(({ outcome }) => outcome)).toEqual(contents.map(() => "intact"));
    expect(watched.counts).toMatchObject({ opened: 12, open: 0, most: 4 });
  });

  test("of which some leave end nothing for the others", async () => {
    const digest = await registry.blob(publisher, AT, "large model ".repeat(1_000_000));
    const leaving = new AbortController();
    const watched = counted();
    const left = verifyBlob(watched.services, digest, { signal: leaving.signal });
    const stayed = verifyBlob(watched.services, digest);
    leaving.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    expect((await stayed).outcome).toBe("intact");
    expect(watched.counts.opened).toBe(1);
  });
});
