import { randomBytes } from "node:crypto";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { approvalStatementRecord } from "../../src/storage/policy-records.ts";
import { statementRecord } from "../../src/storage/records.ts";
import { type Answer, type Asked, type GateWorld, headerOf } from "./gate-world.ts";
import { CONTENTS, DEFINITIONS, type What } from "./lifecycle-acts.ts";
import { repository } from "./principal.ts";
import type { Actor, Definition, Effect, ReferenceModel } from "./reference-model.ts";

/** Auditors see records. */
export type ProbingActor = Actor & { readonly audits?: boolean };

/** Every way to ask one door for one thing, with what the model says that comes of it. */
export interface Probe {
  /** Of the same kind are the same door, asked in the same way: they share a true miss. */
  readonly door: string;
  readonly about: string;
  readonly path: string;
  readonly asked: Asked;
  /** A request to the same door for what never was, in the same repository. */
  readonly miss: string;
  readonly effect: (model: ReferenceModel, actor: ProbingActor) => Effect;
  /** What is wrong with an answer that allows it. */
  readonly allowed: (answer: Answer, model: ReferenceModel, actor: Actor) => string[];
}

/** Bytes that are in no manifest. */
export const UNNAMED = "in no manifest";
export const EVERY_CONTENT: readonly string[] = [...CONTENTS, UNNAMED];

/** What never was pushed, by a name of the same form. */
function never(like: Digest): Digest {
  return digestOf(randomBytes(8), like.startsWith("sha512:") ? "sha512" : "sha256");
}

/** An artifact that is asked for, and the tag that it was pushed with. */
export interface Subject {
  readonly about: string;
  readonly definition: Definition;
  readonly tag: string;
}

/** One of the model's definitions, as it is pushed. */
export function subjectOf(what: What | Subject): Subject {
  return typeof what === "string" ? { about: what, definition: DEFINITIONS[what], tag: what.toLowerCase() } : what;
}

// Manifests

function manifestRequests(digest: Digest): Readonly<Record<string, { readonly asked: Asked; readonly statuses: readonly number[] }>> {
  return {
    GET: { asked: {}, statuses: [200] },
    HEAD: { asked: { method: "HEAD" }, statuses: [200] },
    // By another name than that of the tag it counts as changed.
    "GET if it has changed": { asked: { headers: { "If-None-Match": `"${digest}"` } }, statuses: [304, 200] },
    "GET if there is none": { asked: { headers: { "If-None-Match": "*" } }, statuses: [304] },
    "GET of another type": { asked: { headers: { Accept: "application/vnd.docker.distribution.manifest.v1+json" } }, statuses: [200] },
  };
}

export function manifestProbes(place: string, what: What | Subject): Probe[] {
  const { about, definition, tag } = subjectOf(what);
  const { digest, sha512 } = definition;
  const names = [
    { by: "tag", name: tag, miss: "no-such-tag", of: (model: ReferenceModel, actor: Actor) => model.tagged(actor, model.at(place), tag) },
    { by: "sha256", name: digest, miss: never(digest), of: () => digest },
    { by: "sha512", name: sha512, miss: never(sha512), of: () => digest },
  ];
  return names.flatMap(({ by, name, miss, of }) =>
    Object.entries(manifestRequests(digest)).map(([how, { asked, statuses }]) => ({
      door: `manifest by ${by}: ${how}`,
      about,
      path: `/v2/${place}/manifests/${name}`,
      asked,
      miss: `/v2/${place}/manifests/${miss}`,
      effect: (model, actor) => {
        const target = of(model, actor);
        return target === undefined ? "absent" : model.manifest(actor, model.at(place), target);
      },
      allowed: (answer, model, actor) => [
        ...expected("status", answer.status, statuses),
        ...(answer.status === 200 && asked.method !== "HEAD" ? isManifest(answer, of(model, actor)) : []),
        ...cached(answer),
      ],
    })),
  );
}

function isManifest({ body }: Answer, digest: Digest | undefined): string[] {
  return digestOf(body) === digest ? [] : ["other bytes"];
}

