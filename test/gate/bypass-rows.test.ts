import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { GateAsker } from "../support/gate-asker.ts";
import { everyProbe } from "../support/gate-every-probe.ts";
import { EVERY_CONTENT, type Probe, UNNAMED, blobProbes, manifestProbes, pageProbes, told } from "../support/gate-probes.ts";
import { ELSEWHERE, MOUNTER, PLACES, PRINCIPALS, type SceneName, actorOf, placeOf, startScenes } from "../support/gate-scenes.ts";
import { type Answer, type GateWorld, type Principal, headerOf } from "../support/gate-world.ts";
import { faultsOf } from "../support/invariants.ts";
import { DEFINITIONS, WHATS, type What } from "../support/lifecycle-acts.ts";
import { repository } from "../support/principal.ts";

let world: GateWorld;
let asker: GateAsker;
beforeAll(async () => {
  world = await startScenes();
  asker = new GateAsker(world);
}, 120_000);
afterAll(() => world[Symbol.asyncDispose]());

function principalNamed(name: string): Principal {
  const found = PRINCIPALS.find((principal) => principal.name === name);
  if (found === undefined) throw new TypeError(`there is no principal ${name}`);
  return found;
}

/** Who may pull and no more: for whom each row is. */
const RUNNER = principalNamed("runner");

type Choice = (place: string) => readonly Probe[];

function manifests(...labels: readonly What[]): Choice {
  return (place) => labels.flatMap((label) => manifestProbes(place, label));
}

function byDigest(...labels: readonly What[]): Choice {
  return (place) => manifests(...labels)(place).filter(({ door }) => !door.includes("by tag"));
}

function blobs(...contents: readonly string[]): Choice {
  return (place) => contents.flatMap((content) => blobProbes(place, content));
}

function both(one: Choice, other: Choice): Choice {
  return (place) => [...one(place), ...other(place)];
}

/** Asks some probes in some scenes: what is wrong with the answers, and what was to come of them all. */
async function row(scenes: readonly SceneName[], choose: Choice): Promise<{ faults: string[]; effects: string[] }> {
  const faults: string[] = [];
  const effects = new Set<string>();
  for (const place of scenes.map(placeOf)) {
    const probes = choose(place);
    faults.push(...(await asker.faults(RUNNER, place, probes)));
    for (const probe of probes) effects.add(probe.effect(world.model, actorOf(RUNNER, place)));
  }
  return { faults, effects: [...effects].toSorted() };
}

/** A mount by who reads `models` and pushes to `others`, as far as it can be told from another one that began an upload. */
async function mount(digest: string, from: string | undefined): Promise<{ status: number; headers: string[]; body: string }> {
  const path = `/v2/others/mounts/blobs/uploads/?mount=${digest}${from === undefined ? "" : `&from=${from}`}`;
  const { status, headers, body } = await world.ask(world.authorization(MOUNTER.name), path, { method: "POST" });
  return { status, headers: headers.map(([name]) => name), body: body.toString("utf8") };
}

/** What who mounted a blob gets of it. */
async function mounted(content: string): Promise<number> {
  return (await asker.get(MOUNTER, `/v2/others/mounts/blobs/${digestOf(content)}`)).status;
}

async function referrers(scene: SceneName, label: What): Promise<readonly What[]> {
  return (await asker.referrers(RUNNER, placeOf(scene), DEFINITIONS[label].digest)).labels;
}

/** Asks what a policy that nothing meets would change. */
async function replay({ name }: Principal, repositories: string): Promise<Answer> {
  const spec = { match: { repositories: [repositories] }, require: [{ name: "all", evidence: { kind: "approvals", minimum: 16 } }] };
  const policy = { apiVersion: "trust.ai-model-registry.dev/v1", kind: "TrustPolicy", metadata: { name: "probe" }, spec };
  const body = JSON.stringify({ policy: JSON.stringify(policy), limit: 1000 });
  return world.ask(world.authorization(name), "/v1/policies/probe/replay", { method: "POST", body });
}

const ABSENT = { faults: [], effects: ["absent"] };
const DENIED = { faults: [], effects: ["denied"] };
const ALLOWED = { faults: [], effects: ["allow"] };
const NEVER_TRUSTED = [
  "never pushed",
  "acquired",
  "quarantined",
  "revoked and never trusted",
  "revoked out of quarantine",
  "deleted after trust",
  "deleted and never trusted",
  "deleted and pushed again",
  "revoked, deleted and pushed again",
] as const;
const ONCE_TRUSTED = ["revoked after trust", "permanently revoked"] as const;

