import { randomInt } from "node:crypto";
import { utimes } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Digest, digestOf, encodedOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { acquire } from "../../src/registry/acquire.ts";
import { deleteArtifact } from "../../src/registry/delete-artifact.ts";
import { findModel, findRegistered } from "../../src/registry/find-model.ts";
import { promoteModel } from "../../src/registry/promote-model.ts";
import { quarantine } from "../../src/registry/quarantine.ts";
import { revokeAndFollow } from "../../src/registry/revoke-everywhere.ts";
import { promotedPointer, pushedPointer } from "../../src/registry/tags.ts";
import type { Registry } from "../../src/services.ts";
import { under } from "../../src/storage/keys.ts";
import { manifestRecord, modelDetailsRecord } from "../../src/storage/records.ts";
import { TOKEN_HOLDER, acquisitionOf, putFile, quick } from "../support/acquisitions.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { modelFaults } from "../support/model-invariants.ts";
import { repository } from "../support/principal.ts";
import { interrupted, later } from "../support/race.ts";
import { runs } from "../support/runs.ts";
import { Transitions, tag } from "../support/transitions.ts";

const olga = callerWith(["operator@*"], { name: "olga" });
const FILES = ["one", "two"] as const;

let at: Transitions;
let names = 0;
beforeAll(async () => {
  at = await Transitions.start();
  // The files stay: what is deleted and acquired again is not what this is about.
  at.services.files.removeIfSame = async () => {};
});
afterAll(() => at[Symbol.asyncDispose]());

/** One name of its own, and two files that are registered under it by turns. */
class Scene {
  readonly name = `m${(names += 1)}`;
  readonly place = repository(`models/${this.name}`);
  /** Of the first file's artifact. */
  one: Digest | undefined;

  static async after(acts: readonly Act[]): Promise<Scene> {
    const scene = new Scene();
    for (const what of FILES) await putFile(at.directory, scene.path(what), what);
    for (const each of acts) await outcome(scene, each, at.services);
    return scene;
  }

  path(what: string): string {
    return `${this.name}-${what}.gguf`;
  }

  async acquire(services: Registry, what: string): Promise<string> {
    // Somebody has put the same file there anew.
    await utimes(join(at.directory, this.path(what)), new Date(), new Date());
    const { details, record } = await acquire(quick(services), TOKEN_HOLDER, acquisitionOf(this.name, this.path(what)));
    if (what === "one") this.one = record.digest;
    return `${details?.path} ${record.state}`;
  }

  async promote(services: Registry, what: string): Promise<string> {
    const { details, record } = await promoteModel(quick(services), TOKEN_HOLDER, {
      acquisition: acquisitionOf(this.name, this.path(what), { sha256: encodedOf(digestOf(what)), source: `the source of ${what}` }),
      scan: { scan_results: { static: `of ${what}` }, scanner_versions: { static: "1" }, policy_version: "7", source_revision: "" },
      fingerprint: {},
      tensorManifest: { path: "", digest: null },
    });
    return `${details?.path} ${details?.source} ${record.state}`;
  }

  /** What nobody has acquired yet nobody finds. */
  get digest(): Digest {
    return this.one ?? digestOf("nothing");
  }

  /** All that is kept of the name and its two artifacts, but for times and links of chains. */
  async kept(): Promise<readonly string[]> {
    const { metadata } = at.services;
    const [pushed, promoted] = [
      await pushedPointer(at.services, this.place, LATEST),
      await promotedPointer(at.services, this.place, LATEST),
    ];
    const manifests = await metadata.list(under(["manifest", this.place], 100));
    const details = await metadata.list(under(["model", this.place], 100));
    const path = (digest: Digest | undefined): string | undefined => {
      const row = details.find(({ key }) => key[2] === digest);
      return row && modelDetailsRecord.parse(row.value).path;
    };
    return [
      `${this.name} is ${(await findRegistered(at.services, TOKEN_HOLDER, this.name))?.details?.path}`,
      `latest is ${path(pushed?.record.digest)}, for readers ${path(promoted?.record.digest)}`,
      ...manifests.flatMap(({ value }) => {
        const { digest, state, revocation, onceTrusted, statement } = manifestRecord.parse(value);
        return statement ? [] : [`${path(digest)} is ${state} ${revocation?.reason} ${onceTrusted}`];
      }),
      ...details.map(({ value }) => {
        const { path: file, source, scanResults, policyVersion } = modelDetailsRecord.parse(value);
        return `${file} ${source} ${JSON.stringify(scanResults)} ${policyVersion}`;
      }),
    ].toSorted();
  }
}

const LATEST = tag("latest");

