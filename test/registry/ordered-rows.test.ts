import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { merge, rowsOf } from "../../src/registry/ordered-rows.ts";
import type { RepositoryName, Tag } from "../../src/oci/reference.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { putRows } from "../support/rows.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

let disposable: Awaited<ReturnType<typeof temporaryMetadata>>;
let metadata: MetadataStore;

beforeAll(async () => {
  disposable = await temporaryMetadata();
  ({ metadata } = disposable);
});
afterAll(() => disposable[Symbol.asyncDispose]());

async function* sequence(values: readonly number[]): AsyncGenerator<number, void, undefined> {
  yield* values;
}

async function* tagged(by: string): AsyncGenerator<{ readonly at: number; readonly by: string }, void, undefined> {
  yield { at: 1, by };
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

describe("rowsOf", () => {
  const repository = "models/a" as RepositoryName;
  const family = keys.tagsPushed(repository);
  const names = Array.from({ length: 700 }, (_, at) => `t${String(at).padStart(3, "0")}`);

  beforeAll(() =>
    putRows(
      metadata,
      names.map((name) => ({ key: keys.tagPushed(repository, name as Tag), value: {} })),
    ),
  );

  test.each([1, 3, 255, 256, 257, 700, 701])("gives every row of a range once, whatever its limit: %i", async (limit) => {
    const found = await collect(rowsOf({ metadata }, [under(family, limit)]));
    expect(found.map(({ key }) => key[2])).toEqual(names);
  });

  test("goes through ranges one after the other", async () => {
    const ranges = [
      { start: [...family, "t600"], end: [...family, "t602"], limit: 1 },
      { start: [...family, "x"], end: [...family, "y"], limit: 1 },
      { start: [...family, "t100"], end: [...family, "t101"], limit: 10 },
    ] as const;
    const found = await collect(rowsOf({ metadata }, ranges));
    expect(found.map(({ key }) => key[2])).toEqual(["t600", "t601", "t100"]);
  });

  test("lets others have their turn while it reads", async () => {
    let turns = 0;
    const counter = setInterval(() => (turns += 1), 0);
    await collect(rowsOf({ metadata }, [under(family, 1)]));
    clearInterval(counter);
    expect(turns).toBeGreaterThan(0);
  });
});

describe("merge", () => {
  const ascending = fc.uniqueArray(fc.nat(30)).map((values) => values.toSorted((a, b) => a - b));

  test("gives the ordered union of two ordered sequences", async () => {
    await fc.assert(
      fc.asyncProperty(ascending, ascending, async (one, other) => {
        const merged = await collect(merge(sequence(one), sequence(other), (a, b) => a - b));
        expect(merged).toEqual([...new Set([...one, ...other])].toSorted((a, b) => a - b));
      }),
    );
  });

  test("of equal items gives the first sequence's", async () => {
    expect(await collect(merge(tagged("one"), tagged("other"), (a, b) => a.at - b.at))).toEqual([{ at: 1, by: "one" }]);
  });
});
