import { mkdir, mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { collectGarbage } from "../../src/jobs/collect-garbage.ts";
import { createLogger } from "../../src/log.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { backUp } from "../../src/registry/back-up.ts";
import { restore } from "../../src/registry/restore.ts";
import { repairRuntimeTree } from "../../src/registry/runtime-folders.ts";
import { verifyBlob } from "../../src/registry/verify-blob.ts";
import { BackupFolder } from "../../src/storage/backup-folder.ts";
import { overwrite, restore as putBack } from "../support/damaged-bytes.ts";
import { HAS_DESCRIPTORS, PowerCut } from "../support/power-cut.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const HERE = repository("models/here");
const TITLE = { "org.opencontainers.image.title": "weights.bin" };

function modelOf(content: string): object {
  const layer = { mediaType: "application/octet-stream", digest: digestOf(content), size: content.length, annotations: TITLE };
  return imageOf([], { layers: [layer] });
}

/** What was acknowledged: it has to hold of the registry that comes after a power cut, whose directory is given. */
type Acknowledged = (after: TestRegistry) => Promise<void>;

const status = async (answer: Promise<Response>): Promise<number> => {
  const { status: found, body } = await answer;
  await body?.cancel();
  return found;
};

function isServed(who: "publisher" | "runtime", content: string): Acknowledged {
  return async (after) => {
    const answer = await after.fetchAs(who, `/v2/${HERE}/blobs/${digestOf(content)}`);
    expect([content, answer.status, await answer.text()]).toEqual([content, 200, content]);
  };
}

function isTrusted(digest: Digest, content: string): Acknowledged {
  return async (after) => {
    expect(await status(after.fetchAs("runtime", `/v2/${HERE}/manifests/${digest}`))).toBe(200);
    await isServed("runtime", content)(after);
    const path = join(after.directory, "trusted", HERE, digest.replace(":", "-"), "weights.bin");
    expect(await readFile(path, "utf8")).toBe(content);
  };
}

/** By signed statements, so many of them, which runtimes read. */
function isStated(digest: Digest, statements: number): Acknowledged {
  return async (after) => {
    const answer = await after.fetchAs("runtime", `/v2/${HERE}/referrers/${digest}`);
    const { manifests } = z.object({ manifests: z.array(z.object({ digest: z.string() })) }).parse(await answer.json());
    expect(manifests).toHaveLength(statements);
    for (const each of manifests) {
      const manifest = manifestSchema.parse(await (await after.fetchAs("runtime", `/v2/${HERE}/manifests/${each.digest}`)).json());
      for (const blob of [manifest.config, ...manifest.layers]) {
        const content = await after.fetchAs("runtime", `/v2/${HERE}/blobs/${blob.digest}`);
        expect([content.status, digestOf(Buffer.from(await content.arrayBuffer()))]).toEqual([200, blob.digest]);
      }
    }
  };
}
const blobSchema = z.object({ digest: z.string() });
const manifestSchema = z.object({ config: blobSchema, layers: z.array(blobSchema).min(1) });

function isNotServed(digest: Digest): Acknowledged {
  return async (after) => {
    expect(await status(after.fetchAs("runtime", `/v2/${HERE}/manifests/${digest}`))).not.toBe(200);
    expect(await readdir(join(after.directory, "trusted", HERE)).catch(() => [])).not.toContain(digest.replace(":", "-"));
  };
}

/** As a worker does when it starts: no process of before the power cut lives, this one included. */
async function repairAtStart({ services }: TestRegistry): Promise<void> {
  const { tree } = services;
  await repairRuntimeTree({
    ...services,
    tree: {
      process: "after.1.1.00000000",
      link: (...args) => tree.link(...args),
      unlink: (...args) => tree.unlink(...args),
      pathOf: (...args) => tree.pathOf(...args),
      look: (...args) => tree.look(...args),
      hasEnded: () => Promise.resolve(true),
    },
  });
}

describe.runIf(HAS_DESCRIPTORS)("a power cut that takes back all that was not flushed", () => {
  let folder: string;
  let cut: PowerCut;
  let registry: TestRegistry;
  let at: Transitions;
  let cuts: number;

  /** A registry on a disk of its own, from its first start on. */
  async function begin(loses?: "names"): Promise<void> {
    cut = await PowerCut.begin([folder], loses);
    const directory = join(folder, "data");
    registry = await startTestRegistry({ directory });
    at = Transitions.over(directory, registry.services);
  }

  /** Cuts the power, and starts a registry over what is left: what does not hold of it though it should, in words. */
  async function lost(holds: readonly Acknowledged[]): Promise<readonly string[]> {
    const left = join(folder, `left-${(cuts += 1)}`);
    await cut.leave(folder, left);
    const after = await startTestRegistry({ directory: join(left, "data") });
    try {
      const isSame = JSON.stringify(after.credentials) === JSON.stringify(registry.credentials);
      await repairAtStart(after);
      const found: string[] = isSame ? [] : ["the credentials"];
      for (const held of holds) await held(after).catch((error: unknown) => found.push(String(error)));
      return found;
    } finally {
      await after.stop();
    }
  }

  /** With its length said, a small blob is a row; else it is a file. */
  async function pushModel(content: string, tag: string, { saysLength = false } = {}): Promise<Digest> {
    for (const bytes of ["{}", content]) await (saysLength ? at.saidBlob(publisher, HERE, bytes) : at.blob(publisher, HERE, bytes));
    return at.manifest(publisher, HERE, modelOf(content), tag);
  }

  beforeEach(async () => {
    cuts = 0;
    folder = await mkdtemp(join(tmpdir(), "amr-power-"));
  });

  afterEach(async () => {
    await registry.stop();
    cut.end();
    await rm(folder, { recursive: true, force: true });
  });

  test.each([
    ["are files", false],
    ["are rows", true],
  ])("keeps the keys of the first start, blobs that %s, models and what was decided of them", async (_, saysLength) => {
    await begin();
    expect(await lost([])).toEqual([]);
    const holds: Acknowledged[] = [];
    for (const content of ["first", "second"]) {
      const digest = await pushModel(content, "v1", { saysLength });
      holds.push(isServed("publisher", content));
      expect(await lost([...holds, isNotServed(digest)])).toEqual([]);
      await at.promote(operator, HERE, digest);
      holds.push(isTrusted(digest, content), isStated(digest, 3));
      expect(await lost(holds)).toEqual([]);
    }
    const [first, second] = [digestIn(modelOf("first")), digestIn(modelOf("second"))];
    await at.revoke(operator, HERE, first);
    expect(await lost([isNotServed(first), isTrusted(second, "second")])).toEqual([]);
    // What was trusted again comes back, and what was deleted does not.
    await at.promote(operator, HERE, first, { reason: "a mistake" });
    await at.delete(operator, HERE, second);
    expect(await lost([isTrusted(first, "first"), isNotServed(second)])).toEqual([]);
  });

  test("keeps what was pushed again after it was collected", async () => {
    await begin();
    await at.blob(publisher, HERE, "content");
    const sparing = { ...registry.services, settings: { ...registry.services.settings, collectGrace: -1000 } };
    expect(await collectGarbage(sparing)).toBe(1);
    await at.blob(publisher, HERE, "content");
    expect(await lost([isServed("publisher", "content")])).toEqual([]);
    await at.saidBlob(publisher, HERE, "few bytes");
    expect(await collectGarbage(sparing)).toBe(2);
    await at.saidBlob(publisher, HERE, "few bytes");
    expect(await lost([isServed("publisher", "few bytes")])).toEqual([]);
  });

  test("keeps what somebody put in the place of damaged bytes, once it is back in service", async () => {
    await begin();
    const digest = await pushModel("content", "v1");
    await at.promote(operator, HERE, digest);
    const blob = digestOf("content");
    await overwrite(registry.directory, blob, "damaged");
    expect(await verifyBlob(registry.services, blob)).toMatchObject({ outcome: "damaged" });
    await putBack(registry.directory, blob, "content");
    expect(await verifyBlob(registry.services, blob)).toMatchObject({ outcome: "intact" });
    expect(await lost([isTrusted(digest, "content")])).toEqual([]);
  });

  test("keeps a new signing key: what is decided afterwards is signed", async () => {
    await begin();
    const rotated = await registry.fetchAs("operator", "/v1/keys/rotate", {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" },
    });
    expect([rotated.status, await rotated.text()]).toEqual([201, expect.any(String)]);
    const digest = await pushModel("content", "v1");
    expect(
      await lost([
        async (after) => {
          await Transitions.over(after.directory, after.services).promote(operator, HERE, digest);
          await isTrusted(digest, "content")(after);
        },
      ]),
    ).toEqual([]);
  });

  test("keeps a backup that was made, and a registry that was restored", async () => {
    await begin();
    const digest = await pushModel("content", "v1");
    await at.promote(operator, HERE, digest);
    const passphrase = "a passphrase of the test, long enough";
    const backup = await BackupFolder.open(join(folder, "backup"), { make: true });
    await backUp({ ...registry.services, paths: registry.services.paths }, backup, passphrase);
    await backup.close();
    await cut.leave(folder, join(folder, "left"));
    const kept = await BackupFolder.open(join(folder, "left/backup"), { make: false });
    const services = { clock: () => Date.now(), newId: randomUUID, log: createLogger("silent") };
    await restore(services, { folder: kept, passphrase, into: join(folder, "restored"), atLeast: 0 });
    await kept.close();
    await cut.leave(folder, join(folder, "again"));
    const after = await startTestRegistry({ directory: join(folder, "again/restored") });
    await repairAtStart(after);
    expect((await after.fetchAs("runtime", `/v2/${HERE}/tags/list`)).status).toBe(200);
    await isTrusted(digest, "content")(after);
    await after.stop();
  });

  test("on a disk that does not flush folders, though it says so, is noticed by this", async () => {
    await mkdir(join(folder, "data"));
    await begin("names");
    await at.blob(publisher, HERE, "content");
    expect(await lost([isServed("publisher", "content")])).toHaveLength(2);
  });
});
