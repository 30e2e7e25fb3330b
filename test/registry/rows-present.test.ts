import * as fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { presentIn } from "../../src/registry/rows-present.ts";
import { keys } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { repository } from "../support/principal.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

const [HERE, NEXT] = [repository("models/m"), repository("models/n")];
const digest = (at: number): ReturnType<typeof digestOf> => digestOf(`${at}`, at % 3 === 0 ? "sha512" : "sha256");

/** Subjects with two referrers each, here and in the repository that comes next. */
async function storeWith(subjects: readonly number[]): Promise<MetadataStore> {
  const store = await temporaryMetadata();
  onTestFinished(() => store[Symbol.asyncDispose]());
  const put = [HERE, NEXT].flatMap((at) =>
    subjects.flatMap((subject) =>
      [1, 2].map((referrer) => ({ key: keys.referrerBy(at, digest(subject), "ann", [1, referrer, digestOf("referrer")]), value: {} })),
    ),
  );
  await store.metadata.commit({ expect: [], put, remove: [], audit: [] });
  return store.metadata;
}

describe("which texts have rows", () => {
  test("is told of any of them, whatever others have some", async () => {
    const numbers = fc.uniqueArray(fc.nat(30), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(numbers, numbers, async (attached, asked) => {
        const metadata = await storeWith(attached);
        const present = await presentIn({ metadata }, ["referrer-by", HERE], asked.map(digest));
        expect(asked.filter((at) => present.has(digest(at)))).toEqual(asked.filter((at) => attached.includes(at)));
      }),
      { numRuns: 40 },
    );
  });

  test("costs one look-up where none of hundreds has any", async () => {
    const metadata = await storeWith([]);
    const list = vi.spyOn(metadata, "list");
    expect(
      await presentIn(
        { metadata },
        ["referrer-by", HERE],
        Array.from({ length: 300 }, (_, at) => digest(at)),
      ),
    ).toEqual(new Set());
    expect(list).toHaveBeenCalledTimes(1);
  });
});
