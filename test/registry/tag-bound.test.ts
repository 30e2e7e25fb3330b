import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RegistryError } from "../../src/oci/errors.ts";
import { acquire } from "../../src/registry/acquire.ts";
import { findRegistered } from "../../src/registry/find-model.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { Put } from "../../src/storage/metadata-store.ts";
import { TOKEN_HOLDER, acquisitionOf, putFile, quick } from "../support/acquisitions.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { manifestContentOf } from "../support/manifest-content.ts";
import { repository } from "../support/principal.ts";
import { interrupted } from "../support/race.ts";
import { putRows } from "../support/rows.ts";
import { Transitions, digestIn, imageOf, tag } from "../support/transitions.ts";

const alice = callerWith(["publisher@models"], { name: "alice" });
const bob = callerWith(["publisher@models"], { name: "bob" });
const mona = callerWith(["maintainer@models"], { name: "mona" });
const olga = callerWith(["operator@*"], { name: "olga" });
const AT = "models/x";
const IMAGE = imageOf(["one"]);
const OTHER = imageOf(["one"], { annotations: { a: "other" } });
const DIGEST = digestIn(IMAGE);

/** Tags of one artifact that pushes may make, and that there may be with what roll-backs make. */
const [BY_PUSH, IN_ALL] = [1000, 2000];

let at: Transitions;
beforeEach(async () => {
  at = await Transitions.start();
  for (const content of ["{}", "one"]) await at.blob(alice, AT, content);
});
afterEach(() => at[Symbol.asyncDispose]());

function named(count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, n) => `t${first + n}`);
}

async function outcome(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "done",
    (error: unknown) => {
      if (error instanceof RegistryError) return error.code;
      throw error;
    },
  );
}

/** The rows of a roll-back to the artifact. */
function rolledBack(name: string): Put[] {
  const value = { v: 1, digest: DIGEST, by: "mona", at: 0 };
  const place = [repository(AT), tag(name)] as const;
  return [
    { key: keys.tagPromoted(...place), value },
    { key: keys.tagListed(...place), value },
    { key: keys.tagOf(place[0], DIGEST, place[1]), value: { pushed: false, promoted: true } },
  ];
}

const push = (tags: readonly string[], by = alice, over = at): Promise<string> => outcome(over.manifest(by, AT, IMAGE, ...tags));

async function tagCount(): Promise<number> {
  return (await at.services.metadata.list(under(keys.tagsOf(repository(AT), DIGEST), 10_000))).length;
}

// A transition of an artifact changes the rows of its tags with it: no push may make one so large that it cannot be committed.
describe("tags of one artifact", () => {
  test("are as many as pushes may make, and no more, until one of them goes", async () => {
    expect(await push(named(BY_PUSH + 1))).toBe("DENIED");
    expect(await tagCount()).toBe(0);
    expect(await push(named(BY_PUSH - 1))).toBe("done");
    expect(await push(["a", "b"])).toBe("DENIED");
    expect(await push(["a"])).toBe("done");
    await expect(at.manifest(bob, AT, IMAGE, "b")).rejects.toThrow(/at most 1000 tags.*delete/);
    expect(await push(["t7", "a"], bob)).toBe("done");
    expect(await push([], bob)).toBe("done");
    expect(await outcome(at.manifest(alice, AT, OTHER, "t7"))).toBe("done");
    expect(await push(["b"])).toBe("done");
    expect(await push(["t7"])).toBe("DENIED");
    expect(await tagCount()).toBe(BY_PUSH);
    expect(await faultsOf(at.services.metadata, repository(AT), at.directory)).toEqual([]);
  });

  test("count once, whichever of their pointers it is", async () => {
    await push(named(BY_PUSH));
    await at.promote(olga, AT, "t0");
    await outcome(at.manifest(alice, AT, OTHER, "t0"));
    // Readers still see the first artifact under it.
    expect([await tagCount(), await push(["a"])]).toEqual([BY_PUSH, "DENIED"]);
    await at.rollBack(mona, AT, "t0", null);
    expect([await tagCount(), await push(["a"])]).toEqual([BY_PUSH - 1, "done"]);
  });

  test("do not get beyond it when several push the last one at once", async () => {
    await push(named(BY_PUSH - 1));
    for (const moment of ["commit", 1, 2, 3, 4, 5, 6, 7, 8] as const) {
      let second = "";
      const race = interrupted(at.services, moment, async () => {
        second = await push(["b"], bob);
      });
      const first = await push(["a"], alice, at.through(race.services));
      expect([first, second].toSorted()).toEqual(["DENIED", "done"]);
      for (const each of ["a", "b"]) await outcome(at.deleteTag(mona, AT, each));
    }
    const many = await Promise.all(named(8, BY_PUSH).map((each) => push([each])));
    expect(many.filter((each) => each === "done")).toHaveLength(1);
    expect(await tagCount()).toBe(BY_PUSH);
  });

  test("leave room for roll-backs, which no publisher can prevent, up to a bound of its own", async () => {
    await push(named(BY_PUSH));
    await at.promote(olga, AT, DIGEST);
    await at.rollBack(mona, AT, "rolled-back", DIGEST);
    await putRows(at.services.metadata, named(IN_ALL - BY_PUSH - 2, BY_PUSH).flatMap(rolledBack));
    expect(await push(["a"])).toBe("DENIED");
    expect(await outcome(at.rollBack(mona, AT, "a", DIGEST))).toBe("done");
    expect(await outcome(at.rollBack(mona, AT, "b", DIGEST))).toBe("DENIED");
    expect(await outcome(at.rollBack(mona, AT, "a", DIGEST))).toBe("done");
    expect(await tagCount()).toBe(IN_ALL);
    await at.revoke(olga, AT, DIGEST);
    expect(await faultsOf(at.services.metadata, repository(AT), at.directory)).toEqual([]);
    await at.delete(olga, AT, DIGEST);
    expect(await tagCount()).toBe(0);
    expect(await faultsOf(at.services.metadata, repository(AT), at.directory)).toEqual([]);
  });

  test("leave room for the one by which an artifact is registered", async () => {
    await putFile(at.directory, "x.gguf", "x");
    await acquire(quick(at.services), TOKEN_HOLDER, acquisitionOf("x", "x.gguf"));
    const first = await findRegistered(at.services, TOKEN_HOLDER, "x");
    if (first === undefined) throw new Error("it was acquired");
    const manifest = JSON.parse(await manifestContentOf(at.services.metadata, first)) as object;
    await putFile(at.directory, "x.gguf", "another");
    await acquire(quick(at.services), TOKEN_HOLDER, acquisitionOf("x", "x.gguf"));
    expect(await outcome(at.manifest(alice, AT, manifest, ...named(BY_PUSH)))).toBe("done");
    await putFile(at.directory, "x.gguf", "x");
    await acquire(quick(at.services), TOKEN_HOLDER, acquisitionOf("x", "x.gguf"));
    expect((await findRegistered(at.services, TOKEN_HOLDER, "x"))?.record.digest).toBe(first.record.digest);
  });
});