/** Statements of the registry about an artifact, summaries of them and its approvals, as manifests and as their bundles. */
export async function statementProbes(world: GateWorld, place: string, { about, definition: { digest: of } }: Subject): Promise<Probe[]> {
  const rows = await world.registry.services.metadata.list(under(keys.statements(repository(place), of), 100));
  const links = rows.map(({ value }) => statementRecord.parse(value)).filter(({ manifest }) => manifest !== null);
  const approvals = await world.registry.services.metadata.list(under(keys.approvalStatements(repository(place), of), 100));
  const written = [
    ...links.flatMap(({ manifest, bundle, digest, summary }) => [
      { manifest, bundle, digest },
      ...(summary === undefined ? [] : [{ ...summary, digest }]),
    ]),
    ...approvals.map(({ value }) => approvalStatementRecord.parse(value)),
  ];
  const contents = written.flatMap(({ manifest, bundle, digest }) => [
    { what: "manifest", path: `manifests/${manifest}`, miss: `manifests/${never(digest)}` },
    { what: "bundle", path: `blobs/${bundle}`, miss: `blobs/${never(digest)}` },
  ]);
  return contents.flatMap(({ what, path, miss }) =>
    ["GET", "HEAD"].map((method) => ({
      door: `statement's ${what}: ${method}`,
      about,
      path: `/v2/${place}/${path}`,
      asked: { method },
      miss: `/v2/${place}/${miss}`,
      effect: (model, actor) => model.statement(actor, model.at(place), of),
      allowed: (answer) => [...expected("status", answer.status, [200]), ...cached(answer)],
    })),
  );
}

// Blobs

interface BlobRequest {
  readonly asked: Asked;
  readonly statuses: readonly number[];
  readonly bytes?: (content: string) => string;
}

const whole = (content: string): string => content;

function ranged(range: string, more: Readonly<Record<string, string>> = {}): Asked {
  return { headers: { Range: range, ...more } };
}

function blobRequests(digest: Digest): Readonly<Record<string, BlobRequest>> {
  return {
    GET: { asked: {}, statuses: [200], bytes: whole },
    HEAD: { asked: { method: "HEAD" }, statuses: [200] },
    "HEAD with a range": { asked: { method: "HEAD", ...ranged("bytes=0-0") }, statuses: [200] },
    "single range": { asked: ranged("bytes=0-1"), statuses: [206], bytes: (content) => content.slice(0, 2) },
    "open range": { asked: ranged("bytes=1-"), statuses: [206], bytes: (content) => content.slice(1) },
    "suffix range": { asked: ranged("bytes=-1"), statuses: [206], bytes: (content) => content.slice(-1) },
    "several ranges": { asked: ranged("bytes=0-0,1-1"), statuses: [200], bytes: whole },
    "range that it does not have": { asked: ranged("bytes=90000-"), statuses: [416] },
    "if it has changed": { asked: { headers: { "If-None-Match": `"${digest}"` } }, statuses: [304] },
    "if there is none": { asked: { headers: { "If-None-Match": "*" } }, statuses: [304] },
    "range if it is that": {
      asked: ranged("bytes=0-0", { "If-Range": `"${digest}"` }),
      statuses: [206],
      bytes: (content) => content.slice(0, 1),
    },
    "range if it is another": { asked: ranged("bytes=0-0", { "If-Range": '"other"' }), statuses: [200], bytes: whole },
  };
}

export function blobProbes(place: string, content: string): Probe[] {
  const digest = digestOf(content);
  return Object.entries(blobRequests(digest)).map(([how, { asked, statuses, bytes }]) => ({
    door: `blob: ${how}`,
    about: content,
    path: `/v2/${place}/blobs/${digest}`,
    asked,
    miss: `/v2/${place}/blobs/${never(digest)}`,
    effect: (model, actor) => model.blob(actor, model.at(place), digest),
    allowed: (answer) => [
      ...expected("status", answer.status, statuses),
      ...(bytes === undefined || answer.body.toString("utf8") === bytes(content) ? [] : ["other bytes"]),
      ...(answer.status === 416 ? [] : cached(answer)),
    ],
  }));
}

// The native API

