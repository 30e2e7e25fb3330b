import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { collectGarbage } from "../../src/jobs/collect-garbage.ts";
import { statementConfig } from "../../src/lifecycle/statement.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { acquire } from "../../src/registry/acquire.ts";
import { auditEvent } from "../../src/registry/audit-event.ts";
import { decideAndCommit } from "../../src/registry/commit.ts";
import { publishOwnBlobs } from "../../src/registry/own-blobs.ts";
import { repairRuntimeTree } from "../../src/registry/runtime-folders.ts";
import { SYSTEM } from "../../src/registry/system-actor.ts";
import { verifyBlob } from "../../src/registry/verify-blob.ts";
import { MAX_BLOB_ROW } from "../../src/storage/blob-rows.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { blobRecord } from "../../src/storage/records.ts";
import { buildGguf, named } from "../formats/build-gguf.ts";
import { TOKEN_HOLDER, acquisitionOf, putFile, quick } from "../support/acquisitions.ts";
import { makeFiles, overwriteRow } from "../support/blob-rows.ts";
import { callerWith } from "../support/callers.ts";
import { fileOf, overwrite } from "../support/damaged-bytes.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { startTestRegistry } from "../support/server.ts";
import { statementIn, writtenStatements } from "../support/signed-statements.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const alice = callerWith(["publisher@models"], { name: "alice" });
const operator = callerWith(["operator@*"], { name: "operator" });
const HERE = repository("models/here");
const CONTENT = "what the registry writes";
const DIGEST = digestOf(CONTENT);

let at: Transitions;
beforeEach(async () => {
  at = await Transitions.start();
});
afterEach(() => at[Symbol.asyncDispose]());

/** Writes a blob as a change of the registry's own does it. */
async function write(content = CONTENT, by?: string): Promise<void> {
  const { services } = at;
  await decideAndCommit(services, async () => {
    const { expect: expected, put } = await publishOwnBlobs(services, HERE, [Buffer.from(content)], by);
    const audit = [auditEvent(services, SYSTEM, { type: "test.write", target: { kind: "blob", name: HERE } })];
    return { change: { expect: expected, put, remove: [], audit }, result: undefined };
  });
}

const push = (): Promise<Digest> => at.blob(alice, HERE, CONTENT);
const pushFew = (): Promise<Digest> => at.saidBlob(alice, HERE, CONTENT);
const isRow = async (digest = DIGEST): Promise<boolean> => (await at.services.metadata.get(keys.blobContent(digest))) !== undefined;
const isFile = async (digest = DIGEST): Promise<boolean> =>
  stat(fileOf(at.directory, digest)).then(
    () => true,
    () => false,
  );
const bytes = async (digest = DIGEST): Promise<string> => (await buffer(await at.services.blobs.open(digest))).toString();
const record = async (digest = DIGEST): Promise<unknown> => blobRecord.parse((await at.services.metadata.get(keys.blob(digest)))?.value);
/** Nothing is spared. */
const collect = (): Promise<number> => collectGarbage({ ...at.services, settings: { ...at.services.settings, collectGrace: -3_600_000 } });

async function trusted(image: object): Promise<Digest> {
  await at.blob(alice, HERE, "{}");
  await at.manifest(alice, HERE, image, "v1");
  return (await at.promote(operator, HERE, digestIn(image))).digest;
}

