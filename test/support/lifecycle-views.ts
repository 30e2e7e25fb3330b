import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import type { RepositoryName } from "../../src/oci/reference.ts";
import { listArtifacts } from "../../src/registry/list-artifacts.ts";
import { listReferrers } from "../../src/registry/list-referrers.ts";
import { listRepositories } from "../../src/registry/list-repositories.ts";
import { listTags } from "../../src/registry/list-tags.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { pullManifest } from "../../src/registry/pull-manifest.ts";
import { findManifest, readerFor, serveBlob, serveManifest } from "../../src/registry/serving.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { type StatementRecord, statementRecord } from "../../src/storage/records.ts";
import { CONTENTS, DEFINITIONS, NAMES, type Name, PLACES, TAGS, WHATS, type What, actorIn, callerOf } from "./lifecycle-acts.ts";
import { repository } from "./principal.ts";
import type { Actor, Artifact, ModelRepository, ReferenceModel } from "./reference-model.ts";
import { type Transitions, tag } from "./transitions.ts";

/** All that everybody sees, by who looks where at what: from the registry, and from the model. */
export type View = ReadonlyMap<string, string>;

const ALL = { n: 1000, last: undefined };

function labelOf(digest: Digest): What | undefined {
  return WHATS.find((label) => DEFINITIONS[label].digest === digest);
}

function listed(labels: readonly (string | undefined)[]): string {
  return `[${labels
    .filter((label) => label !== undefined)
    .toSorted((a, b) => (a < b ? -1 : 1))
    .join(" ")}]`;
}

// From the registry

export async function seen(at: Transitions): Promise<View> {
  const view = new Map<string, string>();
  for (const name of NAMES) {
    const caller = callerOf(name);
    for (const place of PLACES) {
      for (const [what, is] of await seenIn(at, caller, repository(place))) view.set(`${name} ${place} ${what}`, is);
    }
    view.set(`${name} catalog`, listed((await listRepositories(at.services, caller, ALL)).repositories));
    const { artifacts } = await listArtifacts(at.services, caller, {
      repository: undefined,
      state: undefined,
      cursor: undefined,
      limit: 1000,
    });
    view.set(
      `${name} artifacts`,
      listed(artifacts.map((each) => `${each.repository}/${labelOf(each.digest)}:${each.state}:${each.sequence}`)),
    );
  }
  return view;
}

async function seenIn(at: Transitions, caller: Caller, repo: RepositoryName): Promise<View> {
  const { services } = at;
  const view = new Map<string, string>();
  const reader = readerFor(caller.principal, repo);
  const manifest = async (digest: Digest): Promise<string> =>
    (await serveManifest(services, reader, repo, (await findManifest(services, repo, digest))?.record)).effect;
  const blob = async (digest: Digest): Promise<string> => (await serveBlob(services, reader, repo, digest)).serving.effect;
  for (const label of WHATS) {
    for (const algorithm of ["digest", "sha512"] as const) {
      const name = DEFINITIONS[label][algorithm];
      view.set(`${label} by ${algorithm}`, await manifest(name));
      const query = { repository: repo, subject: name, artifactType: undefined, page: ALL };
      const { referrers } = await listReferrers(services, caller, query);
      view.set(`referrers of ${label} by ${algorithm}`, listed(referrers.map(({ digest }) => labelOf(digest))));
    }
    for (const { sequence, manifest: written, bundle, summary } of await statementsOf(at, repo, label)) {
      view.set(`statement ${sequence} of ${label}`, `${await manifest(written)} ${await blob(bundle)}`);
      if (summary !== undefined) {
        view.set(`summary ${sequence} of ${label}`, `${await manifest(summary.manifest)} ${await blob(summary.bundle)}`);
      }
    }
  }
  for (const content of CONTENTS) view.set(`blob ${content}`, await blob(digestOf(content)));
  for (const name of TAGS) view.set(`tag ${name}`, await pulled(at, caller, repo, name));
  view.set(
    "tags",
    await listTags(services, caller, repo, ALL).then(
      ({ tags }) => listed(tags),
      () => "unknown",
    ),
  );
  return view;
}

async function pulled({ services }: Transitions, caller: Caller, repo: RepositoryName, name: string): Promise<string> {
  try {
    const { digest } = await pullManifest(services, caller, repo, { tag: tag(name) });
    return `allow ${labelOf(digest)}`;
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    return error.code === "DENIED" ? "denied" : "absent";
  }
}

interface Written extends StatementRecord {
  readonly sequence: number;
  readonly manifest: Digest;
  readonly bundle: Digest;
}

