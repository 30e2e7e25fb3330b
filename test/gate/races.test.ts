import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Digest } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { finishRevocationsEverywhere } from "../../src/registry/revoke-everywhere.ts";
import { under } from "../../src/storage/keys.ts";
import type { Entry, Key } from "../../src/storage/metadata-store.ts";
import { manifestRecord, tagRecord } from "../../src/storage/records.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { type Moment, interrupted } from "../support/race.ts";
import { runs } from "../support/runs.ts";
import { Transitions, descriptorOf, digestIn, imageOf, indexOf, signatureOf } from "../support/transitions.ts";

const alice = callerWith(["publisher@models"], { name: "alice" });
const mona = callerWith(["maintainer@models"], { name: "mona" });
const operator = callerWith(["operator@*"], { name: "operator" });

interface World {
  readonly at: Transitions;
  readonly repo: string;
  readonly other: string;
  readonly m: Readonly<Record<"A" | "B" | "I" | "S", object>>;
  readonly d: Readonly<Record<"A" | "B" | "I" | "S" | "sig" | "l1" | "shared" | "empty", Digest>>;
}
type Act = (w: World) => Promise<unknown>;

const SETUPS = {
  pushed: [],
  trusted: [promote("A")],
  both: [promote("A"), promote("B")],
  tree: [promote("I")],
  "tree and child": [promote("I"), promote("A")],
  revoked: [promote("A"), revoke("A")],
  "revoked child": [promote("I"), revoke("A")],
  signed: [push("S"), promote("A")],
  "signed later": [promote("A"), push("S")],
} as const satisfies Readonly<Record<string, readonly Act[]>>;
type Setup = keyof typeof SETUPS;

const ACTS = {
  "push A v1": push("A", "v1"),
  "push B v1": push("B", "v1"),
  "push A w": push("A", "w"),
  "push B w": push("B", "w"),
  "push S": push("S"),
  "promote A": promote("A"),
  "promote B": promote("B"),
  "promote I": promote("I"),
  "promote B for v1": ({ at, repo }) => at.promote(operator, repo, "v1"),
  "revoke A": revoke("A"),
  "revoke B": revoke("B"),
  "revoke S": revoke("S"),
  "revoke A everywhere": ({ at, repo, d }) => at.revoke(operator, repo, d.A, { everywhere: true }),
  "revoke A everywhere from elsewhere": ({ at, other, d }) => at.revoke(operator, other, d.A, { everywhere: true }),
  "quarantine A": ({ at, repo, d }) => at.quarantine(alice, repo, d.A),
  "delete A": remove("A"),
  "delete B": remove("B"),
  "delete I": remove("I"),
  "delete S": remove("S"),
  "delete tag v1": ({ at, repo }) => at.deleteTag(alice, repo, "v1"),
  "roll v1 back to A": ({ at, repo, d }) => at.rollBack(mona, repo, "v1", d.A),
  "roll v1 back to B": ({ at, repo, d }) => at.rollBack(mona, repo, "v1", d.B),
  "remove promoted v1": ({ at, repo }) => at.rollBack(mona, repo, "v1", null),
  "delete blob l1": ({ at, repo, d }) => at.deleteBlob(alice, repo, d.l1),
  "delete blob sig": ({ at, repo, d }) => at.deleteBlob(alice, repo, d.sig),
  "delete blob {}": ({ at, repo, d }) => at.deleteBlob(alice, repo, d.empty),
} as const satisfies Readonly<Record<string, Act>>;
type Name = keyof typeof ACTS;

function push(which: "A" | "B" | "I" | "S", ...tags: string[]): Act {
  return ({ at, repo, m }) => at.manifest(alice, repo, m[which], ...tags);
}
function promote(which: "A" | "B" | "I"): Act {
  return ({ at, repo, d }) => at.promote(operator, repo, d[which]);
}
function revoke(which: "A" | "B" | "I" | "S"): Act {
  return ({ at, repo, d }) => at.revoke(operator, repo, d[which]);
}
function remove(which: "A" | "B" | "I" | "S"): Act {
  return ({ at, repo, d }) => at.delete(operator, repo, d[which]);
}

let registry: Transitions;
let worlds = 0;
beforeAll(async () => {
  registry = await Transitions.start();
});
afterAll(() => registry[Symbol.asyncDispose]());

async function world(setup: readonly Act[]): Promise<World> {
  worlds += 1;
  const [repo, other] = [`models/w${worlds}`, `models/x${worlds}`];
  const [l1, l2, shared, sig] = [`l1 ${worlds}`, `l2 ${worlds}`, `shared ${worlds}`, `sig ${worlds}`];
  const [A, B] = [imageOf([l1, shared]), imageOf([l2, shared])];
  const m = { A, B, I: indexOf([A, B]), S: signatureOf(A, sig) };
  const d = {
    A: digestIn(A),
    B: digestIn(B),
    I: digestIn(m.I),
    S: digestIn(m.S),
    sig: descriptorOf(sig).digest,
    l1: descriptorOf(l1).digest,
    shared: descriptorOf(shared).digest,
    empty: descriptorOf("{}").digest,
  };
  const w = { at: registry, repo, other, m, d };
  for (const content of ["{}", l1, l2, shared, sig]) await registry.blob(alice, repo, content);
  for (const content of ["{}", l1, shared]) await registry.blob(alice, other, content);
  await registry.manifest(alice, other, A);
  await registry.manifest(alice, repo, A, "v1");
  await registry.manifest(alice, repo, B, "w");
  await registry.manifest(alice, repo, m.I, "i");
  for (const act of setup) await act(w);
  return w;
}

