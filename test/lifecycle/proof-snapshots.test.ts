import { describe, expect, test } from "vitest";
import type { HeldStatement } from "../../src/lifecycle/proof-bundle.ts";
import type { ProofFaultCode } from "../../src/lifecycle/proof-fault.ts";
import { type Proven, prove } from "../../src/lifecycle/proof.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { Story, makeKey } from "./proof-story.ts";

const OURS = makeKey();
const THEIRS = makeKey();

function proven(story: Story, held: readonly HeldStatement[], ...more: readonly string[]): Proven {
  return prove(held, { trusted: new Set([story.key.id, ...more]), now: story.now + 1000, maxAge: Infinity });
}

const codesOf = ({ faults }: Proven): ProofFaultCode[] => [...new Set(faults.map(({ code }) => code))].toSorted();

function lived(): Story {
  const story = new Story(OURS);
  for (const name of ["one", "two"]) story.push(name);
  story.move("one", "trusted");
  return story;
}

/** Everything that an export of another registry holds of the same artifact. */
function elsewhere(name = "https://elsewhere.example"): Story {
  const story = new Story(THEIRS, "models/m", name);
  story.push("one");
  story.move("one", "trusted");
  return story;
}

describe("several snapshots of one registry", () => {
  test("prove what each of them tells of, as of the earliest", () => {
    const story = lived();
    const first = story.snapshot("two");
    const { now } = story;
    story.now += 60_000;
    const proof = proven(story, [...story.held("one"), first]);
    expect(proof.faults).toEqual([]);
    expect(proof.artifacts).toEqual([story.digestOf("one"), story.digestOf("two")].toSorted());
    expect(proof.snapshot?.takenAt).toBe(now);
    expect(Object.keys(proof.snapshot?.subjects ?? {})).toHaveLength(2);
  });

  test("prove nothing when one is of a time before something that another tells of", () => {
    for (const change of [
      (story: Story) => story.move("one", "revoked"),
      (story: Story) => story.rotate(makeKey()),
      (story: Story) => void story.revokeAuthority(digestOf("key")),
    ]) {
      const story = lived();
      const before = story.snapshot("two");
      change(story);
      const trusted = story.allKeys.map(({ id }) => id);
      expect(codesOf(proven(story, [...story.held("one"), before], ...trusted))).toEqual(["snapshot-ambiguous"]);
    }
  });

  test("prove nothing when one of them does not hold", () => {
    const story = lived();
    const forged = { ...story.snapshot("two", THEIRS) };
    expect(codesOf(proven(story, [...story.held("one"), forged]))).toEqual(["forged"]);
    const expired = story.snapshot("two", OURS, -1);
    expect(codesOf(proven(story, [...story.held("one"), expired]))).toEqual(["snapshot-expired"]);
  });
});

describe("the snapshot of another registry, whose key nobody named", () => {
  test("counts for nothing, with its statements or alone", () => {
    const [story, other] = [lived(), elsewhere()];
    for (const theirs of [other.held("one"), [other.snapshot("one")]]) {
      const proof = proven(story, [...story.held("one"), ...theirs]);
      expect([proof.faults, proof.artifacts]).toEqual([[], [story.digestOf("one")]]);
    }
  });

  test("is never passed over where it has this registry's name", () => {
    const [story, other] = [lived(), elsewhere("https://registry.example")];
    expect(codesOf(proven(story, [...story.held("one"), ...other.held("one")]))).toEqual(["snapshot-ambiguous"]);
    other.push("three");
    expect(codesOf(proven(story, [...story.held("one"), ...other.held("three")]))).toEqual(["key-untrusted"]);
  });

  test("does not stand in for one of this registry", () => {
    const [story, other] = [lived(), elsewhere()];
    expect(codesOf(proven(story, other.held("one")))).toEqual(["key-untrusted"]);
  });

  test("leaves it open which registry is meant where both keys are named", () => {
    const [story, other] = [lived(), elsewhere()];
    expect(codesOf(proven(story, [...story.held("one"), ...other.held("one")], other.key.id))).toEqual(["snapshot-ambiguous"]);
  });
});
