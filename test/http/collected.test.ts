import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { collectGarbage } from "../../src/jobs/collect-garbage.ts";
import { digestOf, encodedOf } from "../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import { basicOf, runProgram, urlOf } from "../support/program.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** A row, and too many bytes for one. */
const [CONFIG, WEIGHTS] = ["{}", "the weights".repeat(2000)];
const [config, weights] = [digestOf(CONFIG), digestOf(WEIGHTS)];
const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: OCI_IMAGE,
  artifactType: "application/x.test",
  config: { mediaType: "application/x.test", digest: config, size: CONFIG.length },
  layers: [
    {
      mediaType: "application/x.test",
      digest: weights,
      size: WEIGHTS.length,
      annotations: { "org.opencontainers.image.title": "weights.bin" },
    },
  ],
});
const DIGEST = digestOf(MANIFEST);
const DAY = 24 * 60 * 60 * 1000;

/** Names of files below a folder that end in one of those digests. */
async function filesOf(folder: string, ...digests: readonly (typeof weights)[]): Promise<string[]> {
  const files = await readdir(folder, { recursive: true });
  return files.filter((file) => digests.some((digest) => file.endsWith(encodedOf(digest))));
}

/** What a data directory holds of the bytes of those digests. */
async function bytesIn(directory: string, ...digests: readonly (typeof weights)[]): Promise<readonly string[]> {
  const metadata = await openLmdb(join(directory, "metadata"));
  const rows = await Promise.all(digests.map((digest) => metadata.get(keys.blobContent(digest))));
  await metadata.close();
  return [
    ...(await filesOf(join(directory, "blobs"), ...digests)),
    ...rows.flatMap((row) => (row === undefined ? [] : String(row.key[1]))),
  ];
}

describe("an artifact that was deleted", () => {
  let registry: TestRegistry;
  beforeEach(async () => {
    registry = await startTestRegistry();
  });
  afterEach(() => registry.stop());

  const collect = (): Promise<number> => collectGarbage({ ...registry.services, clock: () => Date.now() + 2 * DAY });

  async function asked(who: "publisher" | "operator" | "runtime", path: string, init: RequestInit = {}): Promise<number> {
    const answer = await registry.fetchAs(who, path, init);
    await answer.arrayBuffer();
    return answer.status;
  }

  async function push(place: string): Promise<void> {
    for (const content of [CONFIG, WEIGHTS]) {
      const upload = `/v2/${place}/blobs/uploads/?digest=${digestOf(content)}`;
      expect(await asked("publisher", upload, { method: "POST", body: content })).toBe(201);
    }
    const headers = { "Content-Type": OCI_IMAGE };
    expect(await asked("publisher", `/v2/${place}/manifests/v1`, { method: "PUT", body: MANIFEST, headers })).toBe(201);
  }

  async function promote(place: string): Promise<void> {
    const init = { method: "POST", body: "{}", headers: { "Content-Type": "application/json" } };
    expect(await asked("operator", `/v1/artifacts/${place}@${DIGEST}/promote`, init)).toBe(200);
  }

  test("is gone from the disk and from every door after the next collection, and the same can be pushed again", async () => {
    await push("models/m");
    await promote("models/m");
    expect(await asked("runtime", `/v2/models/m/blobs/${weights}`)).toBe(200);
    expect(await collect()).toBe(0);
    expect(await asked("operator", `/v2/models/m/manifests/${DIGEST}`, { method: "DELETE" })).toBe(202);
    expect(await collect()).toBe(2);
    expect(await bytesIn(registry.directory, config, weights)).toEqual([]);
    expect(await filesOf(join(registry.directory, "trusted"), config, weights)).toEqual([]);
    for (const who of ["publisher", "operator", "runtime"] as const) {
      for (const path of [`blobs/${weights}`, `manifests/${DIGEST}`, "manifests/v1"]) {
        for (const method of ["GET", "HEAD"])
          expect({ who, path, status: await asked(who, `/v2/models/m/${path}`, { method }) }).toEqual({ who, path, status: 404 });
      }
    }
    const mount = `/v2/models/other/blobs/uploads/?mount=${weights}`;
    for (const from of ["", "&from=models/m"]) expect(await asked("publisher", mount + from, { method: "POST" })).toBe(202);
    await push("models/m");
    await promote("models/m");
    expect(await (await registry.fetchAs("runtime", `/v2/models/m/blobs/${weights}`)).text()).toBe(WEIGHTS);
  });

  test("leaves the bytes that another repository links, and those only there", async () => {
    await push("models/m");
    await push("models/n");
    expect(await asked("publisher", `/v2/models/m/manifests/${DIGEST}`, { method: "DELETE" })).toBe(202);
    await collect();
    expect(await asked("publisher", `/v2/models/m/blobs/${weights}`)).toBe(404);
    expect(await asked("publisher", `/v2/models/n/blobs/${weights}`)).toBe(200);
    expect(await bytesIn(registry.directory, config, weights)).toHaveLength(2);
  });

  test("keeps its bytes for who asks by HEAD whether they have to be uploaded again; other reads say nothing", async () => {
    await push("models/m");
    const { metadata } = registry.services;
    const links = await metadata.list(under(["link", "models/m"], 10));
    const old = links.map(({ key, value }) => ({ key, value: { ...(value as object), at: Date.now() - DAY } }));
    const audit = [{ id: "1", time: 0, type: "test.rows", actor: { principal: "t", kind: "system" }, outcome: "allow" } as const];
    await metadata.commit({ expect: [], put: old, remove: [], audit });
    expect(await asked("publisher", `/v2/models/m/manifests/${DIGEST}`, { method: "DELETE" })).toBe(202);
    expect(await asked("publisher", `/v2/models/m/blobs/${weights}`, { method: "HEAD" })).toBe(200);
    expect(await asked("publisher", `/v2/models/m/blobs/${config}`)).toBe(200);
    expect(await asked("operator", `/v2/models/m/blobs/${config}`, { method: "HEAD" })).toBe(200);
    await collectGarbage({ ...registry.services, clock: () => Date.now() + DAY / 2 });
    expect(await asked("publisher", `/v2/models/m/blobs/${weights}`, { method: "HEAD" })).toBe(200);
    expect(await asked("publisher", `/v2/models/m/blobs/${config}`, { method: "HEAD" })).toBe(404);
    expect(await metadata.list(under(["link-use"], 10))).toHaveLength(1);
  });
});

