import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Binding } from "../../src/identity/principal.ts";
import { type RepositoryName, isRepositoryName, namespaceOf } from "../../src/oci/reference.ts";
import { listRepositories } from "../../src/registry/list-repositories.ts";
import type { Caller } from "../../src/registry/ports.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { callerWith } from "../support/callers.ts";
import { putRows, repositoryRows } from "../support/rows.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

let disposable: Awaited<ReturnType<typeof temporaryMetadata>>;
let metadata: MetadataStore;

beforeAll(async () => {
  disposable = await temporaryMetadata();
  ({ metadata } = disposable);
});
afterAll(() => disposable[Symbol.asyncDispose]());

/** Names around the places where ranges of namespaces begin and end: `-` and `.` sort before `/`, digits after it. */
const COMPONENTS = ["a", "a-b", "a.b", "a0", "a_b", "b", "b-c"];
const name = fc
  .array(fc.constantFrom(...COMPONENTS), { minLength: 1, maxLength: 3 })
  .map((components) => components.join("/"))
  .filter(isRepositoryName);
const repositories = fc.uniqueArray(fc.record({ name, trusted: fc.boolean() }), { selector: (made) => made.name, maxLength: 30 });
const role = fc
  .tuple(fc.constantFrom("reader", "publisher", "reviewer", "auditor", "operator"), fc.constantFrom("*", ...COMPONENTS))
  .map(([which, where]) => `${which as Binding["role"]}@${where}` as const);

async function everyPage(store: MetadataStore, caller: Caller, n: number): Promise<readonly (readonly string[])[]> {
  const pages: (readonly string[])[] = [];
  let last: string | undefined;
  do {
    const page = await listRepositories({ metadata: store }, caller, { n, last });
    pages.push(page.repositories);
    last = page.next;
  } while (last !== undefined);
  return pages;
}

/** What the table of roles says, repository by repository. */
function sees({ principal }: Caller, repository: RepositoryName, trusted: boolean): boolean {
  const here = principal.bindings.filter(({ namespace }) => namespace === "*" || namespace === namespaceOf(repository));
  // A publisher reads untrusted content only in a namespace that its binding names.
  const any = here.some(
    (binding) => ["reviewer", "operator"].includes(binding.role) || (binding.role === "publisher" && binding.namespace !== "*"),
  );
  return any || (trusted && here.some((binding) => binding.role !== "auditor"));
}

describe("listRepositories", () => {
  test("shows exactly the repositories in which the caller sees something, in ASCII order, in full pages", async () => {
    await fc.assert(
      fc.asyncProperty(repositories, fc.array(role, { maxLength: 4 }), fc.integer({ min: 1, max: 7 }), async (made, roles, n) => {
        await using temporary = await temporaryMetadata();
        await putRows(
          temporary.metadata,
          made.flatMap((repository) => repositoryRows(repository.name, repository.trusted)),
        );
        const caller = callerWith(roles);
        const expected = made
          .filter((repository) => sees(caller, repository.name, repository.trusted))
          .map((repository) => repository.name);
        const pages = await everyPage(temporary.metadata, caller, n);
        expect(pages.flat()).toEqual(expected.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
        expect(pages.slice(0, -1).every(({ length }) => length === n)).toBe(true);
        expect(pages.at(-1)?.length === 0).toBe(expected.length === 0);
      }),
      { numRuns: 60 },
    );
  });

  test("takes last for a value, not for an entry", async () => {
    await putRows(
      metadata,
      ["v/a", "v/c", "w"].flatMap((repository) => repositoryRows(repository as RepositoryName, true)),
    );
    const caller = callerWith(["reader@v", "reader@w"]);
    const after = async (last: string): Promise<readonly string[]> =>
      (await listRepositories({ metadata }, caller, { n: 10, last })).repositories;
    expect(await after("v")).toEqual(["v/a", "v/c", "w"]);
    expect(await after("v/a")).toEqual(["v/c", "w"]);
    expect(await after("v/b")).toEqual(["v/c", "w"]);
    expect(await after("v/c")).toEqual(["w"]);
    expect(await after("w")).toEqual([]);
    expect(await after("~")).toEqual([]);
  });

  test("reads nothing for n=0", async () => {
    expect(await listRepositories({ metadata }, callerWith(["operator@*"]), { n: 0, last: undefined })).toEqual({
      repositories: [],
      next: undefined,
    });
  });

  test("reads no more rows for a page of one namespace than the page holds, however many repositories there are", async () => {
    const many = Array.from({ length: 3000 }, (_, at) => `n${at % 30}/r${String(at).padStart(4, "0")}` as RepositoryName);
    await putRows(
      metadata,
      many.flatMap((repository) => repositoryRows(repository, true)),
    );
    let rows = 0;
    const counting: MetadataStore = {
      get: (key) => metadata.get(key),
      commit: (change) => metadata.commit(change),
      close: () => metadata.close(),
      list: async (range) => {
        const found = await metadata.list(range);
        rows += found.length;
        return found;
      },
    };
    const page = await listRepositories({ metadata: counting }, callerWith(["publisher@n7", "reader@n8"]), { n: 10, last: "n7/r0300" });
    expect(page.repositories).toHaveLength(10);
    // One more of each of the two kinds, to know whether there is a next page.
    expect(rows).toBeLessThanOrEqual(22);
  });
});
