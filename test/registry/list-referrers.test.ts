import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { State } from "../../src/lifecycle/state.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { MAX_MANIFEST_BYTES } from "../../src/oci/manifest.ts";
import { OCI_IMAGE, OCI_INDEX } from "../../src/oci/media-types.ts";
import { MAX_PAGE } from "../../src/oci/page.ts";
import type { ReferrerDescriptor } from "../../src/oci/referrer.ts";
import type { RepositoryName } from "../../src/oci/reference.ts";
import { listReferrers } from "../../src/registry/list-referrers.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { keys } from "../../src/storage/keys.ts";
import type { MetadataStore, Put } from "../../src/storage/metadata-store.ts";
import { callerWith } from "../support/callers.ts";
import { manifestRows, putRows, recordOf } from "../support/rows.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

const publisher = callerWith(["publisher@models"]);
const reader = callerWith(["reader@*"]);
const reviewer = callerWith(["reviewer@models"]);

let disposable: Awaited<ReturnType<typeof temporaryMetadata>>;
let metadata: MetadataStore;
let repositories = 0;
const newRepository = (): RepositoryName => `models/r${(repositories += 1)}` as RepositoryName;

beforeAll(async () => {
  disposable = await temporaryMetadata();
  ({ metadata } = disposable);
});
afterAll(() => disposable[Symbol.asyncDispose]());

interface Made {
  readonly content: string;
  readonly rank: number;
  readonly state: State;
  /** Is it covered by the promotion of its subject, or one of the registry's own statements? */
  readonly served: boolean;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly subject?: Digest;
}

function descriptorOf({ content, artifactType, annotations }: Made): ReferrerDescriptor {
  const descriptor = { mediaType: OCI_IMAGE, digest: digestOf(content), size: content.length };
  return { ...descriptor, ...(artifactType !== undefined && { artifactType }), ...(annotations && { annotations }) };
}

function referrerRows(repository: RepositoryName, subject: Digest, made: Made): readonly Put[] {
  const { content, rank, state, served } = made;
  const named = made.subject ?? subject;
  const statement = rank === 0;
  const { digest, ...record } = recordOf(content, { state, subject: named, statement });
  const value = { v: 1, descriptor: descriptorOf(made) };
  const reach = { key: keys.reach(repository, { kind: "manifest", digest }, subject), value: { v: 1, via: [], statement } };
  return [
    ...manifestRows(repository, { ...record, digest }),
    { key: keys.referrer(repository, named, rank, digest), value },
    ...(served ? [{ key: keys.referrerServed(repository, named, rank, digest), value }, reach] : []),
  ];
}

/** A repository with one subject and its referrers. */
async function repositoryWith(state: State | undefined, referrers: readonly Made[], onceTrusted = false): Promise<RepositoryName> {
  const repository = newRepository();
  const subject = state && recordOf("subject", { state, onceTrusted: onceTrusted || state === "trusted" });
  await putRows(metadata, [
    ...(subject === undefined ? [] : manifestRows(repository, subject)),
    ...referrers.flatMap((made) => referrerRows(repository, digestOf("subject"), made)),
  ]);
  return repository;
}

interface Asked {
  readonly n?: number;
  readonly artifactType?: string;
  readonly subject?: Digest;
}

async function everyPage(
  caller: Caller,
  repository: RepositoryName,
  asked: Asked = {},
): Promise<readonly (readonly ReferrerDescriptor[])[]> {
  const { n = MAX_PAGE, artifactType, subject = digestOf("subject") } = asked;
  const pages: (readonly ReferrerDescriptor[])[] = [];
  let last: string | undefined;
  do {
    const page = await listReferrers({ metadata }, caller, { repository, subject, artifactType, page: { n, last } });
    pages.push(page.referrers);
    last = page.next;
  } while (last !== undefined);
  return pages;
}

async function contents(caller: Caller, repository: RepositoryName, asked: Asked = {}): Promise<readonly Digest[]> {
  return (await everyPage(caller, repository, asked)).flat().map(({ digest }) => digest);
}

