import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { State } from "../../src/lifecycle/state.ts";
import { digestOf } from "../../src/oci/digest.ts";
import type { RepositoryName, Tag } from "../../src/oci/reference.ts";
import { listTags } from "../../src/registry/list-tags.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { keys } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { callerWith } from "../support/callers.ts";
import { manifestRows, putRows, recordOf, repositoryRows, tagRows } from "../support/rows.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";
import { watchedReads } from "../support/watched-reads.ts";

const publisher = callerWith(["publisher@models"]);
const reader = callerWith(["reader@*"]);
const reviewer = callerWith(["reviewer@models"]);
const scanner = callerWith(["scanner@models"]);
const stranger = callerWith(["publisher@elsewhere"]);

const unknown = expect.objectContaining({
  code: "NAME_UNKNOWN",
  message: "repository name not known to this registry",
  detail: undefined,
}) as Error;

let disposable: Awaited<ReturnType<typeof temporaryMetadata>>;
let metadata: MetadataStore;
let repositories = 0;
const newRepository = (): RepositoryName => `models/r${(repositories += 1)}` as RepositoryName;

beforeAll(async () => {
  disposable = await temporaryMetadata();
  ({ metadata } = disposable);
});
afterAll(() => disposable[Symbol.asyncDispose]());

/** A manifest for each state; `everywhere` is trusted here and revoked everywhere. */
const CONTENT: Readonly<Record<string, State>> = {
  one: "trusted",
  two: "trusted",
  three: "acquired",
  four: "quarantined",
  five: "revoked",
  six: "deleted",
  everywhere: "trusted",
};

async function repositoryWith(tags: readonly { readonly tag: string; readonly content: string }[]): Promise<RepositoryName> {
  const repository = newRepository();
  const manifests = Object.entries(CONTENT).flatMap(([content, state]) => manifestRows(repository, recordOf(content, { state })));
  const pointers = tags.flatMap(({ tag, content }) =>
    tagRows(repository, tag as Tag, digestOf(content), { listed: CONTENT[content] === "trusted" }),
  );
  const everywhere = {
    key: keys.revokedEverywhere(digestOf("everywhere")),
    value: { v: 1, reason: "poisoned", permanent: false, by: "test", at: 0 },
  };
  await putRows(metadata, [...repositoryRows(repository, true), ...manifests, ...pointers, everywhere]);
  return repository;
}

async function everyPage(caller: Caller, repository: RepositoryName, n: number): Promise<readonly (readonly string[])[]> {
  const pages: (readonly string[])[] = [];
  let last: string | undefined;
  do {
    const page = await listTags({ metadata }, caller, repository, { n, last });
    pages.push(page.tags);
    last = page.next;
  } while (last !== undefined);
  return pages;
}