async function outcomeOf(act: Act, w: World): Promise<string> {
  try {
    await act(w);
    return "done";
  } catch (error) {
    // Which refusal it is may differ: a tag that is resolved before its target is deleted names a deleted artifact instead of none.
    if (error instanceof RegistryError && error.code !== "INTERNAL") return "refused";
    throw error;
  }
}

/** What the world is like, in names instead of digests. */
async function stateOf({ at, repo, other, d }: World): Promise<string> {
  await finishRevocationsEverywhere(at.services);
  const rows = async (...prefix: Key): Promise<readonly Entry[]> => at.services.metadata.list(under(prefix, 1000));
  const records = [...(await rows("manifest", repo)), ...(await rows("manifest", other))].map(({ key, value }) => {
    const { statement, digest, state, revocation, sequence } = manifestRecord.parse(value);
    return statement ? "" : `${String(key[1])} ${digest} ${state} ${sequence} ${revocation === null ? "" : "revocation"}`;
  });
  const tags = [...(await rows("tag-pushed", repo)), ...(await rows("tag-promoted", repo)), ...(await rows("tag-listed", repo))].map(
    ({ key, value }) => `${key[0]} ${String(key[2])} ${tagRecord.parse(value).digest}`,
  );
  const covers = (await rows("covers", repo)).map(({ key, value }) => `covers ${String(key[2])} ${JSON.stringify(value)}`);
  const links = (await rows("link", repo))
    .map(({ key }) => `link ${String(key[2])}`)
    .filter((link) => Object.values(d).some((digest) => link.endsWith(digest)));
  const named: [string, string][] = [...Object.entries(d), ["other", other], ["repo", repo]];
  const lines = [...records, ...tags, ...covers, ...links].map((line) =>
    named.reduce((text, [name, is]) => text.replaceAll(is, name), line),
  );
  return lines.toSorted().join("\n");
}

const serial = new Map<string, Promise<string>>();

/** What one act after the other leaves behind: codes, and the state. */
function afterwards(setup: Setup, first: Name, second: Name): Promise<string> {
  const key = [setup, first, second].join("/");
  const known = serial.get(key) ?? inTurn(setup, first, second);
  serial.set(key, known);
  return known;
}

async function inTurn(setup: Setup, first: Name, second: Name): Promise<string> {
  const w = await world(SETUPS[setup]);
  const codes = { [first]: await outcomeOf(ACTS[first], w), [second]: await outcomeOf(ACTS[second], w) };
  return described(w, codes, await stateOf(w));
}

async function refusedFor(setup: Setup, refused: Name, done: Name): Promise<string> {
  const w = await world(SETUPS[setup]);
  return described(w, { [refused]: "refused", [done]: await outcomeOf(ACTS[done], w) }, await stateOf(w));
}

/** The same, with all of the second act at some moment of the first one; undefined when the first one has no such moment. */
async function raced(setup: Setup, first: Name, second: Name, moment: Moment): Promise<string | undefined> {
  const w = await world(SETUPS[setup]);
  const codes: Record<string, string> = {};
  const { services, came } = interrupted(registry.services, moment, async () => {
    codes[second] = await outcomeOf(ACTS[second], w);
  });
  codes[first] = await outcomeOf(ACTS[first], { ...w, at: registry.through(services) });
  return came() ? described(w, codes, await stateOf(w)) : undefined;
}

async function described({ at, repo }: World, codes: Readonly<Record<string, string>>, state: string): Promise<string> {
  const faults = await faultsOf(at.services.metadata, repository(repo), at.directory);
  const said = Object.entries(codes).map(([name, code]) => `${name}: ${code}`);
  return [...said.toSorted(), state, ...faults].join("\n");
}

/** What may be found: either order, or that the first act was refused because the second one came, and the second one alone. */
async function orders(setup: Setup, first: Name, second: Name): Promise<readonly string[]> {
  return [await afterwards(setup, first, second), await afterwards(setup, second, first), await refusedFor(setup, first, second)];
}

// Two actors at once leave what one after the other would have left, and no row that is not computed from the records.
describe("two actors at once are as good as one after the other", () => {
  test.each([
    ["pushed", "delete A", "push B v1"],
    ["both", "delete A", "roll v1 back to B"],
    ["both", "revoke A", "roll v1 back to B"],
    ["both", "delete B", "roll v1 back to B"],
    ["both", "revoke B", "roll v1 back to B"],
    ["both", "promote A", "remove promoted v1"],
    ["pushed", "promote A", "push B v1"],
    ["pushed", "delete A", "push A w"],
    ["pushed", "promote A", "revoke A everywhere from elsewhere"],
    ["signed", "promote A", "delete blob sig"],
    ["signed later", "delete blob sig", "promote A"],
    ["tree", "promote I", "revoke A"],
    ["tree", "revoke A", "delete I"],
  ] as const)("%s: %s, and before its commit %s", async (setup, first, second) => {
    expect(await orders(setup, first, second)).toContain(await raced(setup, first, second, "commit"));
  });

  test(
    "whatever they do, and wherever one comes in between",
    async () => {
      const moment = fc.oneof(fc.constant("commit" as const), fc.integer({ min: 1, max: 60 }));
      const act = fc.constantFrom(...names(ACTS));
      const one = fc.tuple(fc.constantFrom(...names(SETUPS)), act, act, moment).filter(([, first, second]) => first !== second);
      await fc.assert(
        fc.asyncProperty(one, async ([setup, first, second, at]) => {
          const found = await raced(setup, first, second, at);
          expect([undefined, ...(await orders(setup, first, second))]).toContain(found);
        }),
        { numRuns: runs(15) },
      );
    },
    runs(120_000),
  );
});

function names<T extends string>(of: Readonly<Record<T, unknown>>): T[] {
  return Object.keys(of) as T[];
}