describe("protocol.md §9, ways to the bytes:", () => {
  test("row 1: a manifest by tag and by digest, GET and HEAD, is absent, or DENIED if once trusted", async () => {
    expect(await row(NEVER_TRUSTED, manifests("ONE"))).toEqual(ABSENT);
    expect(await row(ONCE_TRUSTED, manifests("ONE"))).toEqual(DENIED);
  });

  test("row 2: revoked beats the parent, and what a hidden index holds stays absent", async () => {
    expect(await row(["tree with a revoked grandchild"], byDigest("ONE"))).toEqual(DENIED);
    expect(await row(["tree with a revoked branch"], byDigest("TREE", "ONE", "TWO"))).toEqual(DENIED);
    expect(await row(["tree with a revoked branch"], byDigest("GROVE"))).toEqual(ALLOWED);
    const hidden = ["hidden tree", "revoked tree, never trusted", "deleted tree"] as const;
    expect(await row(hidden, manifests("GROVE", "TREE", "ONE"))).toEqual(ABSENT);
  });

  test("row 3: a layer and a config, by whatever range and condition, are as their manifest", async () => {
    expect(await row(NEVER_TRUSTED, blobs("one", "{}"))).toEqual(ABSENT);
    expect(await row(ONCE_TRUSTED, blobs("one", "{}"))).toEqual(DENIED);
    expect(await row(["trusted", "trusted tree"], blobs("one", "{}"))).toEqual(ALLOWED);
  });

  test("row 4: a layer that a trusted artifact has as well is readable", async () => {
    const scenes = ["layer shared by trusted and untrusted", "layer shared by revoked and trusted"] as const;
    expect(await row(scenes, blobs("shared"))).toEqual(ALLOWED);
  });

  test("row 5: a layer that only untrusted artifacts have is absent", async () => {
    expect(await row(["layer shared by untrusted alone"], blobs("shared", "one", "two"))).toEqual(ABSENT);
  });

  test("row 6: the same digest in a second repository inherits nothing", async () => {
    const probes = both(manifests(...WHATS), blobs(...EVERY_CONTENT))(ELSEWHERE);
    for (const name of ["runner", "elsewhere"]) expect(await asker.faults(principalNamed(name), ELSEWHERE, probes)).toEqual([]);
    const effects = probes.map((probe) => probe.effect(world.model, actorOf(RUNNER, ELSEWHERE)));
    expect(new Set(effects)).toEqual(new Set(["absent"]));
  });

  test("row 7: a mount of a hidden blob, with its source or without, begins an upload as for an unknown one, and nothing can be pulled", async () => {
    const unknown = await mount(digestOf(randomBytes(8)), placeOf("acquired"));
    expect(unknown.status).toBe(202);
    const hidden = [
      "acquired",
      "quarantined",
      "revoked after trust",
      "revoked and never trusted",
      "deleted after trust",
      "hidden tree",
    ] as const;
    for (const from of [...hidden.map(placeOf), "models/nowhere-at-all", "others/mounts"]) {
      expect({ from, ...(await mount(digestOf("one"), from)) }).toEqual({ from, ...unknown });
    }
    // Without a source it is found where the caller may read it; what is trusted nowhere is found nowhere.
    expect(await mount(digestOf(UNNAMED), undefined)).toEqual(unknown);
    expect([await mounted("one"), await mounted(UNNAMED)]).toEqual([404, 404]);
    expect(await mount(digestOf("one"), placeOf("trusted"))).toMatchObject({ status: 201 });
    expect(await mounted("one")).toBe(200);
  });

  test("row 9: retagging a hidden digest, plainly or by ?tag=, shows it to nobody", async () => {
    const place = placeOf("acquired");
    const { digest, manifest } = DEFINITIONS.README;
    const asked = {
      method: "PUT",
      headers: { "Content-Type": "application/vnd.oci.image.manifest.v1+json" },
      body: JSON.stringify(manifest),
    };
    for (const path of [`${digest}?tag=by-parameter&tag=another`, "plain"]) {
      expect((await world.ask(world.authorization("producer"), `/v2/${place}/manifests/${path}`, asked)).status).toBe(201);
    }
    for (const tag of ["by-parameter", "another", "plain"]) {
      expect((await asker.get(RUNNER, `/v2/${place}/manifests/${tag}`)).status).toBe(404);
      expect((await asker.get(principalNamed("producer"), `/v2/${place}/manifests/${tag}`)).status).toBe(200);
    }
    expect((await asker.get(RUNNER, `/v2/${place}/tags/list`)).status).toBe(404);
  });

  test("row 17: what was deleted and pushed again is a new generation, and hidden", async () => {
    const scenes = ["deleted and pushed again", "revoked, deleted and pushed again"] as const;
    expect(await row(scenes, both(manifests("ONE"), blobs("one", "shared")))).toEqual(ABSENT);
  });

  test("row 19: a blob in no manifest is absent", async () => {
    expect(await row(["acquired", "trusted", "trusted tree", "revoked after trust"], blobs(UNNAMED))).toEqual(ABSENT);
  });

  test("row 21: later evidence is absent, covered evidence served, a covered one that is revoked DENIED, a trusted one by itself", async () => {
    const [before, hidden] = ["evidence before and after promotion", "trusted evidence of a hidden subject"] as const;
    expect(await row([before], both(manifests("LATE", "README"), blobs("late", "readme")))).toEqual(ABSENT);
    expect(await row([before], byDigest("SIGNED", "COUNTERSIGNED"))).toEqual(ALLOWED);
    expect(await row(["covered evidence that is revoked"], both(byDigest("SIGNED"), blobs("signature")))).toEqual(DENIED);
    expect(await row([hidden], manifests("SIGNED"))).toEqual(ALLOWED);
    expect(await row([hidden], manifests("ONE"))).toEqual(ABSENT);
  });

  test("row 22: no cache may answer in the registry's place, and what was cached is asked for again and DENIED", async () => {
    const place = placeOf("revoked after trust");
    const { digest } = DEFINITIONS.ONE;
    for (const [path, of] of [
      ["manifests", digest],
      ["blobs", digestOf("one")],
    ] as const) {
      for (const tag of ["*", `"${of}"`]) {
        const asked = { headers: { "If-None-Match": tag } };
        expect((await world.ask(world.authorization("runner"), `/v2/${place}/${path}/${of}`, asked)).status).toBe(403);
      }
    }
    // What every answer with content says of it, the probes look at; these are the lists.
    for (const path of [`${placeOf("trusted")}/tags/list`, "_catalog", `${placeOf("trusted")}/referrers/${digest}`]) {
      expect(headerOf(await asker.get(RUNNER, `/v2/${path}`), "cache-control")).toMatch(/private.*no-(?:store|cache)/);
    }
  });
});

