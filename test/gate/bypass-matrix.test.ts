import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { OPERATOR } from "../support/actors.ts";
import { GateAsker, labelled } from "../support/gate-asker.ts";
import { everyProbe } from "../support/gate-every-probe.ts";
import { type Probe, told } from "../support/gate-probes.ts";
import { PLACES, PRINCIPALS, actorOf, startScenes } from "../support/gate-scenes.ts";
import { type GateWorld, type Principal, TOKEN, headerOf } from "../support/gate-world.ts";
import { DEFINITIONS, WHATS } from "../support/lifecycle-acts.ts";
import type { Artifact } from "../support/reference-model.ts";
import { runs } from "../support/runs.ts";

function sorted(rows: readonly string[][]): string[] {
  return rows.map((row) => row.join(" ")).toSorted();
}

let world: GateWorld;
let asker: GateAsker;
beforeAll(async () => {
  world = await startScenes();
  asker = new GateAsker(world);
}, 120_000);
afterAll(() => world[Symbol.asyncDispose]());

/** Whoever has the service token: on what was pushed by OCI it reads and revokes (RULES 21). */
const HOLDER: Principal = { name: TOKEN, role: undefined, namespace: "*", models: OPERATOR, others: OPERATOR };

/** Of how many doors one is asked by default, other ones each time. With GATE_RUNS of as many, all are. */
const ONE_OF = { runner: 4, others: 12 } as const;

/** All that can be asked of some of the doors: what each answers to a true miss is asked once for all of it. */
function sampled(probes: readonly Probe[], { name }: Principal): readonly Probe[] {
  const share = runs(1) / (name === "runner" ? ONE_OF.runner : ONE_OF.others);
  const doors = new Set(probes.map(({ door }) => door));
  const chance = randomBytes(doors.size);
  const asked = new Set([...doors].filter((_, n) => (chance[n] ?? 0) < share * 256));
  return probes.filter(({ door }) => asked.has(door));
}

// Every door × every state and way in which the bytes are reached × every kind of caller: as the model says, and byte for byte.
describe.each(PLACES)("%s", (_, place) => {
  test.each(PRINCIPALS)("as $name", async (principal) => {
    const probes = await everyProbe(world, place, actorOf(principal, place));
    expect(await asker.faults(principal, place, sampled(probes, principal))).toEqual([]);
  });
});

// The predecessor's token opens nothing but `/v1`, where what was registered is its own (RULES 21).
test.each(PLACES)("%s, to the service token by /v1", async (_, place) => {
  const registered = world.registered.get(place)?.definition.digest;
  const probes = await everyProbe(world, place, actorOf(HOLDER, place));
  const own = sampled(probes, HOLDER).filter(({ path }) => path.startsWith("/v1/"));
  expect(await asker.faults(HOLDER, place, own)).toEqual([]);
  // Which forgets the refusal at the last place: five in a row would lock it out (identity.md 8.2), and no door may be among those that are asked.
  expect((await asker.get(HOLDER, "/v1/models")).status).toBe(200);
  expect((await asker.get(HOLDER, `/v2/${place}/manifests/${registered ?? "latest"}`)).status).toBe(401);
});

const KNOWN = PRINCIPALS.filter(({ name }) => name !== "anonymous");
const OF_REPOSITORY = [
  "tags/list",
  `manifests/${digestOf("x")}`,
  "manifests/no-such-tag",
  `blobs/${digestOf("x")}`,
  `referrers/${digestOf("x")}`,
];

/** What the predecessor's list of models shows. */
async function modelsOf(principal: Principal): Promise<string[]> {
  const { body } = await asker.get(principal, "/v1/models");
  const models = JSON.parse(body.toString("utf8")) as { repository: string; digest: string; state: string }[];
  return sorted(models.map(({ repository, digest, state }) => [repository, digest, state]));
}

function expectedModels(principal: Principal): string[] {
  const shown = PLACES.flatMap(([, place]) => {
    const [actor, repo] = [actorOf(principal, place), world.model.at(place)];
    const registered = world.registered.get(place)?.definition.digest;
    const isShown = ({ definition: { digest }, state, once }: Artifact): boolean => {
      if (principal.name === "anonymous") return digest === registered;
      if (actor.pullAny || actor.audits === true) return true;
      return actor.pull && (state === "trusted" || (state === "revoked" && once));
    };
    const models = [...repo.artifacts.values()].filter(({ definition }) => definition.evidence === undefined);
    return models.filter(isShown).map(({ definition, state }) => [place, definition.digest, state]);
  });
  return sorted(shown);
}

test.each([...PRINCIPALS.filter(({ name }) => name === "anonymous"), HOLDER])(
  "the list of models of $name holds what it sees",
  async (principal) => {
    expect(await modelsOf(principal)).toEqual(expectedModels(principal));
  },
);

