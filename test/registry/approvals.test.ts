import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RegistryError } from "../../src/oci/errors.ts";
import { approvalsOf } from "../../src/registry/approvals.ts";
import { approve, withdrawApproval } from "../../src/registry/approve.ts";
import { putPolicy } from "../../src/registry/policies.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { runs } from "../support/runs.ts";
import { Transitions, digestIn, imageOf, indexOf } from "../support/transitions.ts";

const AT = repository("models/m");
const ONE = imageOf(["one"]);
const operator = callerWith(["operator@*"], { name: "operator" });
const publisher = callerWith(["publisher@models"], { name: "publisher" });
/** Reviewers who may push as well, two of them one person. */
const PEOPLE = { ann: "ann", "ann-bot": "ann", bob: "bob", cas: "cas" } as const;
type Name = keyof typeof PEOPLE;
const NAMES = Object.keys(PEOPLE) as Name[];
const reviewer = (name: Name): Caller => callerWith(["reviewer@models", "maintainer@models"], { name, countsAs: PEOPLE[name] });

const AGE = 1_000;
const POLICY = JSON.stringify({
  apiVersion: "trust.ai-model-registry.dev/v1",
  kind: "TrustPolicy",
  metadata: { name: "people" },
  spec: {
    match: { repositories: ["models/*"] },
    require: [{ name: "people", evidence: { kind: "approvals", minimum: 2, maxAgeSeconds: AGE } }],
  },
});

/** A registry whose clock stands until it is moved, with an artifact and a policy that asks for two approvals. */
class Reviewed implements AsyncDisposable {
  readonly #own: Transitions;
  readonly at: Transitions;
  now = Date.parse("2026-03-01T00:00:00.000Z");

  private constructor(own: Transitions) {
    this.#own = own;
    this.at = own.through({ ...own.services, clock: () => this.now });
  }

  static async start(): Promise<Reviewed> {
    const reviewed = new Reviewed(await Transitions.start());
    const { at } = reviewed;
    await putPolicy(at.services, operator, "people", { bytes: Buffer.from(POLICY), notation: "json" });
    for (const blob of ["{}", "one"]) await at.blob(publisher, AT, blob);
    await at.manifest(publisher, AT, ONE);
    return reviewed;
  }

  async approve(caller: Caller, artifact: object = ONE): Promise<void> {
    await approve(this.at.services, caller, await this.at.find(caller, AT, digestIn(artifact)), null);
  }

  async withdraw(caller: Caller): Promise<void> {
    await withdrawApproval(this.at.services, caller, await this.at.find(caller, AT, digestIn(ONE)), null);
  }

  async persons(): Promise<readonly string[]> {
    const { record } = await this.at.find(operator, AT, digestIn(ONE));
    return (await approvalsOf(this.at.services, AT, record, this.now)).map(({ person }) => person);
  }

  faults(): Promise<string[]> {
    return faultsOf(this.at.services.metadata, AT, this.at.directory);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#own[Symbol.asyncDispose]();
  }
}

/** What an act comes to: done, or refused with a code. */
async function outcomeOf(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
    return "done";
  } catch (error) {
    if (error instanceof RegistryError) return error.code;
    throw error;
  }
}

describe("the duties of identity.md 6.5", () => {
  test("let nobody approve what it pushed, or a child of it, in its own name or another", async () => {
    await using reviewed = await Reviewed.start();
    const { at } = reviewed;
    const index = indexOf([ONE], { annotations: { of: "ann" } });
    await at.manifest(publisher, AT, index);
    expect(await outcomeOf(() => reviewed.approve(reviewer("ann"), index))).toBe("done");
    // Pushing the same child again makes her one of its uploaders.
    await at.manifest(reviewer("ann-bot"), AT, ONE);
    for (const who of [reviewer("ann"), reviewer("ann-bot")]) {
      for (const artifact of [ONE, index]) expect(await outcomeOf(() => reviewed.approve(who, artifact))).toBe("DENIED");
    }
    // What she approved before counts no more.
    await reviewed.approve(reviewer("bob"), index);
    expect(await outcomeOf(() => at.promote(operator, AT, digestIn(index)))).toBe("REFUSED");
    await reviewed.approve(reviewer("cas"), index);
    expect(await outcomeOf(() => at.promote(operator, AT, digestIn(index)))).toBe("done");
  });

  test("let nobody promote by way of an index what it pushed as a child", async () => {
    await using reviewed = await Reviewed.start();
    const { at } = reviewed;
    const bob = callerWith(["reviewer@models"], { name: "bob" });
    const index = indexOf([ONE]);
    await at.manifest(publisher, AT, index);
    await at.manifest(callerWith(["publisher@models"], { name: "bob-ci", countsAs: "bob" }), AT, ONE);
    expect(await outcomeOf(() => at.promote(bob, AT, digestIn(index)))).toBe("DENIED");
    expect(await outcomeOf(() => at.promote(bob, AT, digestIn(ONE)))).toBe("DENIED");
  });
});

test("a policy that comes to ask for younger approvals lets a person approve anew", async () => {
  await using reviewed = await Reviewed.start();
  const { at } = reviewed;
  await reviewed.approve(reviewer("ann"));
  reviewed.now += 10_000;
  const younger = POLICY.replace(`"maxAgeSeconds":${AGE}`, '"maxAgeSeconds":5');
  await putPolicy(at.services, operator, "people", { bytes: Buffer.from(younger), notation: "json" });
  await reviewed.approve(reviewer("ann"));
  await reviewed.approve(reviewer("bob"));
  expect(await outcomeOf(() => at.promote(operator, AT, digestIn(ONE)))).toBe("done");
  expect(await reviewed.faults()).toEqual([]);
});

