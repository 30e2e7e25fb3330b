import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { expectedOf, named, outcomeOf } from "./outcome.ts";
import { VERIFICATION_ROWS } from "./rows-verification.ts";
import { EvidenceWorld } from "./world.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: EvidenceWorld;
beforeAll(async () => {
  world = await EvidenceWorld.start();
});
afterAll(() => world.stop());

test.each(named(VERIFICATION_ROWS))("%s", async (_, row) => {
  expect(await outcomeOf(world, row)).toEqual(expectedOf(row));
});
