import { describe, expect, test } from "vitest";
import type { HeldStatement } from "../../src/lifecycle/proof-bundle.ts";
import type { ProofFaultCode } from "../../src/lifecycle/proof-fault.ts";
import { type Proven, prove } from "../../src/lifecycle/proof.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { Story, bundleOf, heldBundle, makeKey } from "./proof-story.ts";

const OURS = makeKey();
const LATER = makeKey();
const STRANGER = makeKey();
const KEY = digestOf("a publisher's key");

/** A model that is trusted, and a publisher who is believed no more. */
function told(): { readonly story: Story; readonly statement: ReturnType<Story["revokeAuthority"]> } {
  const story = new Story(OURS);
  story.push("model");
  story.move("model", "trusted");
  story.registryStatement("policy", { inForce: true, version: 1 });
  const statement = story.revokeAuthority(KEY, "2026-01-01T00:00:00Z");
  return { story, statement };
}

function proven(story: Story, held: readonly HeldStatement[]): Proven {
  return prove(held, { trusted: new Set([story.key.id]), now: story.now + 1000, maxAge: Infinity });
}

const codesOf = ({ faults }: Proven): ProofFaultCode[] => [...new Set(faults.map(({ code }) => code))].toSorted();

describe("publishers who are believed no more", () => {
  test("are told by a proof, with the statement that says so", () => {
    const { story, statement } = told();
    const proof = proven(story, story.held("model"));
    expect(proof.faults).toEqual([]);
    expect(proof.authorities).toMatchObject([
      { statement, authority: { type: "key", fingerprint: KEY }, from: Date.parse("2026-01-01T00:00:00Z"), reason: "stolen" },
    ]);
  });

  test("are proven by a key that signed then, also after another one has taken its place", () => {
    const { story } = told();
    story.rotate(LATER);
    expect(proven(story, story.held("model")).faults).toEqual([]);
  });

  test("cannot be hidden", () => {
    const { story, statement } = told();
    const held = story.held("model").filter((each) => each !== story.revocations.get(statement));
    expect(codesOf(proven(story, held))).toEqual(["authority-missing"]);
  });

  test("are believed by the registry's own signature alone", () => {
    const { story, statement } = told();
    const { payload } = payloadOf(story.revocations.get(statement));
    story.revocations.set(statement, heldBundle(bundleOf(payload, STRANGER), undefined));
    expect(codesOf(proven(story, story.held("model")))).toEqual(["forged"]);
  });

  test("are not believed when the key that signed it did not sign then", () => {
    const { story, statement } = told();
    const { payload } = payloadOf(story.revocations.get(statement));
    story.rotate(LATER);
    story.revocations.set(statement, heldBundle(bundleOf(payload, LATER), undefined));
    expect(codesOf(proven(story, story.held("model")))).toEqual(["key-out-of-range"]);
  });

  test("are none whom the registry revoked after the snapshot, or believes again: that is of another time", () => {
    const { story, statement } = told();
    const revocation = story.revocations.get(statement);
    story.revocations.delete(statement);
    expect(codesOf(proven(story, [...story.held("model"), ...(revocation === undefined ? [] : [revocation])]))).toEqual([
      "statement-unexpected",
    ]);
  });

  test("are none that a statement of the registry says something else of", () => {
    const { story } = told();
    const payload = story.registryStatement("authority-revoked", { state: "lifted", authority: {}, lifts: KEY });
    story.revocations.set(digestOf(payload), heldBundle(bundleOf(payload, OURS), undefined));
    expect(codesOf(proven(story, story.held("model")))).toEqual(["chain-broken"]);
  });

  test("are not told of by the statements of another registry", () => {
    const { story } = told();
    const theirs = story.registryStatement("policy", {}).replace("https://registry.example", "https://elsewhere.example");
    const held = [...story.held("model"), heldBundle(bundleOf(theirs, STRANGER), story.digestOf("model"))];
    expect(proven(story, held).faults).toEqual([]);
  });
});

function payloadOf(held: HeldStatement | undefined): { readonly payload: string } {
  const [, payload] = /"payload":"([^"]*)"/.exec(Buffer.from(held?.bytes ?? []).toString("latin1")) ?? [];
  return { payload: Buffer.from(payload ?? "", "base64").toString("utf8") };
}