test("approvals, withdrawals and a revocation at once leave every row whole", async () => {
  await using reviewed = await Reviewed.start();
  const { at } = reviewed;
  await Promise.all(NAMES.map((name) => reviewed.approve(reviewer(name))));
  expect(await reviewed.persons()).toEqual(["ann", "bob", "cas"]);
  await at.promote(operator, AT, digestIn(ONE));
  // The revocation ends approvals: whoever comes after it has none to withdraw.
  const withdrawn = (name: Name): Promise<unknown> => reviewed.withdraw(reviewer(name)).catch((error: unknown) => error);
  const [bob, cas] = await Promise.all([
    withdrawn("bob"),
    withdrawn("cas"),
    at.revoke(operator, AT, digestIn(ONE)),
    reviewed.approve(reviewer("cas")),
  ]);
  for (const error of [bob, cas].filter((outcome) => outcome instanceof Error)) expect(error).toMatchObject({ code: "CONFLICT" });
  expect(await reviewed.faults()).toEqual([]);
});

type Act =
  | { readonly kind: "approve" | "withdraw" | "push"; readonly who: Name }
  | { readonly kind: "promote" | "revoke" | "delete" }
  | { readonly kind: "wait"; readonly seconds: number };

const anAct: fc.Arbitrary<Act> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("approve" as const), who: fc.constantFrom(...NAMES) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("withdraw" as const), who: fc.constantFrom(...NAMES) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("push" as const), who: fc.constantFrom(...NAMES) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("promote" as const, "revoke" as const, "delete" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), seconds: fc.constantFrom(1, AGE - 1, AGE) }) },
);

/** What approvals are by the rules: who approved when, who put the artifact, and what ended approvals. */
class Model {
  now = 0;
  state = "acquired";
  #revokedAt: number | undefined;
  readonly #given = new Map<string, { at: number; times: number; withdrawn: boolean }>();
  readonly #uploaders = new Set(["publisher"]);

  standing(): readonly string[] {
    return [...this.#given].filter(([, given]) => this.#counts(given)).map(([person]) => person);
  }

  #counts({ at, withdrawn }: { at: number; withdrawn: boolean }): boolean {
    return !withdrawn && this.now < at + AGE && (this.#revokedAt === undefined || at > this.#revokedAt);
  }

  approve(person: string): string {
    if (this.state === "deleted") return "CONFLICT";
    if (this.#uploaders.has(person)) return "DENIED";
    const own = this.#given.get(person);
    if (own !== undefined && this.#counts(own)) return "done";
    if (own !== undefined && own.times >= 8) return "CONFLICT";
    this.#given.set(person, { at: this.now, times: (own?.times ?? 0) + 1, withdrawn: false });
    return "done";
  }

  withdraw(person: string): string {
    const own = this.#given.get(person);
    if (this.state === "deleted" || own === undefined || !this.#counts(own)) return "CONFLICT";
    this.#given.set(person, { ...own, withdrawn: true });
    return "done";
  }

  push(person: string): string {
    if (this.state === "deleted") {
      this.state = "acquired";
      this.#given.clear();
      this.#uploaders.clear();
    }
    this.#uploaders.add(person);
    return "done";
  }

  promote(): string {
    if (this.state === "deleted") return "CONFLICT";
    if (this.standing().filter((person) => !this.#uploaders.has(person)).length < 2) return "REFUSED";
    for (const [person, { at }] of this.#given) if (this.#revokedAt !== undefined && at <= this.#revokedAt) this.#given.delete(person);
    this.state = "trusted";
    this.#revokedAt = undefined;
    return "done";
  }

  revoke(): string {
    if (this.state === "deleted") return "CONFLICT";
    if (this.state !== "revoked") this.#revokedAt = this.now;
    this.state = "revoked";
    return "done";
  }

  delete(): string {
    this.state = "deleted";
    return "done";
  }
}

function foretell(model: Model, act: Act): string {
  if (act.kind === "wait") {
    model.now += act.seconds;
    return "done";
  }
  return "who" in act ? model[act.kind](PEOPLE[act.who]) : model[act.kind]();
}

async function perform(reviewed: Reviewed, act: Act): Promise<string> {
  const { at } = reviewed;
  switch (act.kind) {
    case "wait":
      reviewed.now += act.seconds * 1_000;
      return "done";
    case "approve":
      return outcomeOf(() => reviewed.approve(reviewer(act.who)));
    case "withdraw":
      return outcomeOf(() => reviewed.withdraw(reviewer(act.who)));
    case "push":
      for (const blob of ["{}", "one"]) await at.blob(reviewer(act.who), AT, blob);
      return outcomeOf(() => at.manifest(reviewer(act.who), AT, ONE));
    case "promote":
    case "revoke":
    case "delete":
      return outcomeOf(() => at[act.kind](operator, AT, digestIn(ONE)));
  }
}

test("whatever people do, those count who approved last, are no uploaders, and did so neither too long ago nor before a revocation", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anAct, { minLength: 1, maxLength: 24 }), async (acts) => {
      await using reviewed = await Reviewed.start();
      const model = new Model();
      for (const act of acts) {
        const foretold = foretell(model, act);
        expect([act, await perform(reviewed, act)]).toEqual([act, foretold]);
        expect((await reviewed.persons()).toSorted()).toEqual(model.standing().toSorted());
      }
      expect(await reviewed.faults()).toEqual([]);
    }),
    { numRuns: runs(25) },
  );
}, 120_000);