describe("the program", () => {
  test("collects by itself what a deleted artifact leaves, while it serves", async () => {
    const directory = await mkdtemp(join(tmpdir(), "amr-collecting-"));
    const times = { REGISTRY_GC_INTERVAL: "100ms", REGISTRY_GC_GRACE: "1ms" };
    const program = runProgram({ BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: directory, WORKERS: "2", ...times });
    try {
      const url = await urlOf(program);
      const [publisher, operator] = [await basicOf(directory, "publisher"), await basicOf(directory, "operator")];
      const ask = async (path: string, init: RequestInit): Promise<number> => (await fetch(url + path, init)).status;
      // The manifest first, since such a grace leaves no time to upload what nothing names.
      const put = { method: "PUT", body: MANIFEST, headers: { ...publisher, "Content-Type": OCI_IMAGE } };
      expect(await ask("/v2/models/m/manifests/v1", put)).toBe(201);
      for (const content of [CONFIG, WEIGHTS]) {
        const upload = { method: "POST", body: content, headers: publisher };
        expect(await ask(`/v2/models/m/blobs/uploads/?digest=${digestOf(content)}`, upload)).toBe(201);
      }
      const promotion = { method: "POST", body: "{}", headers: { ...operator, "Content-Type": "application/json" } };
      expect(await ask(`/v1/artifacts/models/m@${DIGEST}/promote`, promotion)).toBe(200);
      expect(await bytesIn(directory, config, weights)).toHaveLength(2);
      expect(await ask(`/v2/models/m/manifests/${DIGEST}`, { method: "DELETE", headers: operator })).toBe(202);
      await vi.waitFor(async () => expect(await bytesIn(directory, config, weights)).toEqual([]), { timeout: 30_000 });
      expect(await ask(`/v2/models/m/blobs/${weights}`, { headers: publisher })).toBe(404);
    } finally {
      await program.stop();
      await rm(directory, { recursive: true, force: true });
    }
  });
});
