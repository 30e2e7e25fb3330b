import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import type { RepositoryName } from "../../src/oci/reference.ts";
import { readableRepository } from "../../src/registry/readable-repository.ts";
import { keys } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { callerWith } from "../support/callers.ts";
import { putRows } from "../support/rows.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

let disposable: Awaited<ReturnType<typeof temporaryMetadata>>;
let metadata: MetadataStore;
let read = 0;

beforeAll(async () => {
  disposable = await temporaryMetadata();
  const store = disposable.metadata;
  metadata = {
    get: (key) => store.get(key),
    commit: (change) => store.commit(change),
    close: () => store.close(),
    list: async (range) => {
      const rows = await store.list(range);
      if (range.start[0] === "blob-repository") read += rows.length;
      return rows;
    },
  };
});
afterAll(() => disposable[Symbol.asyncDispose]());

/** A blob in four hundred repositories, all of `other` but the one at this place. */
async function blobReadableAt(place: number): Promise<ReturnType<typeof digestOf>> {
  const digest = digestOf(`readable at ${place}`);
  const repositories = Array.from({ length: 400 }, (_, at) => {
    const name = at < place ? `a-${String(at).padStart(3, "0")}` : `z-${at}`;
    return at === place ? "models/mine" : `${name}/other`;
  });
  await putRows(
    metadata,
    repositories.map((repository) => ({ key: keys.blobRepository(digest, repository as RepositoryName), value: {} })),
  );
  return digest;
}

const publisher = callerWith(["publisher@models"]);

describe("a repository in which the caller may read a blob", () => {
  test.each([0, 40, 255])("is found behind %i others", async (place) => {
    const digest = await blobReadableAt(place);
    expect(await readableRepository({ metadata }, publisher, digest, () => true)).toBe("models/mine");
  });

  test("is not looked for behind 256 others", async () => {
    const digest = await blobReadableAt(256);
    expect(await readableRepository({ metadata }, publisher, digest, () => true)).toBeUndefined();
  });

  test("is not paid for by the number of those that hold the blob, when it is one of the first", async () => {
    const digest = await blobReadableAt(3);
    read = 0;
    await readableRepository({ metadata }, publisher, digest, () => true);
    expect(read).toBeLessThan(20);
  });

  test("is not one that would not do", async () => {
    const digest = await blobReadableAt(7);
    expect(await readableRepository({ metadata }, publisher, digest, () => false)).toBeUndefined();
  });
});
