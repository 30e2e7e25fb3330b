import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { artifactList } from "../../src/api/artifact-answers.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { listArtifacts } from "../../src/registry/list-artifacts.ts";
import { listTags } from "../../src/registry/list-tags.ts";
import { findManifest } from "../../src/registry/serving.ts";
import { keys } from "../../src/storage/keys.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, digestIn, imageOf, indexOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const HERE = repository("models/here");
const MOST = Number.MAX_SAFE_INTEGER;

let at: Transitions;
beforeAll(async () => {
  at = await Transitions.start();
});
afterAll(() => at[Symbol.asyncDispose]());

/** An image that says of each layer that it has so many bytes. */
function claiming(name: string, ...sizes: readonly number[]): object {
  const layers = sizes.map((size, n) => ({ mediaType: "text/plain", digest: digestOf(`${name} ${n}`), size }));
  return { ...imageOf([]), layers };
}

const page = { n: 10, last: undefined };
const query = { repository: undefined, state: undefined, cursor: undefined, limit: 10 };

describe("sizes that no blob can have", () => {
  test("are refused where they add up to no exact number, and hide nothing that is there", async () => {
    await at.manifest(publisher, HERE, claiming("right", 1), "right");
    await expect(at.manifest(publisher, HERE, claiming("junk", MOST, MOST), "junk")).rejects.toMatchObject({ code: "MANIFEST_INVALID" });
    expect((await listTags(at.services, publisher, HERE, page)).tags).toEqual(["right"]);
    expect((await listArtifacts(at.services, operator, query)).artifacts).toHaveLength(1);
  });

  test("are a decision that refuses, where several manifests of one artifact say them", async () => {
    const parts = ["a", "b"].map((name) => claiming(name, MOST - 10_000));
    for (const part of parts) await at.manifest(publisher, HERE, part);
    const index = indexOf(parts);
    await at.manifest(publisher, HERE, index, "index");
    await expect(at.promote(operator, HERE, digestIn(index))).rejects.toMatchObject({
      code: "REFUSED",
      detail: { decision: { size_bytes: MOST } },
    });
  });

  // Earlier versions took them: whoever looks at one has to see it, since it could never be deleted otherwise.
  test("that were taken once can be looked at and deleted", async () => {
    const manifest = claiming("old", 1);
    const digest = await at.manifest(publisher, HERE, manifest, "old");
    const found = await findManifest(at.services, HERE, digest);
    const record = { ...found?.record, closureBytes: 2 ** 58 };
    const audit = { id: "1", time: 0, type: "test.change", actor: { principal: "system", kind: "system" }, outcome: "allow" } as const;
    await at.services.metadata.commit({
      expect: [],
      put: [{ key: keys.manifest(HERE, digest), value: record }],
      remove: [],
      audit: [audit],
    });
    expect((await listTags(at.services, publisher, HERE, page)).tags).toContain("old");
    // As generated clients read the list: one such record would take all of it away from them.
    const { artifacts } = artifactList.parse(await listArtifacts(at.services, operator, query));
    expect(artifacts.find((artifact) => artifact.digest === digest)?.size_bytes).toBe(MOST);
    await at.delete(publisher, HERE, digest);
    expect((await listTags(at.services, publisher, HERE, page)).tags).not.toContain("old");
  });
});
