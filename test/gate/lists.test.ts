import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { STATES, type State } from "../../src/lifecycle/state.ts";
import { listArtifacts } from "../../src/registry/list-artifacts.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const reader = callerWith(["reader@*"], { name: "reader" });
const stranger = callerWith([], { name: "stranger" });
const operator = callerWith(["operator@*"], { name: "operator" });
const [HIDDEN, MIXED] = [repository("models/hidden"), repository("models/mixed")];

// protocol.md §3: neither page sizes nor what leads to the next page show what was left out.
test("a page of artifacts tells nothing of hidden ones, however many there are and however small the page is", async () => {
  await using at = await Transitions.start();
  for (const place of [HIDDEN, MIXED]) await at.blob(publisher, place, "{}");
  const manifests = Array.from({ length: 12 }, (_, n) => imageOf([], { annotations: { n: String(n) } }));
  for (const manifest of manifests) {
    for (const place of [HIDDEN, MIXED]) {
      await at.manifest(publisher, place, manifest);
      // Never trusted: hidden from readers, and in a list of states that readers may ask for.
      await at.revoke(operator, place, digestIn(manifest));
    }
  }
  const shown = imageOf([], { annotations: { n: "shown" } });
  await at.manifest(publisher, MIXED, shown);
  await at.promote(operator, MIXED, digestIn(shown));

  const all = { state: undefined, cursor: undefined, limit: 1 };
  for (const caller of [reader, stranger]) {
    for (const state of [undefined, "revoked", "acquired"] as const) {
      const query = { ...all, state };
      expect(await listArtifacts(at.services, caller, { ...query, repository: HIDDEN })).toEqual({ artifacts: [], next: null });
      expect(await listArtifacts(at.services, caller, { ...query, repository: repository("models/never") })).toEqual({
        artifacts: [],
        next: null,
      });
    }
  }
  expect(await listArtifacts(at.services, stranger, { ...all, repository: undefined })).toEqual({ artifacts: [], next: null });
  const seen = await listArtifacts(at.services, reader, { ...all, repository: undefined });
  expect(seen.artifacts.map(({ digest }) => digest)).toEqual([digestIn(shown)]);
  expect(seen.next).toBeNull();
  const rest = await listArtifacts(at.services, reader, { ...all, repository: undefined, cursor: `${MIXED}@${digestIn(shown)}` });
  expect(rest).toEqual({ artifacts: [], next: null });
});

interface Listed {
  readonly place: string;
  readonly digest: string;
  readonly state: string;
  readonly known: boolean;
}

function compare(one: string, other: string): number {
  return Number(one > other) - Number(one < other);
}

/** An artifact of each fate in some repositories, in order. */
async function everyFate(at: Transitions): Promise<readonly Listed[]> {
  const both = callerWith(["publisher@models", "publisher@others", "publisher@others-too"], { name: "both" });
  const fates = [
    { state: "acquired", acts: [] },
    { state: "quarantined", acts: ["quarantine"] },
    { state: "trusted", acts: ["promote"] },
    { state: "revoked", acts: ["promote", "revoke"] },
    { state: "revoked", acts: ["revoke"] },
    { state: "deleted", acts: ["delete"] },
  ] as const;
  const all: Listed[] = [];
  for (const place of ["models/a", "models/b", "models/c", "others", "others-too/a", "others/a"]) {
    await at.blob(both, place, "{}");
    for (const [n, { state, acts }] of fates.entries()) {
      const digest = await at.manifest(both, place, imageOf([], { annotations: { place, n: String(n) } }));
      for (const act of acts) await at[act](operator, place, digest);
      all.push({ place, digest, state, known: acts.some((act) => act === "promote") });
    }
  }
  return all.toSorted((one, other) => compare(one.place, other.place) || compare(one.digest, other.digest));
}

async function pages(
  at: Transitions,
  caller: Caller,
  query: { readonly state: State | undefined; readonly limit: number },
): Promise<string[]> {
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const page = await listArtifacts(at.services, caller, { ...query, repository: undefined, cursor: cursor ?? undefined });
    expect(page.artifacts.length === query.limit || page.next === null).toBe(true);
    seen.push(...page.artifacts.map(({ repository: place, digest }) => `${place}@${digest}`));
    cursor = page.next;
  } while (cursor !== null);
  return seen;
}

describe("pages of any size hold what a caller may see, once each and in order", () => {
  let at: Transitions;
  let everything: readonly Listed[];
  beforeAll(async () => {
    at = await Transitions.start();
    everything = await everyFate(at);
  });
  afterAll(() => at[Symbol.asyncDispose]());

  const access = [{ type: "repository" as const, name: "models/b", actions: ["pull" as const] }];
  test.each([
    ["a publisher who reads elsewhere", callerWith(["publisher@models", "reader@*"]), /^models/, /^/],
    ["a publisher who reads in one other namespace", callerWith(["reader@models", "publisher@others"]), /^others(?!-)/, /^models/],
    ["an auditor", callerWith(["auditor@*"]), /^/, /^/],
    ["a publisher's token for one repository", callerWith(["publisher@models", "reader@*"], { access }), /^models\/b$/, /^$/],
    ["a reader's token for one repository", callerWith(["reader@*"], { access }), /^$/, /^models\/b$/],
    ["somebody without a role", callerWith([]), /^$/, /^$/],
  ])("%s", async (_, caller, all, known) => {
    const visible = everything.filter(({ place, known: isKnown }) => all.test(place) || (isKnown && known.test(place)));
    for (const state of [undefined, ...STATES]) {
      const expected = visible
        .filter((each) => state === undefined || each.state === state)
        .map(({ place, digest }) => `${place}@${digest}`);
      for (const limit of [1, 2, 7, 100]) expect(await pages(at, caller, { state, limit })).toEqual(expected);
    }
  });
});
