import { digestOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { findModel } from "../../src/registry/find-model.ts";
import { listModels } from "../../src/registry/list-models.ts";
import { locateModel } from "../../src/registry/locate-model.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { pullManifest } from "../../src/registry/pull-manifest.ts";
import { findManifest, readerFor, serveBlob, serveManifest } from "../../src/registry/serving.ts";
import { READER } from "./actors.ts";
import { principalWith, repository } from "./principal.ts";
import type { Actor, Artifact } from "./reference-model.ts";
import { ARTIFACTS, BLOBS, IDENTITIES, REPOSITORIES, TAGS, callerNamed, registrar } from "./registered-acts.ts";
import type { RegisteredModel } from "./registered-model.ts";
import { type Transitions, tag } from "./transitions.ts";

/** All that everybody sees by either API, by who looks at what: from the registry, and from the model. */
type View = ReadonlyMap<string, string>;

const LOCAL: Caller = {
  principal: principalWith([], { name: "local-reader", kind: "local-reader", credential: undefined }),
  actor: { principal: "local-reader", kind: "local-reader" },
};
/** As far as names go. */
const LOCAL_ACTOR: Actor = { ...READER, pullAny: true, name: "local-reader" };
const NAMES = ["a", "b"] as const;
const EVIDENCE = "seal";

interface Looker {
  readonly name: string;
  readonly caller: Caller;
  readonly actor: Actor;
}

const LOOKERS: readonly Looker[] = [
  ...([...IDENTITIES, "service-token"] as const).map((name) => ({ name, caller: callerNamed(name), actor: registrar(name) })),
  { name: "local", caller: LOCAL, actor: LOCAL_ACTOR },
];

function listed(items: readonly string[]): string {
  return items.toSorted((a, b) => (a < b ? -1 : 1)).join(" ");
}

export async function seen(at: Transitions): Promise<View> {
  const view = new Map<string, string>();
  for (const { name, caller } of LOOKERS) {
    view.set(`${name} models`, await modelsOf(at, caller));
    for (const model of NAMES) view.set(`${name} path of ${model}`, await pathOf(at, caller, model));
    if (!isIdentity(name)) continue;
    for (const place of REPOSITORIES) for (const [what, is] of await contentOf(at, caller, place)) view.set(`${name} ${place} ${what}`, is);
  }
  return view;
}

function isIdentity(name: string): boolean {
  return IDENTITIES.some((each) => each === name);
}

async function modelsOf({ services }: Transitions, caller: Caller): Promise<string> {
  const models: string[] = [];
  for await (const { name, details, repository: place, record } of listModels(services, caller)) {
    const label = Object.keys(ARTIFACTS).find((each) => ARTIFACTS[each]?.digest === record.digest);
    models.push(details === undefined ? `${place}@${label}:${record.state}` : `${name}=${details.path}:${record.state}`);
  }
  return listed(models);
}

async function pathOf({ services }: Transitions, caller: Caller, name: string): Promise<string> {
  try {
    const { path } = await locateModel(services, await findModel(services, caller, name, "served"));
    return path.endsWith(".gguf") ? "path" : path;
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    return error.code === "NOT_FOUND" ? "hidden" : error.code === "DENIED" ? "untrusted" : error.code;
  }
}

async function contentOf(at: Transitions, caller: Caller, place: string): Promise<View> {
  const view = new Map<string, string>();
  const [{ services }, repo, reader] = [at, repository(place), readerFor(caller.principal, repository(place))];
  for (const [label, { digest }] of Object.entries(ARTIFACTS)) {
    view.set(label, (await serveManifest(services, reader, repo, (await findManifest(services, repo, digest))?.record)).effect);
  }
  for (const content of BLOBS) view.set(`blob ${content}`, (await serveBlob(services, reader, repo, digestOf(content))).serving.effect);
  for (const each of TAGS) {
    const pulled = await pullManifest(services, caller, repo, { tag: tag(each) }).catch((error: unknown) => {
      if (error instanceof RegistryError) return error.code === "DENIED" ? "denied" : "absent";
      throw error;
    });
    view.set(`tag ${each}`, typeof pulled === "string" ? pulled : pulled.digest);
  }
  return view;
}

export function foreseen(model: RegisteredModel): View {
  const view = new Map<string, string>();
  for (const { name, actor } of LOOKERS) {
    view.set(`${name} models`, listed([...model.seenNames(actor), ...(name === "local" ? [] : pushedModels(model, actor))]));
    for (const each of NAMES) view.set(`${name} path of ${each}`, model.located(actor, each));
    if (!isIdentity(name)) continue;
    for (const place of REPOSITORIES)
      for (const [what, is] of foreseenContent(model, actor, place)) view.set(`${name} ${place} ${what}`, is);
  }
  return view;
}

/** What was pushed by OCI and never registered, but for evidence. */
function pushedModels(model: RegisteredModel, { pull, pullAny }: Actor): string[] {
  const isListed = ({ state, once }: Artifact): boolean => pullAny || (pull && (state === "trusted" || (state === "revoked" && once)));
  return REPOSITORIES.flatMap((place) =>
    Object.entries(ARTIFACTS).flatMap(([label, { digest }]) => {
      const artifact = model.at(place).artifacts.get(digest);
      if (artifact === undefined || label === EVIDENCE || model.isRegistered(place, digest) || !isListed(artifact)) return [];
      return [`${place}@${label}:${artifact.state}`];
    }),
  );
}

function foreseenContent(model: RegisteredModel, actor: Actor, place: string): View {
  const [view, repo] = [new Map<string, string>(), model.at(place)];
  for (const [label, { digest }] of Object.entries(ARTIFACTS)) view.set(label, model.manifest(actor, repo, digest));
  for (const content of BLOBS) view.set(`blob ${content}`, model.blob(actor, repo, digestOf(content)));
  for (const each of TAGS) {
    const digest = model.tagged(actor, repo, each);
    const effect = digest === undefined ? "absent" : model.manifest(actor, repo, digest);
    view.set(`tag ${each}`, digest !== undefined && effect === "allow" ? digest : effect);
  }
  return view;
}
