import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { approvalPayload } from "../../src/lifecycle/approval.ts";
import type { HeldStatement } from "../../src/lifecycle/proof-bundle.ts";
import type { ProofFaultCode } from "../../src/lifecycle/proof-fault.ts";
import { type Proven, prove } from "../../src/lifecycle/proof.ts";
import type { Checker } from "../../src/lifecycle/proof-snapshot.ts";
import { statementPayload } from "../../src/lifecycle/statement.ts";
import { summaryOf } from "../../src/lifecycle/summary.ts";
import { transition } from "../../src/lifecycle/transition.ts";
import { EVENTS, type State } from "../../src/lifecycle/state.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { runs } from "../support/runs.ts";
import { START, type SigningKey, Story, bundleOf, heldBundle, makeKey } from "./proof-story.ts";

const KEYS: readonly SigningKey[] = [makeKey(), makeKey(), makeKey()];
const STRANGER = makeKey();
const DAY = 86_400_000;

const keyAt = (at: number): SigningKey => KEYS[at % KEYS.length] ?? STRANGER;

function checker(story: Story, over: Partial<Checker> = {}): Checker {
  return { trusted: new Set([story.key.id]), now: story.now + 1000, maxAge: Infinity, ...over };
}

function told({ states }: Proven): Readonly<Record<string, string>> {
  return Object.fromEntries(
    states.map(({ repository, artifact, state, sequence, permanent }) => [
      `${repository}@${artifact}`,
      `${state} ${sequence}${permanent ? " for good" : ""}`,
    ]),
  );
}

const codesOf = ({ faults }: Proven): ProofFaultCode[] => [...new Set(faults.map(({ code }) => code))].toSorted();

/** A model and what belongs to it: revoked once and made trusted again, with a key that was changed in between. */
function lived(): Story {
  const story = new Story(keyAt(0));
  story.push("model");
  story.push("part");
  story.move("model", "quarantined");
  story.move("model", "trusted");
  story.move("model", "revoked", { reason: "poisoned" });
  story.rotate(keyAt(1));
  story.move("model", "trusted");
  return story;
}

/** The layout without what a condition holds of. */
function without(held: readonly HeldStatement[], gone: HeldStatement | undefined): HeldStatement[] {
  if (gone === undefined || !held.includes(gone)) throw new Error("that is not there");
  return held.filter((each) => each !== gone);
}

describe("a proof", () => {
  test("tells every state, with its history, from statements and the key that signs now", () => {
    const story = lived();
    const proven = prove(story.held("model"), checker(story));
    expect(proven.faults).toEqual([]);
    expect(told(proven)).toEqual(story.states());
    expect(proven.artifacts).toEqual([story.digestOf("model")]);
    const model = proven.states.find(({ artifact }) => artifact === story.digestOf("model"));
    expect(model?.links.map(({ state }) => state)).toEqual(["acquired", "quarantined", "trusted", "revoked", "trusted"]);
    expect(model?.links[3]).toMatchObject({ reason: "poisoned", actor: "operator", permanent: false });
  });

  test("does not depend on the order in which statements are held, nor on copies", () => {
    const story = lived();
    const held = story.held("model");
    const copies = held.map((each) => ({ ...each, manifest: digestOf(`copy of ${each.manifest}`) }));
    expect(told(prove([...held.toReversed(), ...copies], checker(story)))).toEqual(story.states());
  });

  test("rests on the first key as well: a chain of vouching leads from it to the one that signs", () => {
    const story = lived();
    expect(prove(story.held("model"), checker(story, { trusted: new Set([keyAt(0).id]) })).faults).toEqual([]);
  });

  test("does not rest on a key that nothing leads from", () => {
    const story = lived();
    expect(codesOf(prove(story.held("model"), checker(story, { trusted: new Set([STRANGER.id]) })))).toEqual(["key-untrusted"]);
    story.rotate(keyAt(2), { lost: true });
    expect(codesOf(prove(story.held("model"), checker(story, { trusted: new Set([keyAt(0).id, keyAt(1).id]) })))).toEqual([
      "key-untrusted",
    ]);
    expect(prove(story.held("model"), checker(story)).faults).toEqual([]);
  });

  test("leaves the evidence of others alone, and statements of another registry that came with a copy", () => {
    const story = lived();
    const theirs = statementPayload({ ...story.factsFor("model", "revoked"), registry: "https://elsewhere.example" });
    const attestation = theirs.replace("attestations/lifecycle/v1", "attestations/scan/v1");
    const others = [theirs, attestation, summaryOf(theirs, story.digestOf("model"))?.payload ?? ""];
    const held = others.map((payload) => heldBundle(bundleOf(payload, STRANGER), story.digestOf("model")));
    const junk = ["", "{}", "null", "\0", '{"dsseEnvelope":{}}'].map((text) => heldBundle(Buffer.from(text), undefined));
    const approval = heldBundle(bundleOf(approvalOf(story), story.key), story.digestOf("model"));
    const proven = prove([...story.held("model"), ...held, ...junk, approval], checker(story));
    expect(proven.faults).toEqual([]);
    expect(told(proven)).toEqual(story.states());
  });
});

