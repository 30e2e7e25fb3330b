import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ModelChainError, provenChain } from "../../src/audit/model-chain.ts";
import type { ModelEvent } from "../../src/audit/model-event.ts";
import { chainOf, linked, promoted, recordOf, recordsIn } from "../support/model-chains.ts";

const A = recordOf("a");
const B = recordOf("b");
const OTHER = "2".repeat(64);

function fault(events: readonly unknown[], models?: readonly unknown[]): string {
  try {
    provenChain(events, models ?? recordsIn(events as ModelEvent[]));
    return "";
  } catch (error) {
    if (error instanceof ModelChainError) return error.message;
    throw error;
  }
}

const steps = (events: readonly ModelEvent[], name = "a"): unknown =>
  provenChain(events, recordsIn(events))
    .histories.get(name)
    ?.steps.map(({ event }) => event);

describe("a chain that holds", () => {
  test("tells what each name has been through, and when", () => {
    const events = chainOf(A, B, { ...A, state: "quarantined" }, promoted(A), { ...promoted(A), state: "revoked" });
    const { histories } = provenChain(events, recordsIn(events));
    expect([...histories.keys()]).toEqual(["a", "b"]);
    const promotedAt = Date.parse("2026-11-22T22:42:02Z");
    expect(histories.get("a")).toEqual({
      record: { ...promoted(A), state: "revoked" },
      acquiredAt: promotedAt,
      steps: [
        { event: "quarantine", at: Date.parse("2026-11-23T00:00:02.5Z") },
        { event: "promote", at: promotedAt },
        { event: "revoke", at: Date.parse("2026-11-23T00:00:04.5Z") },
      ],
    });
  });

  test("has lifted a revocation when it promotes again", () => {
    const revoked = { ...promoted(A), state: "revoked" } as const;
    expect(steps(chainOf(promoted(A), revoked, promoted(A)))).toEqual(["promote"]);
    expect(steps(chainOf(promoted(A), revoked, promoted(A), revoked))).toEqual(["promote", "revoke"]);
  });

  test("keeps a revocation that a deletion came after", () => {
    const revoked = { ...A, state: "revoked" } as const;
    expect(steps(chainOf(A, revoked, { ...A, state: "deleted" }))).toEqual(["revoke", "delete"]);
  });

  test("begins a name anew with another digest", () => {
    const other = promoted({ ...A, sha256: OTHER });
    expect(steps(chainOf(A, { ...A, state: "revoked" }, other))).toEqual(["promote"]);
  });

  test("may begin with what was there before it", () => {
    expect(
      steps(chainOf({ ...promoted(A), action: "bootstrap" }, { ...B, action: "bootstrap" }, { ...promoted(A), state: "revoked" })),
    ).toEqual(["promote", "revoke"]);
  });
});

describe("a chain that does not hold", () => {
  const good = chainOf(A, B, { ...A, state: "quarantined" });
  const [first, second, third] = good as [ModelEvent, ModelEvent, ModelEvent];

  test.each([
    ["a link that is missing", [first, third], "audit chain break at event 2"],
    ["a link that comes twice", [first, first], "audit chain break at event 2"],
    ["links in another order", [second, first, third], "audit chain break at event 1"],
    ["a hash that is another's", [first, { ...second, hash: first.hash }], "audit chain break at event 2"],
    [
      "a record that was changed",
      [first, { ...second, artifact: { ...second.artifact, source: "elsewhere" } }],
      "audit chain break at event 2",
    ],
    ["a first link that names another one", [{ ...first, prev_hash: second.hash }], "audit chain break at event 1"],
    ["a link of no such form", [first, { ...second, actor: "me" }], 'invalid audit event 2: unknown key "actor"'],
    ["something else than a link", [first, 7], /^invalid audit event 2: /],
  ])("for %s", (_, events, message) => {
    expect(fault(events, [A, B])).toMatch(message);
  });

  const relinked = (change: Partial<ModelEvent>): string => fault([first, linked(first, { ...second, ...change })]);
  test.each([
    ["another name than its record's", { name: "c" }, /about its own record/],
    ["another digest than its record's", { sha256: OTHER }, /about its own record/],
    ["another state than its record's", { to_state: "trusted" }, /about its own record/],
    ["a state before that was not", { from_state: "quarantined" }, /does not begin in the state/],
    ["an action that leads elsewhere", { action: "revoke" }, /does not end in the state revoked/],
    ["a beginning after the beginning", { action: "bootstrap" }, /a bootstrap comes first/],
  ] as const)("for %s, however well hashed", (_, change, words) => {
    expect(relinked(change)).toMatch(words);
    expect(relinked(change)).toMatch(/^invalid audit event 2: /);
  });

  test.each([
    ["is acquired twice", [A, A], /acquire does not follow the state acquired/],
    [
      "is quarantined while trusted",
      [promoted(A), { ...promoted(A), state: "quarantined" }],
      /quarantine does not follow the state trusted/,
    ],
    [
      "is revoked when it is deleted",
      [A, { ...A, state: "deleted" }, { ...A, state: "revoked" }],
      /revoke does not follow the state deleted/,
    ],
    ["is revoked before it is there", [{ ...A, state: "revoked" }], /revoke does not follow the state of a new name/],
    ["is promoted without a copy of its own", [{ ...A, state: "trusted" }], /has an object_path/],
    ["changes more than its state", [A, { ...A, state: "quarantined", filename: "b.gguf" }], /more than the state/],
    ["changes its digest unpromoted", [A, { ...A, state: "quarantined", sha256: OTHER }], /more than the state/],
  ] as const)("for a name that %s", (_, records, words) => {
    expect(fault(chainOf(...records))).toMatch(words);
  });

  const unlike = "manifest models do not exactly match full audit replay";
  test.each([
    ["lack one", [A]],
    ["have one more", [{ ...A, state: "quarantined" }, B, recordOf("c")]],
    ["stand in another order", [B, { ...A, state: "quarantined" }]],
    ["are in another state", [{ ...A, state: "trusted" }, B]],
    ["are no records", [1, 2]],
  ])("for records that %s", (_, models) => {
    expect(fault(good, models)).toBe(unlike);
  });
});

test("no chain of which a byte was changed holds", () => {
  const events = chainOf(A, promoted(B), { ...A, state: "quarantined" }, promoted(A));
  const text = JSON.stringify(events);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom("0", "a", "1", "z", "9", "e", " "), (at, byte) => {
      fc.pre(text[at] !== byte);
      const changed = `${text.slice(0, at)}${byte}${text.slice(at + 1)}`;
      let links: unknown;
      try {
        links = JSON.parse(changed);
      } catch {
        return;
      }
      fc.pre(JSON.stringify(links) !== text);
      expect(fault(links as unknown[], recordsIn(events))).not.toBe("");
    }),
    { numRuns: 1000 },
  );
});
