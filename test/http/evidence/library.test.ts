import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { expectedOf, named, outcomeOf } from "./outcome.ts";
import { CERTIFICATE_ROWS } from "./rows-certificates.ts";
import { FORM_ROWS } from "./rows-forms.ts";
import { PROOF_ROWS } from "./rows-proofs.ts";
import { STATEMENT_ROWS } from "./rows-statements.ts";
import { EvidenceWorld } from "./world.ts";

// What the Sigstore library leaves to its callers, by the numbers of the list in trust.md §2.3.

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: EvidenceWorld;
beforeAll(async () => {
  world = await EvidenceWorld.start();
});
afterAll(() => world.stop());

describe.each([
  ["statements", STATEMENT_ROWS],
  ["certificates", CERTIFICATE_ROWS],
  ["proofs", PROOF_ROWS],
  ["forms", FORM_ROWS],
])("%s", (_, rows) => {
  test.each(named(rows))("%s", async (__, row) => {
    expect(await outcomeOf(world, row)).toEqual(expectedOf(row));
  });
});