/** What a person says of the model, as the registry signs it. */
function approvalOf(story: Story): string {
  const { registry, repository, subject, at } = story.factsFor("model", "trusted");
  const [by, nothing] = ["reviewer", { expiresAt: null, reason: null, policies: [], withdraws: null, previous: null }];
  const said = { verdict: "approved", generation: 1, sequence: 1, actor: by, person: by, givenAt: at, ...nothing } as const;
  return approvalPayload({ registry, repository, subject, at, ...said });
}

type Attack = (story: Story, held: HeldStatement[]) => HeldStatement[];

/** A validly signed statement that the chain does not have. */
function signedByUs(story: Story, over: Parameters<Story["factsFor"]>[2], state: State = "trusted"): HeldStatement {
  return heldBundle(bundleOf(statementPayload(story.factsFor("model", state, over)), story.key), story.digestOf("model"));
}

const ATTACKS: readonly (readonly [string, ProofFaultCode, Attack])[] = [
  ["a statement in the middle is hidden", "statement-missing", (story, held) => without(held, story.linksOf("model")[2]?.held)],
  ["the last statement is hidden", "statement-missing", (story, held) => without(held, story.linksOf("model")[4]?.held)],
  ["the first statement is hidden", "statement-missing", (story, held) => without(held, story.linksOf("model")[0]?.held)],
  [
    "a whole chain is hidden",
    "chain-missing",
    (story, held) => held.filter(({ subject, form }) => subject !== story.digestOf("part") || form === "bundle"),
  ],
  [
    "the summary of a lifted revocation is hidden",
    "summary-missing",
    (story, held) => without(held, story.linksOf("model")[3]?.summary?.held),
  ],
  ["a listed summary is hidden", "summary-missing", (story, held) => without(held, story.linksOf("model")[4]?.summary?.held)],
  ["the snapshot is hidden", "snapshot-missing", (_, held) => held.slice(0, -1)],
  ["the change of a key is hidden", "key-chain-broken", (story, held) => without(held, story.keyStatements[1])],
  ["the first key is hidden", "key-chain-broken", (story, held) => without(held, story.keyStatements[0])],
  [
    "a statement is attached to something else",
    "wrong-subject",
    (story, held) => held.map((each) => (each === story.linksOf("model")[3]?.held ? { ...each, subject: story.digestOf("part") } : each)),
  ],
  [
    "a statement is taken off its artifact",
    "wrong-subject",
    (story, held) => held.map((each) => (each === story.linksOf("model")[3]?.held ? { ...each, subject: undefined } : each)),
  ],
  [
    "a summary is attached to something else",
    "wrong-subject",
    (story, held) =>
      held.map((each) => (each === story.linksOf("model")[4]?.summary?.held ? { ...each, subject: story.digestOf("part") } : each)),
  ],
  [
    "a look-alike stands beside the chain",
    "forged",
    (story, held) => [
      ...held,
      heldBundle(bundleOf(statementPayload(story.factsFor("model", "trusted")), STRANGER), story.digestOf("model")),
    ],
  ],
  [
    "a look-alike stands in the place of a statement",
    "forged",
    (story, held) => {
      const link = story.linksOf("model")[3];
      return [...without(held, link?.held), heldBundle(bundleOf(link?.payload ?? "", STRANGER), story.digestOf("model"))];
    },
  ],
  [
    "a look-alike calls its key by the name of ours",
    "forged",
    (story, held) => {
      const payload = statementPayload(story.factsFor("model", "trusted"));
      return [...held, heldBundle(bundleOf(payload, { ...STRANGER, id: story.key.id }), story.digestOf("model"))];
    },
  ],
  [
    "a statement is there without its signature",
    "forged",
    (story, held) => {
      const link = story.linksOf("model")[3];
      const payload = Buffer.from(link?.payload ?? "");
      return [...without(held, link?.held), heldBundle(payload, story.digestOf("model"), "payload")];
    },
  ],
  ["a look-alike of a snapshot takes its place", "forged", (story, held) => [...held.slice(0, -1), story.snapshot("model", STRANGER)]],
  [
    "a snapshot that an old key signed takes its place",
    "forged",
    (story, held) => [...held.slice(0, -1), story.snapshot("model", keyAt(0))],
  ],
  [
    "a summary that we never made says PASSED",
    "forged",
    (story, held) => {
      const payload = summaryOf(statementPayload(story.factsFor("model", "trusted")), story.digestOf("model"))?.payload ?? "";
      return [...held, heldBundle(bundleOf(payload, STRANGER), story.digestOf("model"))];
    },
  ],
  ["a key that was never ours says that it is", "forged", (_, held) => [...held, ...new Story(STRANGER).keyStatements]],
  [
    "an approval that nobody gave stands beside the chain",
    "forged",
    (story, held) => [...held, heldBundle(bundleOf(approvalOf(story), STRANGER), story.digestOf("model"))],
  ],
  [
    "an approval is attached to something else",
    "wrong-subject",
    (story, held) => [...held, heldBundle(bundleOf(approvalOf(story), story.key), story.digestOf("part"))],
  ],
  ["two statements claim one place", "chain-forked", (story, held) => [...held, signedByUs(story, { sequence: 3, reason: "another" })]],
  ["a statement is newer than the snapshot", "statement-unexpected", (story, held) => [...held, signedByUs(story, {}, "revoked")]],
  [
    "an older snapshot stands beside the newer one",
    "snapshot-ambiguous",
    (story, held) => {
      story.now -= DAY;
      const older = story.snapshot("model");
      story.now += DAY;
      return [...held, older];
    },
  ],
];

