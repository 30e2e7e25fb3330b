import { expect, onTestFinished, test } from "vitest";
import { indexReferrers } from "../../src/jobs/index-referrers.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { referrersByTurns } from "../../src/registry/referrers-by-turns.ts";
import { keys } from "../../src/storage/keys.ts";
import type { MetadataStore, Put } from "../../src/storage/metadata-store.ts";
import { repository } from "../support/principal.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

const AT = repository("models/m");
const SUBJECT = digestOf("model");

const attached = (person: string, rank: number, at: number): Put => ({
  key: keys.referrerBy(AT, SUBJECT, person, [rank, at, digestOf(`${person} ${rank} ${at}`)]),
  value: {},
});

/** A store in which nothing is left to be indexed. */
async function storeWith(put: readonly Put[]): Promise<MetadataStore> {
  const store = await temporaryMetadata();
  onTestFinished(() => store[Symbol.asyncDispose]());
  const { metadata } = store;
  await indexReferrers({ metadata });
  await metadata.commit({ expect: [], put, remove: [], audit: [] });
  return metadata;
}

async function take(metadata: MetadataStore, most: number, isEvidence = false): Promise<readonly string[]> {
  const turns = await referrersByTurns({ metadata }, { repository: AT, subjects: [SUBJECT], isEvidence });
  const taken: string[] = [];
  for (let digest = await turns.next(); digest !== undefined && taken.length < most; digest = await turns.next()) taken.push(digest);
  return taken;
}

const of = (person: string, rank: number, at: number): string => digestOf(`${person} ${rank} ${at}`);

test("everybody gets a turn before anybody gets the second, evidence first and of it the oldest", async () => {
  const metadata = await storeWith([
    attached("ann", 9, 1),
    attached("ann", 1, 7),
    attached("ann", 1, 5),
    attached("bob", 9, 2),
    attached("cem", 2, 9),
  ]);
  expect(await take(metadata, 9)).toEqual([of("ann", 1, 5), of("bob", 9, 2), of("cem", 2, 9), of("ann", 1, 7), of("ann", 9, 1)]);
  expect(await take(metadata, 9, true)).toEqual([of("ann", 1, 5), of("cem", 2, 9), of("ann", 1, 7)]);
});

test("the other person's comes second, however many thousands the first one attached, by a few looks into the store", async () => {
  const crowd = Array.from({ length: 6_000 }, (_, at) => attached("a crowd", 1, at));
  const metadata = await storeWith([...crowd, attached("zoe", 9, 1)]);
  let lists = 0;
  const counted = {
    ...metadata,
    get: metadata.get.bind(metadata),
    list: (...args: Parameters<MetadataStore["list"]>) => {
      lists += 1;
      return metadata.list(...args);
    },
  };
  expect((await take(counted, 2))[1]).toBe(of("zoe", 9, 1));
  expect(lists).toBeLessThan(8);
  const turns = await referrersByTurns({ metadata }, { repository: AT, subjects: [SUBJECT], isEvidence: false });
  for (let at = 0; at < 4; at += 1) await turns.next();
  expect(turns.left).toBeGreaterThan(100);
});

test("all of it comes in the end", async () => {
  const many = Array.from({ length: 1_200 }, (_, at) => attached("ann", 1 + (at % 2), at));
  const others = Array.from({ length: 300 }, (_, at) => attached(`person ${at}`, 9, at));
  const taken = await take(await storeWith([...many, ...others.slice(0, 200)]), 5_000);
  expect(new Set(taken).size).toBe(1_400);
});

test("whoever wants few at first has few read, loses none of the others, and is told of a person of whom nothing was read", async () => {
  const crowd = Array.from({ length: 900 }, (_, at) => attached("a crowd", 1, at));
  const metadata = await storeWith([...crowd, attached("zoe", 1, 1)]);
  const turns = await referrersByTurns({ metadata }, { repository: AT, subjects: [SUBJECT], isEvidence: true, most: 3 });
  expect(turns.left).toBe(2);
  expect(await turns.next()).toBe(of("a crowd", 1, 0));
  // Two that were read, one that is known to be behind them, and zoe.
  expect(turns.left).toBe(4);
  const rest: unknown[] = [];
  for (let digest = await turns.next(); digest !== undefined; digest = await turns.next()) rest.push(digest);
  expect(new Set(rest).size).toBe(900);
  expect(turns.left).toBe(0);
});
