import { expect, test } from "vitest";
import type { ModelDetails } from "../../src/formats/model-details.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { ModelInsides } from "../../src/registry/model-insides.ts";
import { InspectionError } from "../../src/scan/inspection.ts";

const DETAILS: ModelDetails = {
  facts: { format: "gguf", parameters: 0, tensorCount: 0, suspicions: [] },
  metadata: [],
  metadataCount: 0,
  tensors: [],
  tensorsHash: "",
};

/** Insides over files that are read when the test says so. */
function held(patience: number): { insides: ModelInsides; asked: string[]; release: (end?: Error) => void } {
  const asked: string[] = [];
  let waiting: PromiseWithResolvers<ModelDetails>[] = [];
  const details = (path: string): Promise<ModelDetails> => {
    asked.push(path);
    const promise = Promise.withResolvers<ModelDetails>();
    waiting.push(promise);
    return promise.promise;
  };
  const needs = {
    inspector: { details, card: details },
    blobs: { inFile: (digest: string, use: (path: string) => unknown) => use(digest) },
    log: { error: () => undefined },
  };
  const release = (end?: Error): void => {
    for (const { resolve, reject } of waiting) {
      if (end === undefined) resolve(DETAILS);
      else reject(end);
    }
    waiting = [];
  };
  return { insides: new ModelInsides(needs as never, patience), asked, release };
}

const A = digestOf("a");
const asking = (person: string): Parameters<ModelInsides["of"]>[0] => ({ principal: { countsAs: person } });
const ONE = asking("one");

test("a file is read once, however many ask at the time and later", async () => {
  const { insides, asked, release } = held(60_000);
  const both = [insides.of(ONE, A, "a.gguf"), insides.of(ONE, A, "a.gguf")];
  release();
  expect(await Promise.all(both)).toEqual([DETAILS, DETAILS]);
  expect(await insides.of(ONE, A, "a.gguf")).toBe(DETAILS);
  expect(asked).toEqual([A]);
});

test("nobody waits longer than a page may take, and the reading goes on", async () => {
  const { insides, asked, release } = held(1);
  expect(await insides.of(ONE, A, "a.gguf")).toBe("under-way");
  expect(insides.remembered(A)).toBeUndefined();
  release();
  await expect.poll(() => insides.remembered(A)).toBe(DETAILS);
  expect(asked).toEqual([A]);
});

test("who has waited for other files waits no longer for one more than was left", async () => {
  const { insides, release } = held(60_000);
  for (const left of [1, 0, -1]) expect(await insides.cardIn(ONE, { digest: A, packing: "none" }, left)).toBe("under-way");
  release();
});

test("no more than eight files are read or wait for it, and who comes then is told to ask again", async () => {
  const { insides, asked, release } = held(60_000);
  const first = Array.from({ length: 8 }, (_, at) => insides.of(asking(`person ${at}`), digestOf(`${at}`), "x.gguf"));
  expect(await insides.of(ONE, digestOf("ninth"), "x.gguf")).toBe("under-way");
  release();
  await Promise.all(first);
  expect(asked).toHaveLength(8);
});

test("one person has two files read at a time, by whichever keys, and others are not kept waiting", async () => {
  const { insides, asked, release } = held(60_000);
  const first = ["first", "second"].map((each) => insides.of(ONE, digestOf(each), "x.gguf"));
  expect(await insides.of(ONE, digestOf("third"), "x.gguf")).toBe("under-way");
  const joined = insides.of(ONE, digestOf("first"), "x.gguf");
  const other = insides.of(asking("another"), digestOf("third"), "x.gguf");
  expect(asked).toEqual(["first", "second", "third"].map((each) => digestOf(each)));
  release();
  expect(await Promise.all([...first, joined, other])).toEqual([DETAILS, DETAILS, DETAILS, DETAILS]);
});

test("what could not be read for another reason than the file is tried again", async () => {
  const { insides, asked, release } = held(60_000);
  const first = insides.of(ONE, A, "a.gguf");
  release(new InspectionError("the file cannot be opened (EMFILE)"));
  expect(await first).toEqual({ unreadable: "the file cannot be opened (EMFILE)" });
  const second = insides.of(ONE, A, "a.gguf");
  release();
  expect(await second).toBe(DETAILS);
  expect(asked).toHaveLength(2);
});

test("the files that were asked for last are remembered", async () => {
  const { insides, release } = held(60_000);
  for (let at = 0; at < 20; at += 1) {
    const inside = insides.of(ONE, digestOf(`${at}`), "x.gguf");
    release();
    await inside;
  }
  expect(insides.remembered(digestOf("0"))).toBeUndefined();
  expect(insides.remembered(digestOf("19"))).toBe(DETAILS);
});
