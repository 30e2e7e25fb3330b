import { expect, test } from "vitest";
import { indexReferrers } from "../../src/jobs/index-referrers.ts";
import { digestSchema } from "../../src/oci/digest.ts";
import { REFERRER_INDEX } from "../../src/registry/referrers-by-turns.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { PolicyRegistry } from "../support/policy-registry.ts";
import { repository } from "../support/principal.ts";

test("referrers that an earlier version took in are indexed by who attached them, once, and the registry's statements are not", async () => {
  const world = await PolicyRegistry.start();
  try {
    const { metadata } = world.registry.services;
    const artifact = await world.push("models/old");
    for (const note of ["one", "two", "three"]) await world.attach(artifact, "{}", { note });
    await world.act(artifact, "promote");
    const index = under(keys.referrersBy(repository("models/old"), digestSchema.parse(artifact.digest)), 10);
    const rows = (await metadata.list(index)).map(({ key }) => key);
    expect(rows).toHaveLength(3);
    await metadata.commit({ expect: [], put: [], remove: rows, audit: [] });
    const evidence = async (): Promise<number> => (await world.act(artifact, "evaluate")).decision.covers.length;
    expect(await evidence()).toBe(3);
    await indexReferrers({ metadata });
    expect((await metadata.list(index)).map(({ key }) => key)).toEqual(rows);
    expect(await evidence()).toBe(3);
    const before = await metadata.get(REFERRER_INDEX);
    await indexReferrers({ metadata });
    expect(await metadata.get(REFERRER_INDEX)).toEqual(before);
  } finally {
    await world.registry.stop();
  }
});
