import * as fc from "fast-check";
import { expect, test } from "vitest";
import { RegistryError } from "../../src/oci/errors.ts";
import { repositoryNameSchema } from "../../src/oci/reference.ts";
import { decideAndCommit } from "../../src/registry/commit.ts";
import { countOnce, countUsage } from "../../src/registry/count-usage.ts";
import { countedMetadata } from "../../src/registry/counted-metadata.ts";
import { usageOf } from "../../src/registry/quotas.ts";
import { keys } from "../../src/storage/keys.ts";
import type { Change, Entry, MetadataStore } from "../../src/storage/metadata-store.ts";
import { v7 } from "../support/uuid.ts";
import { NO_QUOTA } from "../support/limits.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

const REPOSITORIES = ["models/a", "models/b", "team/a"].map((name) => repositoryNameSchema.parse(name));
const LIMITS = { bytes: 120, artifacts: 3, manifests: 5, tags: 2 } as const;

/** A row that counts comes, or goes, as uploads, pushes, mounts, deletions and collections make and remove them. */
const act = fc.record({
  family: fc.constantFrom("link", "manifest", "tag-pushed"),
  repository: fc.constantFrom(...REPOSITORIES),
  name: fc.integer({ min: 0, max: 5 }),
  size: fc.integer({ min: 0, max: 60 }),
  by: fc.constantFrom("publisher", "system:registry"),
  subject: fc.constantFrom(null, "sha256:1"),
  isGone: fc.boolean(),
});
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;

function changeOf({ family, repository, name, isGone, ...what }: Act, old: Entry | undefined): Change {
  const key = [family, repository, `${name}`] as const;
  const { size, by, subject } = what;
  const link = { v: 1, size, by, at: 0 };
  const manifest = {
    statement: by === "system:registry",
    state: isGone ? "deleted" : "acquired",
    subject,
    size,
    changedAt: size * 86_400_000,
  };
  const value = family === "link" ? link : family === "manifest" ? manifest : { v: 1 };
  const isRemoved = isGone && family !== "manifest";
  const event = { id: v7(), time: 0, type: "blob.push", actor: { principal: "a", kind: "service" }, outcome: "allow" } as const;
  return {
    expect: [{ key, version: old?.version ?? "absent" }],
    put: isRemoved ? [] : [{ key, value }],
    remove: isRemoved ? [key] : [],
    audit: [event],
  };
}

/** Makes a change as use cases do; what it is refused by, if it is. */
async function make(metadata: MetadataStore, asked: Act): Promise<RegistryError | undefined> {
  try {
    await decideAndCommit({ metadata }, async () => ({
      change: changeOf(asked, await metadata.get([asked.family, asked.repository, `${asked.name}`])),
      result: undefined,
    }));
    return undefined;
  } catch (error) {
    if (error instanceof RegistryError) return error;
    throw error;
  }
}

test("what namespaces hold is what a recount finds, and never more than their quota, however many change it at a time", async () => {
  await using world = await temporaryMetadata();
  const counted = countedMetadata(world.metadata, { quota: { ...NO_QUOTA, ...LIMITS } });
  const check = await fc.check(
    fc.asyncProperty(fc.array(fc.array(act, { minLength: 1, maxLength: 8 }), { maxLength: 6 }), async (rounds) => {
      for (const round of rounds) {
        const refused = await Promise.all(round.map((each) => make(counted, each)));
        if (refused.some((error) => error !== undefined && !["DENIED", "TOO_LARGE"].includes(error.code))) return false;
        const recount = await countUsage(world);
        for (const namespace of ["models", "team"]) {
          const { bytes, artifacts, manifests, tags } = await usageOf(world, namespace);
          const found = recount.get(namespace) ?? { bytes: 0, artifacts: 0, manifests: 0, tags: 0 };
          expect({ bytes, artifacts, manifests, tags }).toEqual(found);
          if (bytes > LIMITS.bytes || artifacts > LIMITS.artifacts || manifests > LIMITS.manifests || tags > LIMITS.tags) return false;
        }
      }
      return true;
    }),
    { numRuns: 60 },
  );
  expect(check).toMatchObject({ failed: false });
});

test("a namespace is full to the last byte and no further, whoever comes at the same time", async () => {
  await using world = await temporaryMetadata();
  const counted = countedMetadata(world.metadata, { quota: { ...NO_QUOTA, bytes: 100 } });
  const [repository = REPOSITORIES[0]] = REPOSITORIES;
  const links = Array.from({ length: 24 }, (_, name): Act => ({
    family: "link",
    repository: repository ?? repositoryNameSchema.parse("models/a"),
    name,
    size: 10,
    by: "publisher",
    subject: null,
    isGone: false,
  }));
  const refused = (await Promise.all(links.map((each) => make(counted, each)))).filter((error) => error !== undefined);
  expect(refused.length).toBe(14);
  expect(refused[0]).toMatchObject({
    code: "DENIED",
    detail: { quota: { namespace: "models", resource: "bytes", limit: 100, used: 100, requested: 10 } },
  });
  expect((await usageOf(world, "models")).bytes).toBe(100);
});

test("a row that a change both removes and puts counts as it is put", async () => {
  await using world = await temporaryMetadata();
  const removed = { family: "link", repository: REPOSITORIES[0], name: 1, size: 60, by: "publisher", subject: null, isGone: false } as Act;
  const change = changeOf(removed, undefined);
  await countedMetadata(world.metadata, { quota: NO_QUOTA }).commit({ ...change, remove: change.put.map(({ key }) => key) });
  expect(await usageOf(world, "models")).toMatchObject({ bytes: 60 });
});

test("a quota that is smaller than what is held takes nothing away, and lets what is held go", async () => {
  await using world = await temporaryMetadata();
  const link = { family: "link", repository: REPOSITORIES[0], name: 1, size: 60, by: "publisher", subject: null, isGone: false } as Act;
  await make(countedMetadata(world.metadata, { quota: NO_QUOTA }), link);
  const tight = countedMetadata(world.metadata, { quota: { ...NO_QUOTA, bytes: 10 } });
  expect(await make(tight, { ...link, name: 2, size: 5 })).toMatchObject({ code: "DENIED" });
  expect(await make(tight, { ...link, name: 3, size: 11 })).toMatchObject({ code: "TOO_LARGE" });
  expect(await make(tight, { ...link, isGone: true })).toBeUndefined();
  expect(await make(tight, { ...link, name: 2, size: 5 })).toBeUndefined();
});

test("what an earlier version kept without counting is counted once", async () => {
  await using world = await temporaryMetadata();
  const old = { family: "link", repository: REPOSITORIES[2], name: 1, size: 60, by: "publisher", subject: null, isGone: false } as Act;
  await make(world.metadata, old);
  await make(world.metadata, { ...old, name: 2, by: "system:registry" });
  await countOnce(world);
  expect((await usageOf(world, "team")).bytes).toBe(60);
  await make(countedMetadata(world.metadata, { quota: NO_QUOTA }), { ...old, isGone: true });
  await countOnce(world);
  expect((await usageOf(world, "team")).bytes).toBe(0);
  expect(await world.metadata.get(keys.usageCounted())).toBeDefined();
});
