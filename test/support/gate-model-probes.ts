import { randomBytes } from "node:crypto";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { READER } from "./actors.ts";
import type { Probe, ProbingActor } from "./gate-probes.ts";
import type { Answer, Registered } from "./gate-world.ts";
import { DEFINITIONS, type What } from "./lifecycle-acts.ts";
import type { Definition, ModelRepository, ReferenceModel } from "./reference-model.ts";

/** Probes of the predecessor's doors, each by every name that an artifact has there. */

/** Without a credential, and from this machine: what was registered is shown to it by its name, and nothing else (RULES 19). */
const NOBODY_HERE = "anonymous";

interface Name {
  readonly by: "name" | "tag" | "sha256" | "sha512";
  readonly text: string;
  readonly miss: string;
  /** What the name means to somebody who asks for what is seen, or for what is served. */
  readonly target: (model: ReferenceModel, actor: ProbingActor, meaning: "seen" | "served") => Digest | undefined;
}

function never(like: Digest): Digest {
  return digestOf(randomBytes(8), like.startsWith("sha512:") ? "sha512" : "sha256");
}

function referencesTo(place: string, { digest, sha512 }: Definition, tag: string): Name[] {
  return [
    { by: "sha256", text: `${place}@${digest}`, miss: `${place}@${never(digest)}`, target: () => digest },
    { by: "sha512", text: `${place}@${sha512}`, miss: `${place}@${never(sha512)}`, target: () => digest },
    {
      by: "tag",
      text: `${place}:${tag}`,
      miss: `${place}:no-such-tag`,
      target: (model, actor, meaning) => meant(model.at(place), actor, tag, meaning),
    },
  ];
}

/** RULES 9: the path is that of what readers get; all else is what the actor follows. */
function meant(
  repo: ModelRepository,
  { pullAny, followsPushes }: ProbingActor,
  tag: string,
  meaning: "seen" | "served",
): Digest | undefined {
  const [pushed, promoted] = [pullAny && followsPushes ? repo.pushed.get(tag)?.digest : undefined, repo.promoted.get(tag)];
  return meaning === "served" ? (promoted ?? pushed) : (pushed ?? promoted);
}

/** The doors that change nothing, for an artifact that was pushed. */
export function modelProbes(place: string, label: What): Probe[] {
  const definition = DEFINITIONS[label];
  return referencesTo(place, definition, label.toLowerCase()).flatMap((name) => readingProbes(place, label, name));
}

/** The same for one that was registered, by its name too. */
export function registeredProbes(place: string, { name, definition }: Registered): Probe[] {
  const byName: Name = { by: "name", text: name, miss: `no ${name}`, target: () => definition.digest };
  return [byName, ...referencesTo(place, definition, "latest")].flatMap((each) => readingProbes(place, name, each));
}

/** What an actor sees by a name. */
function seeing(actor: ProbingActor, by: Name["by"]): ProbingActor {
  if (actor.name !== NOBODY_HERE) return actor;
  return by === "name" ? { ...READER, pullAny: true, name: actor.name } : actor;
}

function readingProbes(place: string, about: string, name: Name): Probe[] {
  const doors: Readonly<Record<string, Door>> = {
    model: { path: "/v1/model", meaning: "seen", allowed: answered(200) },
    // Whether its bytes are whole or gone, somebody is told who sees it.
    verify: { path: "/v1/model/verify", method: "POST", meaning: "seen", allowed: answered(200, 409) },
    "verify-manifest": { path: "/v1/model/verify-manifest", method: "POST", meaning: "seen", allowed: answered(200) },
    path: { path: "/v1/model/path", meaning: "served", allowed: (...args) => located(place, name, ...args) },
  };
  return Object.entries(doors).map(([door, { path, method = "GET", meaning, allowed }]) => ({
    door: `${door} by ${name.by}`,
    about,
    path: `${path}?name=${encodeURIComponent(name.text)}`,
    asked: { method },
    miss: `${path}?name=${encodeURIComponent(name.miss)}`,
    effect: (model, actor) => {
      const target = name.target(model, actor, meaning);
      return target !== undefined && model.seesRecord(seeing(actor, name.by), model.at(place), target) ? "allow" : "absent";
    },
    allowed,
  }));
}

interface Door {
  readonly path: string;
  readonly method?: "POST";
  readonly meaning: "seen" | "served";
  readonly allowed: Probe["allowed"];
}

function answered(...statuses: readonly number[]): (answer: Answer) => string[] {
  return ({ status }) => (statuses.includes(status) ? [] : [`status ${status} instead of ${statuses.join(" or ")}`]);
}

/** A path for what has a folder in `trusted/` and files in it, which an index has not. */
function located(place: string, name: Name, ...[answer, model, actor]: Parameters<Probe["allowed"]>): string[] {
  const target = name.target(model, actor, "served");
  const found = model.runtime(model.at(place)).find(({ definition }) => definition.digest === target);
  const expected = found === undefined ? 403 : found.definition.children.length > 0 ? 409 : 200;
  return [...answered(expected)(answer), ...((expected === 200) === answer.body.includes('"path"') ? [] : ["another path"])];
}

const EVENTS = { quarantine: "POST", revoke: "POST", delete: "DELETE" } as const;

/** Changes by who may make none: what it cannot see is missing, all else is forbidden; without a credential everything is. */
export function forbiddenModelProbes(place: string, definition: Definition, registered?: Registered): Probe[] {
  const { digest } = definition;
  const byDigest = { by: "digest", text: `${place}@${digest}`, miss: `${place}@${never(digest)}` };
  const byName = registered && { by: "name", text: registered.name, miss: `no ${registered.name}` };
  return [byDigest, ...(byName === undefined ? [] : [byName])].flatMap(({ by, text, miss }) =>
    Object.entries(EVENTS).map(([event, method]) => ({
      door: `model ${event} by ${by} by who may not`,
      about: text,
      path: `/v1/model/${event}?name=${encodeURIComponent(text)}`,
      asked: { method },
      miss: `/v1/model/${event}?name=${encodeURIComponent(miss)}`,
      effect: (model, actor) => (actor.name !== NOBODY_HERE && model.seesRecord(actor, model.at(place), digest) ? "allow" : "absent"),
      allowed: answered(403),
    })),
  );
}

/** Registering and promoting by who may not: refused alike, whatever is there. */
export function blindModelProbes({ name, filename }: Registered): Probe[] {
  const changes = { acquire: { name, filename }, promote: { name, filename, sha256: "0".repeat(64) } };
  return Object.entries(changes).map(([event, body]) => ({
    door: `model ${event} by who may not`,
    about: name,
    path: `/v1/model/${event}`,
    asked: { method: "POST", body: JSON.stringify(body) },
    miss: `/v1/model/${event}`,
    effect: () => "allow",
    allowed: answered(403),
  }));
}
