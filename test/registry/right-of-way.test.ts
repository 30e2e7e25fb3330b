import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Digest } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import type { Registry } from "../../src/services.ts";
import { keys } from "../../src/storage/keys.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { interrupted } from "../support/race.ts";
import { putRows } from "../support/rows.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const alice = callerWith(["publisher@models"], { name: "alice" });
const mona = callerWith(["maintainer@models"], { name: "mona" });
const olga = callerWith(["operator@*"], { name: "olga" });
const AT = "models/x";
const IMAGE = imageOf(["one"]);
const OTHER = imageOf(["one"], { annotations: { a: "other" } });
const DIGEST = digestIn(IMAGE);
const WAY = keys.rightOfWay(repository(AT));

let at: Transitions;
beforeEach(async () => {
  at = await Transitions.start();
  for (const content of ["{}", "one"]) await at.blob(alice, AT, content);
  await at.manifest(alice, AT, IMAGE, "prod");
  await at.manifest(alice, AT, OTHER, "other");
  await at.promote(olga, AT, "prod");
});
afterEach(() => at[Symbol.asyncDispose]());

async function outcome(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "done",
    (error: unknown) => {
      if (error instanceof RegistryError) return error.code;
      throw error;
    },
  );
}

/** The services of somebody before each of whose changes another one is quicker. */
function outrun(services: Registry, rival: () => Promise<void>): Registry {
  const { metadata } = services;
  const commit: typeof metadata.commit = async (change) => {
    await rival();
    return metadata.commit(change);
  };
  return {
    ...services,
    metadata: { get: (key) => metadata.get(key), list: (range) => metadata.list(range), close: async () => {}, commit },
  };
}

type Rival = (n: number) => Promise<unknown>;

/** Pushes something that nobody needs. */
const junk = (n: number): Promise<Digest> => at.manifest(alice, AT, imageOf(["one"], { annotations: { n: String(n) } }));

const RIVALS: readonly (readonly [string, Rival])[] = [
  ["pushes one tag of it after the other", (n) => at.manifest(alice, AT, IMAGE, `t${n}`)],
  ["moves a tag from it and back", (n) => at.manifest(alice, AT, n % 2 === 0 ? OTHER : IMAGE, "prod")],
  [
    "deletes a tag of it and pushes it again",
    (n) => (n % 2 === 0 ? at.deleteTag(alice, AT, "prod") : at.manifest(alice, AT, IMAGE, "prod")),
  ],
  ["deletes what it pushed beside it", async (n) => at.delete(alice, AT, await junk(n))],
  ["quarantines what was pushed beside it", async (n) => at.quarantine(olga, AT, await junk(n))],
  ["promotes something else again and again", () => at.promote(olga, AT, digestIn(OTHER))],
  ["rolls tags back to it", (n) => at.rollBack(mona, AT, `r${n}`, DIGEST)],
];

// Every change of a repository may be decided in vain when others are quicker; a revocation must not be.
describe("a revocation", () => {
  test.each(RIVALS)("comes about although somebody %s", async (_name, rival) => {
    const said: string[] = [];
    const revoking = outrun(at.services, async () => {
      said.push(await outcome(rival(said.length)));
    });
    const { state } = await at.through(revoking).revoke(olga, AT, DIGEST);
    expect(state).toBe("revoked");
    expect(said[0]).toBe("done");
    expect(said).toContain("UNAVAILABLE");
    expect(await at.services.metadata.get(WAY)).toBeUndefined();
    expect(await outcome(at.manifest(alice, AT, IMAGE, "later"))).toBe("done");
    expect(await faultsOf(at.services.metadata, repository(AT), at.directory)).toEqual([]);
  });

  test("turns nobody away who is quicker once", async () => {
    const said: string[] = [];
    const { services } = interrupted(at.services, "commit", async () => {
      said.push(await outcome(at.manifest(alice, AT, IMAGE, "t")));
    });
    await at.through(services).revoke(olga, AT, DIGEST);
    expect(said).toEqual(["done"]);
  });

  test("has the way before whoever decided earlier and is about to commit", async () => {
    const claim = { key: WAY, value: { v: 1, until: Date.now() + 60_000 } };
    const { services } = interrupted(at.services, "commit", () => putRows(at.services.metadata, [claim]));
    expect(await outcome(at.through(services).manifest(alice, AT, IMAGE, "t"))).toBe("UNAVAILABLE");
    expect(await outcome(at.manifest(alice, "models/y", OTHER, "t"))).toBe("done");
  });

  test("that ended in the midst keeps the way for a while only", async () => {
    let isKilled = false;
    let n = 0;
    const killed = outrun(at.services, async () => {
      n += 1;
      isKilled ||= (await outcome(at.manifest(alice, AT, IMAGE, `t${n}`))) === "UNAVAILABLE";
      if (isKilled) throw new Error("killed");
    });
    await expect(at.through(killed).revoke(olga, AT, DIGEST)).rejects.toThrow("killed");
    expect(await outcome(at.manifest(alice, AT, IMAGE, "t"))).toBe("UNAVAILABLE");
    const later = { ...at.services, clock: () => Date.now() + 60_001 };
    expect(await outcome(at.through(later).manifest(alice, AT, IMAGE, "t"))).toBe("done");
  });

  test("that ended in the midst while the clock was ahead keeps nobody waiting until then", async () => {
    await putRows(at.services.metadata, [{ key: WAY, value: { v: 1, until: Date.now() + 86_400_000 } }]);
    expect(await outcome(at.manifest(alice, AT, IMAGE, "t"))).toBe("done");
  });
});