const attached = (content: string, over: Partial<Made> = {}): Made => ({ content, rank: 9, state: "acquired", served: false, ...over });
const STATEMENT = attached("statement", { rank: 0, served: true });
const COVERED = attached("covered signature", { rank: 1, served: true });
const LATE = attached("late signature", { rank: 1 });

describe("listReferrers", () => {
  test("shows by rank what the caller sees, in pages without a gap", async () => {
    const made = fc.record({
      content: fc.string({ minLength: 1, maxLength: 6 }),
      rank: fc.constantFrom(0, 1, 2, 9),
      state: fc.constantFrom<State>("acquired", "quarantined", "revoked", "deleted"),
      served: fc.boolean(),
    });
    const referrers = fc.uniqueArray(made, { selector: ({ content }) => content, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(referrers, fc.boolean(), fc.integer({ min: 1, max: 6 }), async (all, asReader, n) => {
        const repository = await repositoryWith("trusted", all);
        const expected = all
          .filter(({ state, served }) => !["revoked", "deleted"].includes(state) && (served || !asReader))
          .map((each) => ({ rank: each.rank, digest: digestOf(each.content) }))
          .toSorted((a, b) => a.rank - b.rank || (a.digest < b.digest ? -1 : 1));
        const pages = await everyPage(asReader ? reader : publisher, repository, { n });
        expect(pages.flat().map(({ digest }) => digest)).toEqual(expected.map(({ digest }) => digest));
        expect(pages.slice(0, -1).every(({ length }) => length === n)).toBe(true);
        expect(pages.at(-1)?.length === 0).toBe(expected.length === 0);
      }),
      { numRuns: 60 },
    );
  });

  test("shows readers of a trusted subject what its promotion covered, and not what was attached later", async () => {
    const repository = await repositoryWith("trusted", [STATEMENT, COVERED, LATE]);
    expect(await contents(reader, repository)).toEqual([digestOf(STATEMENT.content), digestOf(COVERED.content)]);
    expect(new Set(await contents(publisher, repository))).toEqual(
      new Set([STATEMENT, COVERED, LATE].map(({ content }) => digestOf(content))),
    );
  });

  test.each<State | undefined>(["acquired", "quarantined", "deleted", undefined])(
    "shows readers nothing of a subject that is %s",
    async (state) => {
      const trusted = attached("trusted by itself", { state: "trusted", served: true });
      const repository = await repositoryWith(state, [STATEMENT, COVERED, trusted]);
      expect(await everyPage(reader, repository)).toEqual([[]]);
    },
  );

  test("shows of a revoked subject that was trusted the registry's statements only", async () => {
    const repository = await repositoryWith("revoked", [STATEMENT, COVERED, LATE], true);
    expect(await contents(reader, repository)).toEqual([digestOf(STATEMENT.content)]);
    expect(await contents(publisher, repository)).toEqual([digestOf(STATEMENT.content)]);
    expect(await contents(reviewer, repository)).toHaveLength(3);
  });

  test("shows readers nothing of a revoked subject that was never trusted", async () => {
    const repository = await repositoryWith("revoked", [STATEMENT, COVERED]);
    expect(await everyPage(reader, repository)).toEqual([[]]);
  });

  test("leaves out a covered referrer that is revoked itself", async () => {
    const repository = await repositoryWith("trusted", [{ ...COVERED, state: "revoked" }, STATEMENT]);
    expect(await contents(reader, repository)).toEqual([digestOf(STATEMENT.content)]);
  });

  test("shows a publisher referrers that came before their subject", async () => {
    const repository = await repositoryWith(undefined, [LATE]);
    expect(await contents(publisher, repository)).toEqual([digestOf(LATE.content)]);
  });

  test("is empty for a repository and for a subject that nobody knows", async () => {
    expect(await everyPage(publisher, newRepository())).toEqual([[]]);
    expect(await everyPage(callerWith([]), await repositoryWith("trusted", [COVERED]))).toEqual([[]]);
  });

  test("gathers what names its subject by sha256 and by sha512, asked by either name", async () => {
    const sha512 = digestOf("subject", "sha512");
    const made = [
      attached("a"),
      attached("b", { subject: sha512 }),
      attached("c", { rank: 1, subject: sha512 }),
      attached("d", { rank: 1 }),
    ];
    const repository = await repositoryWith("acquired", made);
    const bySha256 = await contents(publisher, repository, { n: 1 });
    expect(new Set(bySha256)).toEqual(new Set(made.map(({ content }) => digestOf(content))));
    expect(bySha256.slice(2).toSorted()).toEqual([digestOf("a"), digestOf("b")].toSorted());
    expect(await contents(publisher, repository, { subject: sha512 })).toEqual(bySha256);
  });

  test("filters by artifactType, exactly, and pages through what is left", async () => {
    const made = Array.from({ length: 9 }, (_, at) =>
      attached(`r${at}`, { artifactType: at % 3 === 0 ? "application/a" : "application/ab" }),
    );
    const repository = await repositoryWith("acquired", [...made, attached("none")]);
    const pages = await everyPage(publisher, repository, { n: 2, artifactType: "application/a" });
    expect(pages.map(({ length }) => length)).toEqual([2, 1]);
    expect(pages.flat().every(({ artifactType }) => artifactType === "application/a")).toBe(true);
  });

  test("shows every annotation of a descriptor", async () => {
    const annotations = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`org.example.${at}`, "é".repeat(at)]));
    const made = attached("annotated", { annotations, artifactType: "a/b" });
    const repository = await repositoryWith("acquired", [made]);
    expect(await everyPage(publisher, repository)).toEqual([[descriptorOf(made)]]);
  });

  test("makes pages as large as a manifest may be, and no larger, with evidence before junk", async () => {
    const junk = Array.from({ length: 12 }, (_, at) => attached(`junk ${at}`, { annotations: { large: "é".repeat(500_000) } }));
    const repository = await repositoryWith("acquired", [...junk, LATE, { ...COVERED, served: false }]);
    const pages = await everyPage(publisher, repository);
    const sizes = pages.map((manifests) => Buffer.byteLength(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests })));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MAX_MANIFEST_BYTES);
    expect(pages.map(({ length }) => length)).toEqual([6, 4, 4]);
    const evidence = [LATE, COVERED].map(({ content }) => digestOf(content));
    expect(pages[0]?.slice(0, 2).map(({ digest }) => digest)).toEqual(evidence.toSorted());
  });

  test("fits the largest descriptor that a push may make on a page", async () => {
    const large = attached("large", { annotations: Object.fromEntries(["a", "b", "c", "d"].map((key) => [key, "x".repeat(1_047_500)])) });
    const repository = await repositoryWith("acquired", [large, attached("other")]);
    expect((await everyPage(publisher, repository)).flat()).toHaveLength(2);
  });

  test("ends a page after 20000 referrers that are left out, and the next one goes on from there", { timeout: 60_000 }, async () => {
    const last = attached("wanted", { artifactType: "application/wanted", rank: 9 });
    const repository = await repositoryWith("acquired", [last]);
    // The filter leaves them out before the gate is asked, so that their rows are enough.
    const junk = Array.from({ length: 20_001 }, (_, at): Put => {
      const digest = `sha256:${String(at).padStart(64, "0")}` as Digest;
      const descriptor = { mediaType: OCI_IMAGE, digest, size: 1, artifactType: "application/junk" };
      return { key: keys.referrer(repository, digestOf("subject"), 1, digest), value: { v: 1, descriptor } };
    });
    await putRows(metadata, junk);
    const pages = await everyPage(publisher, repository, { artifactType: "application/wanted" });
    expect(pages).toEqual([[], [descriptorOf(last)]]);
  });

  test.each(["x", "1", "1.", "1.sha256:abc", `10.${digestOf("x")}`, `-1.${digestOf("x")}`])("refuses last=%s", async (last) => {
    const query = { repository: newRepository(), subject: digestOf("subject"), artifactType: undefined, page: { n: 1, last } };
    await expect(listReferrers({ metadata }, publisher, query)).rejects.toThrow(expect.objectContaining({ code: "PAGE_INVALID" }) as Error);
  });

  test("gives an empty page without a next one for n=0", async () => {
    const repository = await repositoryWith("acquired", [LATE]);
    expect(await everyPage(publisher, repository, { n: 0 })).toEqual([[]]);
  });
});