const ACTS = {
  "acquire one": (scene: Scene, services: Registry) => scene.acquire(services, "one"),
  "acquire two": (scene: Scene, services: Registry) => scene.acquire(services, "two"),
  "quarantine the name": async ({ name }: Scene, services: Registry) => {
    return (await quarantine(services, TOKEN_HOLDER, await findModel(services, TOKEN_HOLDER, name, "pushed"), null)).state;
  },
  "revoke the name": async ({ name }: Scene, services: Registry) => {
    const found = await findModel(services, TOKEN_HOLDER, name, "only");
    return (await revokeAndFollow(services, TOKEN_HOLDER, found, { reason: "bad", permanent: false, everywhere: false })).state;
  },
  "delete the name": async ({ name }: Scene, services: Registry) => {
    return (await deleteArtifact(services, TOKEN_HOLDER, await findModel(services, TOKEN_HOLDER, name, "only"), null)).state;
  },
  "promote the name as one": (scene: Scene, services: Registry) => scene.promote(services, "one"),
  "promote the name as two": (scene: Scene, services: Registry) => scene.promote(services, "two"),
  "quarantine one": async ({ place, digest }: Scene) => (await at.quarantine(olga, place, digest)).state,
  "promote one": async ({ place, digest }: Scene) => (await at.promote(olga, place, digest)).state,
  "revoke one": async ({ place, digest }: Scene) => (await at.revoke(olga, place, digest)).state,
  "delete one": async ({ place, digest }: Scene) => (await at.delete(olga, place, digest)).state,
} as const;
type Act = keyof typeof ACTS;

async function outcome(scene: Scene, act: Act, services: Registry): Promise<string> {
  try {
    return `${act}: ${await ACTS[act](scene, services)}`;
  } catch (error) {
    if (error instanceof RegistryError) return `${act}: ${error.code}`;
    throw error;
  }
}

/** What everybody was answered, and what is kept afterwards, in words that are the same for every name. */
async function ended(scene: Scene, answers: readonly string[]): Promise<string> {
  return [...answers.toSorted(), ...(await scene.kept())].join("\n").replaceAll(scene.name, "m");
}

/** What comes of it when all is done one after the other; `act` comes after so many of the others. */
async function inOrder(before: readonly Act[], act: Act, others: readonly Act[], after: number): Promise<string> {
  const scene = await Scene.after(before);
  const answers: string[] = [];
  for (const each of [...others.slice(0, after), act, ...others.slice(after)]) answers.push(await outcome(scene, each, at.services));
  return ended(scene, answers);
}

const BEFORE: readonly (readonly Act[])[] = [
  [],
  ["acquire one"],
  ["acquire one", "quarantine the name"],
  ["acquire one", "delete the name"],
  ["acquire one", "acquire two"],
];
const OWN: readonly Act[] = [
  "quarantine the name",
  "revoke the name",
  "delete the name",
  "promote the name as one",
  "promote the name as two",
  "acquire one",
];
const MEANWHILE: readonly (readonly Act[])[] = [
  ["acquire two"],
  ["acquire one"],
  ["acquire two", "acquire one"],
  ["acquire two", "quarantine one"],
  ["acquire two", "promote one"],
  ["acquire two", "revoke one"],
  ["acquire two", "delete one"],
  ["delete the name", "acquire two"],
  ["promote the name as one"],
  ["revoke the name"],
];

/** With GATE_RUNS all that may have been before, else one of it by chance. */
function someOf<T>(items: readonly T[]): readonly T[] {
  const first = randomInt(items.length);
  return [...items.slice(first), ...items.slice(0, first)].slice(0, runs(1));
}

test.each(OWN.flatMap((act) => MEANWHILE.map((others) => [act, others.join(", "), others] as const)))(
  "%s, while others %s, is as if all had been done one after the other",
  async (act, _, others) => {
    for (const before of someOf(BEFORE)) {
      const possible: string[] = [];
      for (const after of [0, ...others.keys().map((place) => place + 1)]) possible.push(await inOrder(before, act, others, after));
      for (let moment = 1; ; moment = later(moment, 20)) {
        const scene = await Scene.after(before);
        const answers: string[] = [];
        const race = interrupted(at.services, moment, async () => {
          for (const each of others) answers.push(await outcome(scene, each, at.services));
        });
        answers.push(await outcome(scene, act, race.services));
        if (!race.came()) break;
        const came = await ended(scene, answers);
        expect(possible, `from ${before.join(", ")} at the moment ${moment}:\n${came}`).toContain(came);
        expect(await faultsOf(at.services.metadata, scene.place, at.directory)).toEqual([]);
      }
    }
    expect(await modelFaults(at.services.metadata)).toEqual([]);
  },
  runs(60_000),
);