describe("listTags", () => {
  const tag = fc.stringMatching(/^\w[\w.-]{0,5}$/);
  const tags = fc.uniqueArray(fc.record({ tag, content: fc.constantFrom(...Object.keys(CONTENT)) }), {
    selector: (made) => made.tag,
    maxLength: 25,
  });
  const callers = fc.constantFrom<[Caller, readonly string[]]>(
    [publisher, ["one", "two", "three", "four"]],
    [reviewer, ["one", "two", "three", "four", "five", "everywhere"]],
    [scanner, ["one", "two", "everywhere"]],
    [reader, ["one", "two"]],
  );

  test("shows exactly what the caller sees, in ASCII order, in pages without a gap", async () => {
    await fc.assert(
      fc.asyncProperty(tags, callers, fc.integer({ min: 1, max: 8 }), async (made, [caller, visible], n) => {
        const repository = await repositoryWith(made);
        const expected = made.filter(({ content }) => visible.includes(content)).map(({ tag: name }) => name);
        const pages = await everyPage(caller, repository, n);
        expect(pages.flat()).toEqual(expected.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
        expect(pages.slice(0, -1).map(({ length }) => length)).toEqual(pages.slice(0, -1).map(() => n));
        expect(pages.at(-1)?.length).toBe(expected.length === 0 ? 0 : ((expected.length - 1) % n) + 1);
      }),
      { numRuns: 60 },
    );
  });

  test("takes last for a value, not for an entry", async () => {
    const repository = await repositoryWith(["a", "b", "d"].map((name) => ({ tag: name, content: "one" })));
    const after = async (last: string): Promise<readonly string[]> =>
      (await listTags({ metadata }, reader, repository, { n: 10, last })).tags;
    expect(await after("b")).toEqual(["d"]);
    expect(await after("c")).toEqual(["d"]);
    expect(await after("B")).toEqual(["a", "b", "d"]);
    expect(await after("d")).toEqual([]);
    expect(await after("~ not a tag")).toEqual([]);
  });

  test("gives an empty page without a next one for n=0", async () => {
    const repository = await repositoryWith([{ tag: "a", content: "one" }]);
    expect(await listTags({ metadata }, publisher, repository, { n: 0, last: undefined })).toEqual({ tags: [], next: undefined });
  });

  test("shows readers what was promoted while a publisher sees what was pushed over it", async () => {
    const repository = newRepository();
    const [old, pushed] = [recordOf("old", { state: "trusted" }), recordOf("new")];
    await putRows(metadata, [
      ...repositoryRows(repository, true),
      ...manifestRows(repository, old),
      ...manifestRows(repository, pushed),
      ...tagRows(repository, "v1" as Tag, pushed.digest),
      ...tagRows(repository, "v2" as Tag, pushed.digest),
      { key: keys.tagListed(repository, "v1" as Tag), value: { v: 1, digest: old.digest, by: "test", at: 0 } },
    ]);
    expect(await everyPage(reader, repository, 10)).toEqual([["v1"]]);
    expect(await everyPage(publisher, repository, 10)).toEqual([["v1", "v2"]]);
  });

  test("answers a repository without anything to see exactly as one that does not exist", async () => {
    const repository = newRepository();
    const held = recordOf("held");
    await putRows(metadata, [
      ...repositoryRows(repository, false),
      ...manifestRows(repository, held),
      ...tagRows(repository, "v1" as Tag, held.digest),
    ]);
    const page = { n: 10, last: undefined };
    for (const caller of [reader, stranger, callerWith([])]) {
      await expect(listTags({ metadata }, caller, repository, page)).rejects.toThrow(unknown);
      await expect(listTags({ metadata }, caller, newRepository(), page)).rejects.toThrow(unknown);
      await expect(listTags({ metadata }, caller, repository, { n: 0, last: undefined })).rejects.toThrow(unknown);
    }
    await expect(listTags({ metadata }, publisher, newRepository(), page)).rejects.toThrow(unknown);
    expect(await listTags({ metadata }, publisher, repository, page)).toEqual({ tags: ["v1"], next: undefined });
  });

  test("lets a token see no more than it covers", async () => {
    const repository = await repositoryWith([{ tag: "a", content: "one" }]);
    const elsewhere = [{ type: "repository" as const, name: "models/other", actions: ["pull" as const] }];
    const capped = callerWith(["publisher@models"], { access: elsewhere });
    await expect(listTags({ metadata }, capped, repository, { n: 10, last: undefined })).rejects.toThrow(unknown);
  });

  test("ends a page after 20000 tags that are hidden, and the next one goes on from there", { timeout: 60_000 }, async () => {
    const hidden = Array.from({ length: 20_001 }, (_, at) => ({ tag: `h${String(at).padStart(5, "0")}`, content: "five" }));
    const repository = await repositoryWith([...hidden, { tag: "z", content: "one" }]);
    expect(await everyPage(publisher, repository, 10)).toEqual([[], ["z"]]);
  });
});

const tagOf = (at: number): Tag => `t${String(at).padStart(3, "0")}` as Tag;

describe("a list of more tags than are read at once", () => {
  const contents = Array.from({ length: 300 }, (_, at) => `content ${at}`);
  const page = { n: 1000, last: undefined };
  const fill = async (): Promise<RepositoryName> => {
    const repository = newRepository();
    const rows = contents.flatMap((content, at) => [
      ...manifestRows(repository, recordOf(content, { state: "acquired" })),
      ...tagRows(repository, tagOf(at), digestOf(content), { listed: false }),
    ]);
    await putRows(metadata, [...repositoryRows(repository, false), ...rows]);
    return repository;
  };

  test("asks once for each batch whether anything is trusted or revoked there", async () => {
    const repository = await fill();
    const watched = watchedReads(metadata);
    expect((await listTags(watched, publisher, repository, page)).tags).toHaveLength(contents.length);
    const asked = ["list tag-pushed", "list reach", "list denied"];
    expect(watched.reads.filter((read) => read.startsWith("list ")).filter((read) => asked.includes(read))).toEqual([...asked, ...asked]);
  });

  test("hides what is revoked while it is read from there on", async () => {
    const repository = await fill();
    const last = contents.length - 1;
    const denied = keys.denied(repository, { kind: "manifest", digest: digestOf(`content ${last}`) }, digestOf("root"));
    let batches = 0;
    const revoking: MetadataStore = {
      ...watchedReads(metadata).metadata,
      list: async (range) => {
        if (range.start[0] === "tag-pushed" && (batches += 1) === 2) {
          await putRows(metadata, [{ key: denied, value: { v: 1, via: [], statement: false } }]);
        }
        return metadata.list(range);
      },
    };
    const { tags } = await listTags({ metadata: revoking }, publisher, repository, page);
    expect(batches).toBe(2);
    expect(tags).toEqual(contents.slice(0, last).map((_content, at) => tagOf(at)));
  });
});