describe("a proof is refused when", () => {
  test.each(ATTACKS)("%s: %s", (_, code, attack) => {
    const story = lived();
    const proven = prove(attack(story, story.held("model")), checker(story));
    expect(codesOf(proven)).toEqual([code]);
    expect(proven.states).toEqual([]);
  });

  test("the snapshot is older than what it tells of, though everything newer is gone", () => {
    const story = lived();
    const before = story.held("model");
    story.move("model", "revoked", { reason: "poisoned again" });
    const after = story.held("model");
    // Of itself it cannot be told from a layout of that time: its age is what tells.
    expect(prove(before, checker(story)).faults).toEqual([]);
    expect(codesOf(prove([...after.slice(0, -1), ...before.slice(-1)], checker(story)))).toEqual(["statement-unexpected"]);
    expect(codesOf(prove([...before.slice(0, -1), ...after.slice(-1)], checker(story)))).toContain("statement-missing");
  });

  test("the snapshot is too old, expired, or from later than now", () => {
    const story = lived();
    const held = story.held("model");
    const at = (now: number, maxAge = Infinity): ProofFaultCode[] => codesOf(prove(held, checker(story, { now, maxAge })));
    expect(at(story.now + 30 * DAY)).toEqual([]);
    expect(at(story.now + 30 * DAY + 1000)).toEqual(["snapshot-expired"]);
    expect(at(story.now + DAY, DAY)).toEqual([]);
    expect(at(story.now + DAY + 1000, DAY)).toEqual(["snapshot-too-old"]);
    expect(at(story.now - 200_000)).toEqual([]);
    expect(at(START - DAY)).toEqual(["snapshot-from-future"]);
  });

  test("a statement is signed with a key that signed at another time", () => {
    const story = lived();
    const link = story.linksOf("model")[3];
    const byTheNew = heldBundle(bundleOf(link?.payload ?? "", keyAt(1)), story.digestOf("model"));
    expect(codesOf(prove([...without(story.held("model"), link?.held), byTheNew], checker(story)))).toEqual(["key-out-of-range"]);
  });

  test("the summary of a revocation that stands is held where no client finds it", () => {
    const story = lived();
    story.move("model", "revoked", { reason: "again" });
    const summary = story.linksOf("model")[5]?.summary?.held;
    const held = story.held("model").map((each) => (each === summary ? { ...each, subject: undefined } : each));
    expect(codesOf(prove(held, checker(story)))).toEqual(["summary-hidden"]);
  });

  test("the registry itself made something trusted again that it had revoked for good: it stays revoked", () => {
    const story = lived();
    story.move("model", "revoked", { permanent: true });
    expect(told(prove(story.held("model"), checker(story)))).toEqual(story.states());
    story.move("model", "deleted");
    story.push("model");
    expect(prove(story.held("model"), checker(story)).faults).toEqual([]);
    story.move("model", "trusted");
    const proven = prove(story.held("model"), checker(story));
    expect(codesOf(proven)).toEqual(["trusted-after-permanent-revocation"]);
    expect(told(proven)).toEqual({ [`models/m@${story.digestOf("model")}`]: "revoked 9 for good" });
  });

  test.each([
    ["in this repository", {}],
    ["everywhere, from another one", { repository: "models/other", everywhere: true }],
  ])("a permanent revocation %s is there and in no chain: it holds by being there", (_, over) => {
    const story = lived();
    const proven = prove([...story.held("model"), signedByUs(story, { permanent: true, ...over }, "revoked")], checker(story));
    expect(codesOf(proven)).toEqual(["statement-unexpected"]);
    expect(told(proven)).toEqual({ [`models/m@${story.digestOf("model")}`]: "revoked 5 for good" });
  });
});