test("statements have no files, and every door gives their bytes, whole, in parts and by HEAD", async () => {
  const registry = await startTestRegistry();
  try {
    const there = Transitions.over(registry.directory, registry.services);
    for (const content of ["{}", "weights"]) await there.blob(alice, HERE, content);
    await there.manifest(alice, HERE, imageOf(["weights"]), "v1");
    const { digest } = await there.promote(operator, HERE, digestIn(imageOf(["weights"])));
    const links = await writtenStatements(there, HERE, digest);
    const blobs = [digestOf(statementConfig(HERE)), ...links.flatMap(({ bundle, summary }) => [bundle, summary?.bundle ?? []].flat())];
    expect(blobs).toHaveLength(4);
    for (const blob of blobs) {
      const ask = (method: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
        registry.fetchAs("runtime", `/v2/${HERE}/blobs/${blob}`, { method, headers });
      const whole = await ask("GET");
      const content = Buffer.from(await whole.arrayBuffer());
      expect([whole.status, whole.headers.get("content-length"), digestOf(content)]).toEqual([200, String(content.length), blob]);
      const head = await ask("HEAD");
      expect([head.status, head.headers.get("content-length")]).toEqual([200, String(content.length)]);
      for (const [range, part] of [
        ["bytes=3-9", content.subarray(3, 10)],
        ["bytes=5-", content.subarray(5)],
        ["bytes=-4", content.subarray(-4)],
      ] as const) {
        const answer = await ask("GET", { range });
        expect([answer.status, Buffer.from(await answer.arrayBuffer()).toString()]).toEqual([206, part.toString()]);
      }
      const beyond = await ask("GET", { range: `bytes=${content.length}-` });
      await beyond.body?.cancel();
      expect(beyond.status).toBe(416);
      await expect(stat(fileOf(registry.directory, blob))).rejects.toThrow("ENOENT");
    }
  } finally {
    await registry.stop();
  }
});

describe("bytes that both a client pushes and the registry writes", () => {
  test("are kept once, as whoever was first has them", async () => {
    await push();
    await write();
    expect([await isFile(), await isRow()]).toEqual([true, false]);
    await at.blob(alice, HERE, "other");
    await write("another");
    expect(await at.blob(alice, HERE, "another")).toBe(digestOf("another"));
    expect([await isFile(digestOf("another")), await isRow(digestOf("another"))]).toEqual([false, true]);
  });

  test("are as large and as whole by their other name, which is a blob of its own", async () => {
    await write();
    const other = await at.blob(alice, HERE, CONTENT, "sha512");
    expect([await bytes(), await bytes(other), await isRow(other)]).toEqual([CONTENT, CONTENT, false]);
  });
});

const MAKERS = { "a push": push, "a small push": pushFew, "the registry": async () => write() } as const;
type Maker = keyof typeof MAKERS;
const EACH = Object.keys(MAKERS) as Maker[];
const make = async (by: Maker): Promise<unknown> => MAKERS[by]();

/** Of the same size, of another size, or nothing at all; only a file can be lost. */
async function spoil(by: Maker, how: "changed" | "cut" | "lost"): Promise<void> {
  const wrong = how === "changed" ? CONTENT.toUpperCase() : CONTENT.slice(1);
  if (how === "lost") await rm(fileOf(at.directory, DIGEST));
  else if (by === "a push") await overwrite(at.directory, DIGEST, wrong);
  else await overwriteRow(at.services.metadata, DIGEST, wrong);
}

const CASES = EACH.flatMap((by) =>
  (["changed", "cut", "lost"] as const).flatMap((how) =>
    ([true, false] as const).flatMap((known) => EACH.map((healer) => ({ by, how, known: known ? "found" : "not found yet", healer }))),
  ),
);

describe("damage of small bytes", () => {
  test.each(CASES.filter(({ by, how, known }) => (by === "a push" || how !== "lost") && (how !== "changed" || known === "found")))(
    "that $by had made, $how and $known, is healed by $healer, whoever comes afterwards",
    async ({ by, how, known, healer }) => {
      await make(by);
      await spoil(by, how);
      const found = known === "found" ? (await verifyBlob(at.services, DIGEST)).outcome : "nobody looked";
      expect(found).toBe(known === "found" ? (how === "lost" ? "missing" : "damaged") : "nobody looked");
      for (const next of [healer, ...EACH]) {
        await make(next);
        expect([await bytes(), await record()]).toEqual([CONTENT, expect.objectContaining({ damaged: false, size: CONTENT.length })]);
        expect(await verifyBlob(at.services, DIGEST)).toEqual({ outcome: "intact", size: CONTENT.length });
      }
    },
  );

  test("takes a row out of service at every door until it is healed", async () => {
    const registry = await startTestRegistry();
    try {
      const there = Transitions.over(registry.directory, registry.services);
      await there.blob(alice, HERE, "{}");
      await there.manifest(alice, HERE, imageOf([]), "v1");
      const { digest } = await there.promote(operator, HERE, digestIn(imageOf([])));
      const [link] = await writtenStatements(there, HERE, digest);
      const blob = link?.bundle ?? digest;
      const status = async (): Promise<number> => {
        const answer = await registry.fetchAs("runtime", `/v2/${HERE}/blobs/${blob}`);
        await answer.body?.cancel();
        return answer.status;
      };
      const content = (await buffer(await registry.services.blobs.open(blob))).toString();
      await overwriteRow(registry.services.metadata, blob, content.replace("{", "["));
      expect((await verifyBlob(registry.services, blob)).outcome).toBe("damaged");
      expect(await status()).toBe(403);
      await there.blob(alice, HERE, content);
      expect(await status()).toBe(200);
      expect((await statementIn(there, blob)).statement.predicate["state"]).toBe(link?.state);
    } finally {
      await registry.stop();
    }
  });
});

describe("a file that is acquired is described by its own bytes", () => {
  test.each(CASES.filter(({ how, healer }) => how === "changed" && healer === "a push"))(
    "where those of its digest that $by had made are damaged, $known",
    async ({ by, known }) => {
      const model = buildGguf({ metadata: named("llama") }).toString();
      const digest = digestOf(model);
      const damaged = model.replace("llama", "gemma");
      if (by === "a push") {
        await at.blob(alice, HERE, model);
        await overwrite(at.directory, digest, damaged);
      } else {
        await write(model);
        await overwriteRow(at.services.metadata, digest, damaged);
      }
      const found = known === "found" ? (await verifyBlob(at.services, digest)).outcome : "nobody looked";
      expect(found).toBe(known === "found" ? "damaged" : "nobody looked");
      const elsewhere = await Transitions.start();
      try {
        const taken = [at, elsewhere].map(async ({ directory, services }) => {
          await putFile(directory, "m.gguf", model);
          return (await acquire(quick(services), TOKEN_HOLDER, acquisitionOf("m", "m.gguf"))).record.digest;
        });
        const [here, there] = await Promise.all(taken);
        expect(here).toBe(there);
      } finally {
        await elsewhere[Symbol.asyncDispose]();
      }
    },
  );
});

test("a file that a row has healed goes with it, and so does a row that a file has healed", async () => {
  for (const [by, healer] of [
    ["a push", "the registry"],
    ["the registry", "a push"],
    ["a push", "a small push"],
    ["a small push", "a push"],
  ] as const) {
    await make(by);
    await spoil(by, "cut");
    await verifyBlob(at.services, DIGEST);
    await make(healer);
    expect([await isFile(), await isRow()]).toEqual([true, healer !== "a push"]);
    const links = await at.services.metadata.list(under(keys.links(HERE), 10));
    await at.services.metadata.commit({
      expect: [],
      put: [],
      remove: links.flatMap(({ key }) => [key, keys.blobRepository(DIGEST, HERE)]),
      audit: [auditEvent(at.services, SYSTEM, { type: "test.unlink", target: { kind: "blob", name: HERE } })],
    });
    expect(await collect()).toBe(1);
    expect([await isFile(), await isRow(), await at.services.metadata.get(keys.blob(DIGEST))]).toEqual([false, false, undefined]);
  }
});

describe("an artifact with a file whose bytes the registry wrote", () => {
  const MODEL = imageOf([], {
    layers: [
      {
        mediaType: "application/octet-stream",
        digest: DIGEST,
        size: CONTENT.length,
        annotations: { "org.opencontainers.image.title": "config.json" },
      },
    ],
  });
  const file = (): string => join(at.directory, "trusted", HERE, digestIn(MODEL).replace(":", "-"), "config.json");

  test.each(EACH.filter((by) => by !== "a push"))(
    "has it in trusted/ like any other, made by %s, without it while it is damaged, and again when it is healed",
    async (by) => {
      await (by === "the registry" ? write(CONTENT, "alice") : make(by));
      await trusted(MODEL);
      const { mode, nlink } = await stat(file());
      expect([await readFile(file(), "utf8"), mode & 0o777, nlink, await isFile()]).toEqual([CONTENT, 0o444, 1, false]);
      expect(await faultsOf(at.services.metadata, HERE, at.directory)).toEqual([]);
      for (const healer of ["a small push", "the registry", "a push"] as const) {
        await overwriteRow(at.services.metadata, DIGEST, CONTENT.toUpperCase());
        await verifyBlob(at.services, DIGEST);
        await expect(stat(file())).rejects.toThrow("ENOENT");
        await make(healer);
        await repairRuntimeTree(at.services);
        expect(await readFile(file(), "utf8")).toBe(CONTENT);
      }
    },
  );

  test("has it in trusted/ again soon after the registry has written it anew", async () => {
    await push();
    await trusted(MODEL);
    await overwrite(at.directory, DIGEST, CONTENT.toUpperCase());
    await verifyBlob(at.services, DIGEST);
    await expect(stat(file())).rejects.toThrow("ENOENT");
    await write();
    await repairRuntimeTree(at.services);
    expect(await readFile(file(), "utf8")).toBe(CONTENT);
    expect(await faultsOf(at.services.metadata, HERE, at.directory)).toEqual([]);
  });

  test("is the same artifact as where they are a file, by the header that is read in both", async () => {
    const header = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    const model = Buffer.concat([lengthOf(header), Buffer.from(header), Buffer.alloc(4)]);
    await putFile(at.directory, "m.safetensors", model);
    const take = async (): Promise<Digest> =>
      (await acquire(quick(at.services), TOKEN_HOLDER, acquisitionOf("m", "m.safetensors"))).record.digest;
    const before = await take();
    await at[Symbol.asyncDispose]();
    at = await Transitions.start();
    await putFile(at.directory, "m.safetensors", model);
    await write(model.toString("latin1"));
    expect(await isRow(digestOf(model))).toBe(true);
    expect(await take()).toBe(before);
    expect([await isRow(digestOf(model)), await isFile(digestOf(model))]).toEqual([true, false]);
  });
});

function lengthOf(header: string): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return length;
}

test("statements of earlier versions, which are files, stay what they are", async () => {
  const digest = await trusted(imageOf([]));
  await makeFiles(at.directory, at.services.metadata);
  await at.revoke(operator, HERE, digest);
  for (const { bundle } of await writtenStatements(at, HERE, digest)) await statementIn(at, bundle);
  const config = digestOf(statementConfig(HERE));
  expect([await isFile(config), await isRow(config)]).toEqual([true, false]);
  expect(await verifyBlob(at.services, config)).toMatchObject({ outcome: "intact" });
  expect(await faultsOf(at.services.metadata, HERE, at.directory)).toEqual([]);
});

test("what is larger than any statement is refused, and nothing of it is kept", async () => {
  await write("x".repeat(MAX_BLOB_ROW));
  await expect(write("y".repeat(MAX_BLOB_ROW + 1))).rejects.toMatchObject({ code: "INTERNAL" });
  expect(await isRow(digestOf("y".repeat(MAX_BLOB_ROW + 1)))).toBe(false);
});