describe("protocol.md §9, ways to the knowledge that something exists:", () => {
  test("row 10: a hidden subject has no referrers, and what was attached after its promotion is left out", async () => {
    expect(await referrers("acquired", "ONE")).toEqual([]);
    expect(await referrers("trusted evidence of a hidden subject", "ONE")).toEqual([]);
    expect(await referrers("evidence before and after promotion", "ONE")).toEqual(["SIGNED"]);
    expect(await referrers("evidence before and after promotion", "SIGNED")).toEqual(["COUNTERSIGNED"]);
    expect(await referrers("evidence covered by promoting again", "ONE")).toEqual(["SIGNED", "LATE"]);
  });

  test("row 11: tags, catalog, artifacts and health leave out what is hidden", async () => {
    const { names } = await asker.list(RUNNER, "/v2/_catalog?n=1000", "repositories");
    for (const place of [...NEVER_TRUSTED, "hidden tree" as const, "layer shared by untrusted alone" as const].map(placeOf)) {
      expect(names).not.toContain(place);
      expect((await asker.get(RUNNER, `/v2/${place}/tags/list`)).status).toBe(404);
      const { body } = await asker.get(RUNNER, `/v1/artifacts?repository=${place}&limit=1`);
      expect(body.toString("utf8")).toBe('{"artifacts":[],"next":null}');
    }
    const { body } = await world.ask(undefined, "/health", { headers: { Host: "models.example" } });
    expect(body.toString("utf8")).not.toMatch(/acquired|trusted|models/);
  });

  test("row 11: what a policy would change is told to who administers policies, of all that is trusted, and nothing of anything to others", async () => {
    for (const principal of PRINCIPALS.filter(({ name }) => name !== "operator")) {
      const [hidden, nowhere] = [await replay(principal, placeOf("quarantined")), await replay(principal, "models/nowhere-at-all")];
      expect([principal.name, hidden.status]).toEqual([principal.name, principal.name === "anonymous" ? 401 : 403]);
      expect(told(hidden)).toBe(told(nowhere));
    }
    for (const [, place] of PLACES) {
      const { status, body } = await replay(principalNamed("operator"), place);
      expect(status).toBe(200);
      const { artifacts } = JSON.parse(body.toString("utf8")) as { artifacts: { digest: string; outcome: string }[] };
      const trusted = [...world.model.at(place).artifacts.values()].filter(({ state }) => state === "trusted");
      expect({ place, failing: artifacts.map(({ digest, outcome }) => `${outcome} ${digest}`) }).toEqual({
        place,
        failing: trusted.map(({ definition }) => `would-fail ${definition.digest}`).toSorted(),
      });
    }
  });

  test("row 15: what is hidden and what never was get byte-identical answers from every door", async () => {
    // As in all rows, and in the matrix; here at every door, for who could learn the most.
    for (const place of [placeOf("quarantined"), placeOf("hidden tree")]) {
      expect(await asker.faults(RUNNER, place, await everyProbe(world, place, actorOf(RUNNER, place)))).toEqual([]);
    }
  });

  test("row 15: pages of what is hidden are those of what never was, and who is not signed in is sent to do so, whatever there is", async () => {
    for (const place of [placeOf("quarantined"), placeOf("hidden tree"), placeOf("revoked and never trusted")]) {
      for (const name of ["runner", "stranger", "elsewhere"]) {
        const probes = WHATS.flatMap((label) => pageProbes(place, label));
        expect(await asker.faults(principalNamed(name), place, probes)).toEqual([]);
      }
      for (const path of [`/ui/artifacts/${place}@${DEFINITIONS.ONE.digest}`, "/ui/explore", "/ui/review", "/ui/"]) {
        const { status, body } = await world.ask(undefined, path);
        expect([path, status, body.length]).toEqual([path, 303, 0]);
        // Nor does a key open pages, so that no program takes them for an API.
        expect((await world.ask(world.authorization("operator"), path)).status).toBe(303);
      }
    }
  });

  test("row 16: somebody else's upload is unknown, however its id is come by", async () => {
    const begun = await world.ask(world.authorization("producer"), `/v2/${placeOf("acquired")}/blobs/uploads/`, { method: "POST" });
    const location = new URL(headerOf(begun, "location") ?? "", world.registry.url);
    const guessed = new URL(location);
    guessed.pathname = guessed.pathname.replace(/[^/]*$/, "A".repeat(43));
    for (const at of [location, guessed]) at.searchParams.set("digest", digestOf("x"));
    for (const name of ["operator", "reviewer", "runner", "outsider", "scanner"]) {
      for (const method of ["GET", "PATCH", "PUT", "DELETE"]) {
        const theirs = await world.ask(world.authorization(name), location.pathname + location.search, { method });
        expect(theirs).toEqual(await world.ask(world.authorization(name), guessed.pathname + guessed.search, { method }));
      }
    }
    expect((await world.ask(world.authorization("producer"), location.pathname + location.search)).status).toBe(204);
  });

  test("row 20: the audit is for who audits, and asking for it tells others nothing", async () => {
    const statuses: Record<string, number> = {};
    for (const principal of PRINCIPALS) statuses[principal.name] = (await asker.get(principal, "/v1/audit?artifact=models/scene-1")).status;
    const [none, audits] = [403, 200];
    expect(statuses).toEqual({
      anonymous: 401,
      stranger: none,
      runner: none,
      elsewhere: none,
      producer: none,
      outsider: none,
      reviewer: none,
      scanner: none,
      auditor: audits,
      operator: audits,
    });
  });

  test("row 20: trusted/ holds the layers of what is trusted, and nothing else", async () => {
    const { services, directory } = world.registry;
    for (const [, place] of PLACES) expect(await faultsOf(services.metadata, repository(place), directory)).toEqual([]);
  });
});