/** The native API's records of an artifact. */
export function recordProbes(place: string, what: What | Subject): Probe[] {
  const { about, definition, tag } = subjectOf(what);
  const { digest, sha512 } = definition;
  const names = [
    { by: "sha256", name: `@${digest}`, miss: `@${never(digest)}`, of: () => digest },
    { by: "sha512", name: `@${sha512}`, miss: `@${never(sha512)}`, of: () => digest },
    { by: "tag", name: `:${tag}`, miss: ":no-such-tag", of: (model: ReferenceModel, actor: Actor) => meant(model, actor, place, tag) },
  ];
  return names.flatMap(({ by, name, miss, of }) =>
    ["", "/history", "/snapshot", `/decision?digest=${digestOf("none")}`].map((rest) => ({
      door: `record by ${by}${rest}`,
      about,
      path: `/v1/artifacts/${place}${name}${rest}`,
      asked: {},
      miss: `/v1/artifacts/${place}${miss}${rest}`,
      effect: (model, actor): Effect => {
        const target = of(model, actor);
        return target !== undefined && model.seesRecord(actor, model.at(place), target) ? "allow" : "absent";
      },
      allowed: (answer) => expected("status", answer.status, [rest.startsWith("/decision") ? 404 : 200]),
    })),
  );
}

// Pages

/** What the tabs of an artifact's page show that is read from its manifest; undefined where that is nothing. */
const READ: Readonly<Record<string, string | undefined>> = {
  "": undefined,
  "/changes": "Compared to",
  "/provenance": "The same as a list",
  "/timeline": undefined,
  "/contents": "What its manifest names",
  [`/contents?inside=${digestOf("one")}`]: "Inside ",
  "/card": "It has no model card",
  "/referrers": undefined,
  "/access": undefined,
  "/raw": "schemaVersion",
};

/** The pages of an artifact: seen by whom its record is, and what is read from its manifest by whom that is served. */
export function pageProbes(place: string, what: What | Subject): Probe[] {
  const { about, definition, tag } = subjectOf(what);
  const { digest } = definition;
  const tabs = Object.entries(READ).map(([tab, read]): Probe => ({
    door: `page${tab}`,
    about,
    path: `/ui/artifacts/${place}@${digest}${tab}`,
    asked: {},
    miss: `/ui/artifacts/${place}@${never(digest)}${tab}`,
    effect: (model, actor) => (model.seesRecord(actor, model.at(place), digest) ? "allow" : "absent"),
    allowed: (answer, model, actor) => {
      const isServed = model.manifest(actor, model.at(place), digest) === "allow";
      const isShown = read !== undefined && answer.body.toString("utf8").includes(read);
      return [...expected("status", answer.status, [200]), ...(isShown && !isServed ? ["shows what is not served"] : [])];
    },
  }));
  const byTag: Probe = {
    door: "page by tag",
    about,
    path: `/ui/artifacts/${place}:${tag}`,
    asked: {},
    miss: `/ui/artifacts/${place}:no-such-tag`,
    effect: (model, actor) => {
      const target = meant(model, actor, place, tag);
      return target !== undefined && model.seesRecord(actor, model.at(place), target) ? "allow" : "absent";
    },
    allowed: (answer) => expected("status", answer.status, [303]),
  };
  // A stream has no end: its head tells whether there would be one.
  const live: Probe = {
    door: "what happens to it",
    about,
    path: `/ui/live?about=${place}@${digest}`,
    asked: { method: "HEAD" },
    miss: `/ui/live?about=${place}@${never(digest)}`,
    effect: (model, actor) => (model.seesRecord(actor, model.at(place), digest) ? "allow" : "absent"),
    allowed: (answer) => expected("status", answer.status, [200]),
  };
  return [...tabs, byTag, live];
}

const CHANGES: readonly (readonly [string, string, string, string | undefined])[] = [
  ...["quarantine", "evaluate", "approve", "promote"].map((event) => [event, "POST", `/${event}`, "{}"] as const),
  ["withdrawal of an approval", "DELETE", "/approve", undefined],
  ["revoke", "POST", "/revoke", '{"reason":"bad"}'],
  ["delete", "DELETE", "", undefined],
];

/** Transitions and approvals by who may do none: what it cannot see is missing, all else is forbidden. */
export function forbiddenProbes(place: string, label: What): Probe[] {
  const { digest } = DEFINITIONS[label];
  return CHANGES.map(([event, method, rest, body]) => ({
    door: `${event} by who may not`,
    about: label,
    path: `/v1/artifacts/${place}@${digest}${rest}`,
    asked: body === undefined ? { method } : { method, body, headers: { "Content-Type": "application/json" } },
    miss: `/v1/artifacts/${place}@${never(digest)}${rest}`,
    effect: (model, actor) => (model.seesRecord(actor, model.at(place), digest) ? "allow" : "absent"),
    allowed: (answer) => expected("status", answer.status, [403]),
  }));
}