/** What happens in a story: an event to one of two artifacts, or a change of keys. */
const acts = fc.array(
  fc.oneof(
    {
      weight: 9,
      arbitrary: fc.record({ to: fc.constantFrom("model", "part"), event: fc.constantFrom(...EVENTS), permanent: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.constant("rotate" as const) },
  ),
  { maxLength: 14 },
);

/** Tells a story by the table of transitions; whoever asks may reinstate. */
function storyOf(history: readonly (typeof acts extends fc.Arbitrary<readonly (infer T)[]> ? T : never)[]): Story {
  const story = new Story(keyAt(0));
  for (const name of ["model", "part"]) story.push(name);
  for (const act of history) {
    if (act === "rotate") {
      story.rotate(keyAt(story.allKeys.length));
      continue;
    }
    const { to, event, permanent } = act;
    const links = story.linksOf(to);
    const state = links.at(-1)?.state;
    const isBarred = links.some((link) => link.permanent);
    const decided = transition(state, event, {
      revocation: isBarred ? { permanent: true } : null,
      mayReinstate: true,
      servedByRoot: false,
    });
    if (decided.kind !== "move") continue;
    if (decided.to === "acquired") story.push(to);
    else story.move(to, decided.to, decided.to === "revoked" ? { permanent: permanent || isBarred } : {});
  }
  return story;
}

function changed(
  story: Story,
  held: HeldStatement,
  change: { kind: "byte"; byte: number; by: number } | { kind: "subject"; to: string | undefined } | { kind: "form" } | { kind: "signer" },
): HeldStatement {
  if (change.kind === "subject") return { ...held, subject: change.to === undefined ? undefined : story.digestOf(change.to) };
  if (change.kind === "form") return { ...held, form: held.form === "bundle" ? "payload" : "bundle" };
  if (change.kind === "signer") return { ...held, bytes: signedByStranger(held.bytes) };
  const bytes = Uint8Array.from(held.bytes);
  const at = change.byte % bytes.length;
  bytes[at] = (bytes[at] ?? 0) ^ change.by;
  return { ...held, bytes };
}

/** The same statement under another signature, where there is one. */
function signedByStranger(bytes: Uint8Array): Uint8Array {
  const [, payload] = /"payload":"([^"]*)"/.exec(Buffer.from(bytes).toString("latin1")) ?? [];
  return payload === undefined ? bytes : bundleOf(Buffer.from(payload, "base64").toString("utf8"), STRANGER);
}

