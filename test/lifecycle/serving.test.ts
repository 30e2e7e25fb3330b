import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BlobFacts, type Facts, type ManifestFacts, type Reach, type Reader, serve } from "../../src/lifecycle/serving.ts";
import { STATES } from "../../src/lifecycle/state.ts";

const READERS = {
  stranger: { pull: false, pullAny: false, forensic: false },
  puller: { pull: true, pullAny: false, forensic: false },
  publisher: { pull: true, pullAny: true, forensic: false },
  reviewer: { pull: true, pullAny: true, forensic: true },
} as const satisfies Record<string, Reader>;

const NONE: Reach = { by: "none" };
const TRUSTED: Reach = { by: "trusted" };
const REVOKED: Reach = { by: "revoked", reason: "its root was revoked" };

function manifest(facts: Partial<ManifestFacts>): ManifestFacts {
  return { kind: "manifest", state: "acquired", onceTrusted: false, revokedBecause: undefined, statement: false, reach: NONE, ...facts };
}

function blob(facts: Partial<BlobFacts>): BlobFacts {
  return { kind: "blob", damaged: false, namedBy: { by: "none" }, reach: NONE, ...facts };
}

const effects = (facts: Facts | undefined): string[] => Object.values(READERS).map((reader) => serve(reader, facts).effect);

// Rows of protocol.md §3: stranger, puller (`pull`), publisher (`pull:any`), reviewer (`pull:any` and forensic).
describe("serve() answers for a manifest", () => {
  test.each([
    ["never pushed", undefined, ["absent", "absent", "absent", "absent"]],
    ["acquired", manifest({}), ["absent", "absent", "allow", "allow"]],
    ["quarantined", manifest({ state: "quarantined" }), ["absent", "absent", "allow", "allow"]],
    ["trusted", manifest({ state: "trusted", onceTrusted: true, reach: TRUSTED }), ["absent", "allow", "allow", "allow"]],
    ["a child of a trusted root", manifest({ reach: TRUSTED }), ["absent", "allow", "allow", "allow"]],
    [
      "revoked, once trusted",
      manifest({ state: "revoked", onceTrusted: true, revokedBecause: "bad" }),
      ["absent", "denied", "denied", "allow"],
    ],
    ["revoked, never trusted", manifest({ state: "revoked", revokedBecause: "bad" }), ["absent", "absent", "denied", "allow"]],
    [
      "a revoked child of a trusted root",
      manifest({ state: "revoked", revokedBecause: "bad", reach: TRUSTED }),
      ["absent", "denied", "denied", "allow"],
    ],
    [
      "revoked everywhere while trusted here",
      manifest({ state: "trusted", onceTrusted: true, revokedBecause: "bad", reach: REVOKED }),
      ["absent", "denied", "denied", "allow"],
    ],
    ["acquired, reached by revoked roots only", manifest({ reach: REVOKED }), ["absent", "denied", "denied", "allow"]],
    ["deleted", manifest({ state: "deleted", onceTrusted: true }), ["absent", "absent", "absent", "absent"]],
    ["a statement about what is trusted", manifest({ statement: true, reach: TRUSTED }), ["absent", "allow", "allow", "allow"]],
    ["a statement about what never was trusted", manifest({ statement: true }), ["absent", "absent", "allow", "allow"]],
  ] as const)("%s", (_, facts, expected) => {
    expect(effects(facts)).toEqual(expected);
  });
});

describe("serve() answers for a blob", () => {
  test.each([
    ["of no manifest", blob({}), ["absent", "absent", "allow", "allow"]],
    ["of an untrusted manifest", blob({ namedBy: { by: "visible" } }), ["absent", "absent", "allow", "allow"]],
    ["of a trusted manifest", blob({ reach: TRUSTED }), ["absent", "allow", "allow", "allow"]],
    [
      "of a revoked manifest that was trusted",
      blob({ reach: REVOKED, namedBy: { by: "revoked", reason: "bad" } }),
      ["absent", "denied", "denied", "allow"],
    ],
    [
      "of a revoked manifest that never was trusted",
      blob({ namedBy: { by: "revoked", reason: "bad" } }),
      ["absent", "absent", "denied", "allow"],
    ],
    [
      "of a revoked root and of an acquired manifest",
      blob({ reach: REVOKED, namedBy: { by: "visible" } }),
      ["absent", "denied", "allow", "allow"],
    ],
    ["trusted but damaged", blob({ reach: TRUSTED, damaged: true }), ["absent", "denied", "denied", "denied"]],
    ["untrusted and damaged", blob({ damaged: true }), ["absent", "absent", "denied", "denied"]],
  ] as const)("%s", (_, facts, expected) => {
    expect(effects(facts)).toEqual(expected);
  });
});

const reach = fc.constantFrom(NONE, TRUSTED, REVOKED);
const anyFacts: fc.Arbitrary<Facts> = fc.oneof(
  fc.record({
    kind: fc.constant("manifest" as const),
    state: fc.constantFrom(...STATES),
    onceTrusted: fc.boolean(),
    revokedBecause: fc.constantFrom(undefined, "bad"),
    statement: fc.boolean(),
    reach,
  }),
  fc.record({
    kind: fc.constant("blob" as const),
    damaged: fc.boolean(),
    namedBy: fc.constantFrom({ by: "none" as const }, { by: "visible" as const }, { by: "revoked" as const, reason: "bad" }),
    reach,
  }),
);

describe("serve() holds for all facts:", () => {
  test("a puller is allowed only what a trusted root reaches or is trusted itself", () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const trusted = facts.reach.by === "trusted" || (facts.kind === "manifest" && facts.state === "trusted");
        return serve(READERS.puller, facts).effect !== "allow" || trusted;
      }),
    );
  });
  test("revoked beats everything for whoever is not forensic", () => {
    fc.assert(
      fc.property(anyFacts, fc.constantFrom(READERS.stranger, READERS.puller, READERS.publisher), (facts, reader) => {
        return facts.kind === "blob" || facts.revokedBecause === undefined || serve(reader, facts).effect !== "allow";
      }),
    );
  });
  test("who may not pull at all sees nothing", () => {
    fc.assert(fc.property(anyFacts, (facts) => serve(READERS.stranger, facts).effect === "absent"));
  });
  test("more rights never hide anything", () => {
    const order = { absent: 0, denied: 1, allow: 2 } as const;
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const seen = Object.values(READERS).map((reader) => order[serve(reader, facts).effect]);
        return seen.every((effect, at) => at === 0 || effect >= (seen[at - 1] ?? 0));
      }),
    );
  });
  test("what was never trusted is absent for a puller, never denied", () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const known = facts.reach.by !== "none" || (facts.kind === "manifest" && (facts.onceTrusted || facts.state === "trusted"));
        return known || serve(READERS.puller, facts).effect === "absent";
      }),
    );
  });
});
