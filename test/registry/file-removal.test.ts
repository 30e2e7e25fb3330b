import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Digest } from "../../src/oci/digest.ts";
import { acquire } from "../../src/registry/acquire.ts";
import { deleteArtifact } from "../../src/registry/delete-artifact.ts";
import { finishFileRemovals } from "../../src/registry/file-removal.ts";
import { type FoundArtifact, findArtifact, findContent } from "../../src/registry/find-artifact.ts";
import { findModel } from "../../src/registry/find-model.ts";
import type { Registry } from "../../src/services.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { TOKEN_HOLDER, acquisitionOf, putFile, quick } from "../support/acquisitions.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { modelFaults } from "../support/model-invariants.ts";
import { repository } from "../support/principal.ts";
import { Transitions } from "../support/transitions.ts";

const operator = callerWith(["operator@*"], { name: "operator" });
const PLACE = repository("models/m");

let at: Transitions;
beforeEach(async () => {
  at = await Transitions.start();
  await putFile(at.directory, "m.gguf", "m");
});
afterEach(() => at[Symbol.asyncDispose]());

async function acquired(name = "m", path = "m.gguf", source = ""): Promise<Digest> {
  return (await acquire(quick(at.services), TOKEN_HOLDER, acquisitionOf(name, path, { source }))).record.digest;
}

/** The ways by which each door finds what it deletes. */
const DOORS = {
  "the name": (digest: Digest) => findModel(at.services, TOKEN_HOLDER, digest === undefined ? "" : "m", "only"),
  "a reference of the predecessor's API": (digest: Digest) => findModel(at.services, operator, `${PLACE}@${digest}`, "only"),
  "the native API": (digest: Digest) => findArtifact(at.services, operator, { repository: PLACE, reference: { digest } }, "only"),
  "the reserved tag": () => at.find(operator, PLACE, "latest", "only"),
  "DELETE on /v2": (digest: Digest) => findContent(at.services, operator, PLACE, digest),
} satisfies Record<string, (digest: Digest) => Promise<FoundArtifact>>;

async function isThere(path = "m.gguf"): Promise<boolean> {
  return access(join(at.directory, path)).then(
    () => true,
    () => false,
  );
}

async function ordered(): Promise<number> {
  return (await at.services.metadata.list(under(keys.modelFileRemovals(), 10))).length;
}

async function remove(found: FoundArtifact, services: Registry = at.services): Promise<string> {
  return (await deleteArtifact(services, operator, found, null)).state;
}

describe.each(Object.entries(DOORS))("a registered artifact that is deleted by %s", (_, find) => {
  test("is deleted with the file that it was acquired from", async () => {
    expect(await remove(await find(await acquired()))).toBe("deleted");
    expect([await isThere(), await ordered()]).toEqual([false, 0]);
    expect(await faultsOf(at.services.metadata, PLACE, at.directory)).toEqual([]);
  });

  test("leaves a file that took the place of that one", async () => {
    const found = await find(await acquired());
    await putFile(at.directory, "m.gguf", "another");
    await remove(found);
    expect(await readFile(join(at.directory, "m.gguf"), "utf8")).toBe("another");
    expect(await ordered()).toBe(0);
  });
});

test("what a name meant before leaves the file to what it means now", async () => {
  const before = await acquired("m", "m.gguf", "one source");
  const now = await acquired("m", "m.gguf", "another source");
  expect(before).not.toBe(now);
  expect(await remove(await at.find(operator, PLACE, before))).toBe("deleted");
  expect(await isThere()).toBe(true);
  expect(await remove(await at.find(operator, PLACE, now))).toBe("deleted");
  expect(await isThere()).toBe(false);
});

test("a file that cannot be removed keeps no deletion, and nobody tries for ever", async () => {
  const found = await at.find(operator, PLACE, await acquired());
  const files = { ...at.services.files, removeIfSame: () => Promise.reject(new Error("EPERM")) };
  expect(await remove(found, { ...at.services, files })).toBe("deleted");
  expect([await isThere(), await ordered()]).toEqual([true, 0]);
});

/** The services of a process that ends when the deletion is committed and the file is still there. */
function endingInBetween(): Registry {
  const { metadata } = at.services;
  const [{ 0: family }, error] = [keys.modelFileRemovals(), new Error("it ends here")];
  return {
    ...at.services,
    metadata: {
      get: (key) => (key[0] === family ? Promise.reject(error) : metadata.get(key)),
      list: (range) => metadata.list(range),
      commit: (change) => metadata.commit(change),
      close: () => metadata.close(),
    },
  };
}

describe("when a process ends after a deletion and before the file is gone,", () => {
  beforeEach(async () => {
    const found = await at.find(operator, PLACE, await acquired());
    const said = await remove(found, endingInBetween()).catch((error: unknown) => String(error));
    if (said !== "Error: it ends here" || !(await isThere()) || (await ordered()) !== 1) throw new Error(`it did not end there: ${said}`);
  });

  test("the job removes it", async () => {
    await finishFileRemovals(at.services);
    expect([await isThere(), await ordered()]).toEqual([false, 0]);
  });

  test("so does whoever deletes it again", async () => {
    expect(await remove(await findModel(at.services, TOKEN_HOLDER, "m", "only"))).toBe("deleted");
    expect([await isThere(), await ordered()]).toEqual([false, 0]);
  });

  test.each(["m", "n"])("whoever acquires it anew, as %s, keeps it", async (name) => {
    await acquired(name);
    await finishFileRemovals(at.services);
    expect([await isThere(), await ordered()]).toEqual([true, 0]);
    expect(await modelFaults(at.services.metadata)).toEqual([]);
  });
});