describe("of any history", () => {
  test("the states are told as they are", () => {
    fc.assert(
      fc.property(acts, (history) => {
        const story = storyOf(history);
        const proven = prove(story.held("model"), checker(story));
        expect(proven.faults).toEqual([]);
        expect(told(proven)).toEqual(story.states());
      }),
      { numRuns: runs(60) },
    );
  });

  test("nothing can be left out", () => {
    fc.assert(
      fc.property(acts, fc.nat(), (history, at) => {
        const story = storyOf(history);
        const held = story.held("model");
        const gone = held[at % held.length];
        expect(prove(without(held, gone), checker(story)).faults).not.toEqual([]);
      }),
      { numRuns: runs(100) },
    );
  });

  test("no byte can be changed to another state, nor can statements be attached elsewhere or mixed with those of another time", () => {
    const change = fc.oneof(
      fc.record({ kind: fc.constant("byte" as const), at: fc.nat(), byte: fc.nat(), by: fc.integer({ min: 1, max: 255 }) }),
      fc.record({ kind: fc.constant("subject" as const), at: fc.nat(), to: fc.constantFrom("model", "part", undefined) }),
      fc.record({ kind: fc.constant("form" as const), at: fc.nat() }),
      fc.record({ kind: fc.constant("signer" as const), at: fc.nat() }),
      fc.record({ kind: fc.constant("earlier" as const), acts: fc.nat() }),
    );
    fc.assert(
      fc.property(acts, fc.array(change, { minLength: 1, maxLength: 3 }), (history, changes) => {
        const story = storyOf(history);
        let held = story.held("model");
        for (const each of changes) {
          if (each.kind === "earlier")
            held = [
              ...held.slice(0, -1),
              ...storyOf(history.slice(0, each.acts % (history.length + 1)))
                .held("model")
                .slice(-1),
            ];
          else held = held.map((one, n) => (n === each.at % held.length ? changed(story, one, each) : one));
        }
        const proven = prove(held, checker(story));
        // With an earlier snapshot, and all that is newer gone, it is a layout of that time: its age is what tells.
        const times = proven.faults.length === 0 ? Array.from({ length: history.length + 1 }, (_, n) => history.slice(0, n)) : [];
        const had = proven.faults.length === 0 ? times.map((acted) => storyOf(acted).states()) : [told(proven)];
        expect(had).toContainEqual(told(proven));
        for (const { artifact, state, permanent } of proven.faults.length === 0 ? [] : proven.states) {
          expect([state, permanent, story.states()[`models/m@${artifact}`]?.endsWith("for good")]).toEqual(["revoked", true, true]);
        }
      }),
      { numRuns: runs(300) },
    );
  });
});

test("whatever bytes are held, nothing is proven and nothing breaks", () => {
  const story = lived();
  const junk = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.json().map((text) => new TextEncoder().encode(text)),
  );
  fc.assert(
    fc.property(fc.array(junk, { maxLength: 5 }), (pieces) => {
      const proven = prove(
        pieces.map((bytes) => heldBundle(bytes, undefined)),
        checker(story),
      );
      expect([codesOf(proven), proven.states]).toEqual([["snapshot-missing"], []]);
    }),
    { numRuns: runs(100) },
  );
});