describe.each(KNOWN)("the lists of $name", (principal) => {
  test("of tags hold what it may see, and tell nothing of what is left out", async () => {
    for (const [, place] of PLACES) {
      const tags = world.model.tags(actorOf(principal, place), world.model.at(place));
      const { names, answer } = await asker.list(principal, `/v2/${place}/tags/list`, "tags");
      expect({ place, names, status: answer.status }).toEqual({ place, names: tags ?? [], status: tags === undefined ? 404 : 200 });
      // A page of one tells of the next one when there is one to see, and not otherwise.
      const { answer: page } = await asker.list(principal, `/v2/${place}/tags/list?n=1`, "tags");
      const next = (tags ?? []).length > 1 ? `</v2/${place}/tags/list?n=1&last=${tags?.[0]}>; rel="next"` : undefined;
      expect({ place, link: headerOf(page, "link") }).toEqual({ place, link: next });
    }
  });

  test("of referrers hold what it may see of what it may see, and are those of an unknown subject otherwise", async () => {
    for (const [, place] of PLACES) {
      const [actor, repo] = [actorOf(principal, place), world.model.at(place)];
      const unknown = await asker.referrers(principal, place, digestOf(randomBytes(8)));
      for (const label of WHATS) {
        const { digest } = DEFINITIONS[label];
        const { labels, answer } = await asker.referrers(principal, place, digest);
        const isHidden = world.model.manifest(actor, repo, digest) === "absent" && !actor.pullAny;
        const expected = { place, label, labels: labelled(world.model.referrers(actor, repo, digest)), asUnknown: isHidden };
        expect({ place, label, labels, asUnknown: isHidden && told(answer) === told(unknown.answer) }).toEqual(expected);
      }
    }
  });

  test("of repositories hold those in which it sees something", async () => {
    const { names } = await asker.list(principal, "/v2/_catalog?n=1000", "repositories");
    const seen = PLACES.map(([, place]) => place).filter((place) => world.model.sees(actorOf(principal, place), world.model.at(place)));
    expect(names).toEqual(seen.toSorted());
  });

  test("of artifacts hold all of what it may read untrusted or audit, and elsewhere what is or was trusted", async () => {
    const { body } = await asker.get(principal, "/v1/artifacts?limit=1000");
    const { artifacts } = JSON.parse(body.toString("utf8")) as { artifacts: { repository: string; digest: string; state: string }[] };
    const seen = PLACES.flatMap(([, place]) => {
      const { pull, pullAny, audits = false } = actorOf(principal, place);
      const all = [...world.model.at(place).artifacts.values()];
      const known = all.filter(({ state, once }) => state === "trusted" || (state === "revoked" && once));
      return (pullAny || audits ? all : pull ? known : []).map(({ definition, state }) => [place, definition.digest, state]);
    });
    expect(sorted(artifacts.map(({ repository, digest, state }) => [repository, digest, state]))).toEqual(sorted(seen));
  });

  test("on pages hold the same: exploring all of it, the review queue some of it", async () => {
    const { body } = await asker.get(principal, "/v1/artifacts?limit=1000");
    const { artifacts } = JSON.parse(body.toString("utf8")) as { artifacts: { repository: string; digest: string }[] };
    const seen = artifacts.map(({ repository, digest }) => `${repository}@${digest}`);
    expect((await asker.linked(principal, "/ui/explore")).toSorted()).toEqual(seen.toSorted());
    expect((await asker.linked(principal, "/ui/review")).filter((ref) => !seen.includes(ref))).toEqual([]);
    // By the beginning of its digest an artifact is found by whoever sees its record, in the order of repositories.
    for (const label of WHATS) {
      const { digest } = DEFINITIONS[label];
      const places = PLACES.map(([, place]) => place).filter((place) =>
        world.model.seesRecord(actorOf(principal, place), world.model.at(place), digest),
      );
      const found = await asker.linked(principal, `/ui/explore?digest=${digest.slice("sha256:".length).slice(0, 16)}`);
      expect(found).toEqual(places.toSorted().map((place) => `${place}@${digest}`));
    }
  });

  test("of models hold what was registered and the rest of what it sees, but for evidence", async () => {
    expect(await modelsOf(principal)).toEqual(expectedModels(principal));
  });

  test("and all doors answer of a repository in which it sees nothing as of one that does not exist", async () => {
    for (const [, place] of PLACES) {
      const actor = actorOf(principal, place);
      if (world.model.sees(actor, world.model.at(place))) continue;
      const nowhere = `${place.slice(0, place.indexOf("/"))}/nowhere-at-all`;
      for (const path of OF_REPOSITORY) {
        const here = told(await asker.get(principal, `/v2/${place}/${path}`));
        expect(here.replaceAll(place, nowhere)).toBe(told(await asker.get(principal, `/v2/${nowhere}/${path}`)));
      }
    }
  });
});