/** The statements that there are as manifests: how many, the rows say, and `faultsOf` that the rows are right. */
async function statementsOf({ services }: Transitions, repo: RepositoryName, label: What): Promise<readonly Written[]> {
  const rows = await services.metadata.list(under(keys.statements(repo, DEFINITIONS[label].digest), 1000));
  const links = rows.map(({ key, value }) => ({ ...statementRecord.parse(value), sequence: Number(key[3]) }));
  return links.flatMap((link) =>
    link.manifest === null || link.bundle === undefined ? [] : [{ ...link, manifest: link.manifest, bundle: link.bundle }],
  );
}

/** What has a folder in `trusted/` at a place. */
export async function foldersSeen(at: Transitions, place: string): Promise<string> {
  const folders = await readdir(join(at.directory, "trusted", place)).catch((): string[] => []);
  return listed(WHATS.filter((what) => folders.includes(DEFINITIONS[what].digest.replace(":", "-"))));
}

// From the model

export function foldersForeseen(model: ReferenceModel, place: string): string {
  const withFiles = model.runtime(model.at(place)).filter(({ definition }) => definition.blobs.length > 0);
  return listed(withFiles.map(({ definition }) => labelOf(definition.digest)));
}

export async function foreseen(at: Transitions, model: ReferenceModel): Promise<View> {
  const view = new Map<string, string>();
  for (const name of NAMES) {
    for (const place of PLACES) {
      const actor = actorIn(name, place);
      for (const [what, is] of foreseenIn(model, actor, model.at(place))) view.set(`${name} ${place} ${what}`, is);
      for (const [what, is] of await foreseenStatements(at, model, actor, place)) view.set(`${name} ${place} ${what}`, is);
    }
    view.set(`${name} catalog`, listed(PLACES.filter((place) => model.sees(actorIn(name, place), model.at(place)))));
    view.set(`${name} artifacts`, listed(PLACES.flatMap((place) => listedIn(model, name, place))));
  }
  return view;
}

async function foreseenStatements(at: Transitions, model: ReferenceModel, actor: Actor, place: string): Promise<View> {
  const view = new Map<string, string>();
  for (const label of WHATS) {
    const effect = model.statement(actor, model.at(place), DEFINITIONS[label].digest);
    const written = await statementsOf(at, repository(place), label);
    for (const { sequence, summary } of written) {
      view.set(`statement ${sequence} of ${label}`, `${effect} ${effect}`);
      if (summary !== undefined) view.set(`summary ${sequence} of ${label}`, `${effect} ${effect}`);
    }
  }
  return view;
}

function listedIn(model: ReferenceModel, name: Name, place: string): string[] {
  const { pull, pullAny } = actorIn(name, place);
  const isListed = ({ state, once }: Artifact): boolean => pullAny || (pull && (state === "trusted" || (state === "revoked" && once)));
  const artifacts = [...model.at(place).artifacts.values()].filter(isListed);
  return artifacts.map(({ definition, state, sequence }) => `${place}/${labelOf(definition.digest)}:${state}:${sequence}`);
}

function foreseenIn(model: ReferenceModel, actor: Actor, repo: ModelRepository): View {
  const view = new Map<string, string>();
  for (const label of WHATS) {
    for (const algorithm of ["digest", "sha512"] as const) {
      const name = DEFINITIONS[label][algorithm];
      view.set(`${label} by ${algorithm}`, model.manifest(actor, repo, name));
      view.set(`referrers of ${label} by ${algorithm}`, listed(model.referrers(actor, repo, name).map(labelOf)));
    }
  }
  for (const content of CONTENTS) view.set(`blob ${content}`, model.blob(actor, repo, digestOf(content)));
  for (const name of TAGS) {
    const digest = model.tagged(actor, repo, name);
    const effect = digest === undefined ? "absent" : model.manifest(actor, repo, digest);
    view.set(`tag ${name}`, digest !== undefined && effect === "allow" ? `allow ${labelOf(digest)}` : effect);
  }
  const tags = model.tags(actor, repo);
  view.set("tags", tags === undefined ? "unknown" : listed(tags));
  return view;
}

/** Where the views differ; with `less`, only where more is seen than was foreseen. */
export function differences(expected: View, found: View, less: boolean): string[] {
  const places = new Set([...expected.keys(), ...found.keys()]);
  return [...places].flatMap((place) => {
    const [was, is] = [expected.get(place) ?? "nothing", found.get(place) ?? "nothing"];
    return was === is || (less && isLess(was, is)) ? [] : [`${place}: ${is} instead of ${was}`];
  });
}

function isLess(was: string, is: string): boolean {
  if (was.startsWith("[") && is.startsWith("[")) {
    const known = new Set(was.slice(1, -1).split(" "));
    return is
      .slice(1, -1)
      .split(" ")
      .every((each) => each === "" || known.has(each));
  }
  return was.startsWith("allow") && is === "denied";
}
