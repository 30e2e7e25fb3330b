import { mkdtemp, open, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { collectGarbage } from "../../src/jobs/collect-garbage.ts";
import { expireUploads } from "../../src/jobs/expire-uploads.ts";
import { createLogger } from "../../src/log.ts";
import { digestOf, encodedOf } from "../../src/oci/digest.ts";
import { NO_SCAN_EVIDENCE } from "../../src/policy/scan-evidence.ts";
import { acquire } from "../../src/registry/acquire.ts";
import { finishFileRemovals } from "../../src/registry/file-removal.ts";
import { findRegistered } from "../../src/registry/find-model.ts";
import { promoteModel } from "../../src/registry/promote-model.ts";
import { repairRuntimeTree } from "../../src/registry/runtime-folders.ts";
import { type Registry, openRegistry } from "../../src/services.ts";
import { openDataDirectory } from "../../src/storage/data-directory.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { TOKEN_HOLDER, acquisitionOf, quick } from "../support/acquisitions.ts";
import { startChild } from "../support/child.ts";
import { faultsOf } from "../support/invariants.ts";
import { modelFaults } from "../support/model-invariants.ts";
import { repository } from "../support/principal.ts";
import { underWayIn } from "../support/under-way.ts";

const BYTES = Buffer.alloc(3 * 1024 * 1024, "m");
const ACQUISITION = acquisitionOf("m", "m.gguf", { sha256: encodedOf(digestOf(BYTES)) });

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-cut-off-"));
  await writeFile(join(directory, "m.gguf"), BYTES);
});
afterEach(() => rm(directory, { recursive: true }));

/** A registry over what a process left that was killed at a point of its work. */
async function after(act: string, point: string): Promise<Registry & AsyncDisposable> {
  const child = startChild(new URL("process/take-in.ts", import.meta.url), directory, act, point);
  await child.said(1);
  await child.kill();
  const data = await openDataDirectory(directory);
  const opened = await openRegistry(loadConfig({ REGISTRY_DIR: directory }), 8470, createLogger("silent"));
  await repairRuntimeTree(opened);
  const close = async (): Promise<void> => {
    await opened.close();
    await data.release();
  };
  return { ...quick(opened), [Symbol.asyncDispose]: close };
}

async function all(services: Registry): Promise<string[]> {
  return [...(await faultsOf(services.metadata, repository("models/m"), directory)), ...(await modelFaults(services.metadata))];
}

describe("when the registry is killed", () => {
  test.each(["copying", "published", "decided"])(
    "before an acquisition is committed (%s), nothing is there, and it can be tried again",
    async (point) => {
      await using services = await after("acquire", point);
      expect(await findRegistered(services, TOKEN_HOLDER, "m")).toBeUndefined();
      for (const family of [keys.manifests(), keys.modelNames(), keys.modelEvents(), keys.repositories(), keys.blobs()]) {
        expect(await services.metadata.list(under(family, 10))).toEqual([]);
      }
      expect((await acquire(services, TOKEN_HOLDER, ACQUISITION)).record.state).toBe("acquired");
      expect(await all(services)).toEqual([]);
    },
  );

  test("before it is committed, what is left is found as garbage", async () => {
    await using services = await after("acquire", "published");
    expect(await underWayIn(directory)).toHaveLength(1);
    await expireUploads(services, { lifetime: -60_000 });
    await collectGarbage({ ...services, settings: { ...services.settings, collectGrace: -60_000 } });
    expect(await underWayIn(directory)).toEqual([]);
    const left: string[] = [];
    for await (const digest of services.blobs.list()) left.push(digest);
    expect(left).toEqual([]);
  });

  test("after an acquisition is committed, it is there", async () => {
    await using services = await after("acquire", "committed");
    expect((await findRegistered(services, TOKEN_HOLDER, "m"))?.record.state).toBe("acquired");
    expect((await acquire(services, TOKEN_HOLDER, ACQUISITION)).record.state).toBe("acquired");
    expect(await all(services)).toEqual([]);
  });

  test.each([
    ["published", undefined],
    ["decided", undefined],
    ["committed", "trusted"],
  ])("in the promotion of an unknown name (%s), it is whole or not there: never acquired alone", async (point, state) => {
    await using services = await after("promote", point);
    expect((await findRegistered(services, TOKEN_HOLDER, "m"))?.record.state).toBe(state);
    expect(await services.metadata.list(under(keys.modelNames(), 10))).toHaveLength(state === undefined ? 0 : 1);
    const said = { scan: NO_SCAN_EVIDENCE, fingerprint: {}, tensorManifest: { path: "", digest: null } };
    expect((await promoteModel(services, TOKEN_HOLDER, { acquisition: ACQUISITION, ...said })).record.state).toBe("trusted");
    expect(await all(services)).toEqual([]);
  });
});

test.each([
  ["before it is committed", "decided", "acquired", true],
  ["before the file goes", "committed", "deleted", true],
  ["when the file is gone", "removed", "deleted", false],
])("killed in a deletion %s, the registry has all or nothing of it done after the next start", async (_, point, state, wasThere) => {
  await using services = await after("delete", point);
  expect((await readdir(directory)).includes("m.gguf")).toBe(wasThere);
  await finishFileRemovals(services);
  expect((await findRegistered(services, TOKEN_HOLDER, "m"))?.record.state).toBe(state);
  expect((await readdir(directory)).includes("m.gguf")).toBe(state === "acquired");
  expect(await services.metadata.list(under(keys.modelFileRemovals(), 10))).toEqual([]);
  expect(await all(services)).toEqual([]);
});

test("a huge file takes no more memory than a small one", async () => {
  const file = await open(join(directory, "huge.gguf"), "w");
  await file.truncate(512 * 1024 ** 2);
  await file.close();
  const child = startChild(new URL("process/take-in-large.ts", import.meta.url), directory, "huge.gguf");
  await child.said(1);
  const { size, peak } = JSON.parse(child.lines[0] ?? "") as { size: number; peak: number };
  await child.ended();
  expect(size).toBe(512 * 1024 ** 2);
  expect(peak).toBeLessThan(256);
}, 60_000);