/** Changes by who may make none: answered alike whatever is there. */
export function blindProbes(place: string, label: What): Probe[] {
  const { digest, blobs } = DEFINITIONS[label];
  const blob = blobs.at(-1) ?? digest;
  const tag = label.toLowerCase();
  const body = JSON.stringify({ digest });
  const json = { "Content-Type": "application/json" };
  const changes: readonly (readonly [string, string, string, Asked])[] = [
    ["DELETE of a manifest", `/v2/${place}/manifests/${digest}`, `/v2/${place}/manifests/${never(digest)}`, { method: "DELETE" }],
    ["DELETE of a tag", `/v2/${place}/manifests/${tag}`, `/v2/${place}/manifests/no-such-tag`, { method: "DELETE" }],
    ["DELETE of a blob", `/v2/${place}/blobs/${blob}`, `/v2/${place}/blobs/${never(blob)}`, { method: "DELETE" }],
    ["mount", mountPath(place, blob), mountPath(place, never(blob)), { method: "POST" }],
    [
      "roll-back of a tag",
      `/v1/tags/${place}:${tag}/promoted`,
      `/v1/tags/${place}:no-such-tag/promoted`,
      { method: "PUT", body, headers: json },
    ],
    [
      "removal of a tag",
      `/v1/tags/${place}:${tag}/promoted`,
      `/v1/tags/${place}:no-such-tag/promoted`,
      { method: "DELETE", body: "{}", headers: json },
    ],
  ];
  return changes.map(([door, path, miss, asked]) => ({ door, about: label, path, asked, miss, effect: () => "absent", allowed: () => [] }));
}

function mountPath(place: string, digest: Digest): string {
  return `/v2/${place}/blobs/uploads/?mount=${digest}&from=${place}`;
}

/** What a tag of a reference means: what was pushed for who follows that, and what readers see to everybody else. */
function meant(model: ReferenceModel, actor: Actor, place: string, tag: string): Digest | undefined {
  const repo = model.at(place);
  const follows = actor.pullAny && actor.followsPushes;
  return (follows ? repo.pushed.get(tag)?.digest : undefined) ?? repo.promoted.get(tag);
}

function expected(what: string, found: number, wanted: readonly number[]): string[] {
  return wanted.includes(found) ? [] : [`${what} ${found} instead of ${wanted.join(" or ")}`];
}

/** protocol.md §9, row 22: no cache answers in the registry's place. */
function cached(answer: Answer): string[] {
  const control = headerOf(answer, "cache-control") ?? "";
  return /\bprivate\b/.test(control) && /\bno-(?:store|cache)\b/.test(control) ? [] : [`Cache-Control is "${control}"`];
}

/** What is wrong with the answer to a probe, when `miss` is what the same door answers to what never was. */
export function faultsOfAnswer(
  probe: Probe,
  { model, actor }: { readonly model: ReferenceModel; readonly actor: ProbingActor },
  { answer, miss }: { readonly answer: Answer; readonly miss: Answer },
): string[] {
  const effect = probe.effect(model, actor);
  const say = (fault: string): string => `${probe.door} of ${probe.about} (${effect}): ${fault}`;
  if (effect === "allow") return probe.allowed(answer, model, actor).map(say);
  if (effect === "absent") return told(answer) === told(miss) ? [] : [say(`${told(answer)} where a true miss is ${told(miss)}`)];
  return denied(probe, answer).map(say);
}

/** All that can be told of an answer. */
export function told({ status, headers, body }: Answer): string {
  return JSON.stringify({ status, headers, body: body.toString("latin1") });
}

function denied({ asked: { method } }: Probe, answer: Answer): string[] {
  const isHead = method === "HEAD";
  const text = answer.body.toString("utf8");
  const isSaid = isHead ? text === "" : text.includes('"DENIED"') && text.includes("revoked");
  const leaks = ["docker-content-digest", "etag", "content-range"].filter((name) => headerOf(answer, name) !== undefined);
  return [
    ...expected("status", answer.status, [403]),
    ...(isSaid ? [] : [`said ${text.slice(0, 200)}`]),
    ...leaks.map((name) => `has the header ${name}`),
  ];
}
