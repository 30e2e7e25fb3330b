import { type Digest, digestOf } from "../../src/oci/digest.ts";

/**
 * What a registry of artifacts is, in memory and in the words of the design: the table of DESIGN §2; reach, covers, tags and deletion by
 * RULES 1 to 14; who reads what by protocol.md §3. It shares no code with the registry but digests, and nothing with its storage: where the
 * registry looks up rows, it walks.
 */

type State = "acquired" | "quarantined" | "trusted" | "revoked" | "deleted";
export type Effect = "allow" | "absent" | "denied";

/** What somebody may read and do in one repository. */
export interface Actor {
  readonly name: string;
  readonly pull: boolean;
  readonly pullAny: boolean;
  readonly forensic: boolean;
  /** Follows tags as they were pushed. */
  readonly followsPushes: boolean;
  readonly pushAny: boolean;
  readonly quarantine: boolean;
  readonly promote: boolean;
  /** Does it promote what it has put there itself, too? */
  readonly promotesOwn?: true;
  readonly revoke: boolean;
  readonly revokeEverywhere: boolean;
  readonly reinstate: boolean;
  /** Its own uploads, anybody's, or what is or was trusted as well. */
  readonly delete: "nothing" | "own" | "others" | "any";
}

/** A manifest as it is pushed. */
export interface Definition {
  readonly manifest: object;
  readonly digest: Digest;
  readonly sha512: Digest;
  readonly children: readonly Digest[];
  readonly blobs: readonly Digest[];
  readonly subject: Digest | undefined;
  /** Covered by default when it is attached to what is promoted; a signature also when it is attached to evidence. */
  readonly evidence: "signature" | "other" | undefined;
}

export interface Artifact {
  readonly definition: Definition;
  state: State;
  /** Was it trusted in this generation? */
  once: boolean;
  /** Links of its chain. */
  sequence: number;
  revocation: Strength | null;
  covers: readonly Digest[];
  readonly uploaders: Set<string>;
  /** Who was the first to put it in this generation: it is theirs. */
  readonly pusher: string;
  /** Blobs that were revoked content when it was pushed: it opens them to nobody. */
  closed: ReadonlySet<Digest>;
}

export class ModelRepository {
  readonly artifacts = new Map<Digest, Artifact>();
  /** Blobs, by who brought them. */
  readonly links = new Map<Digest, string>();
  readonly pushed = new Map<string, { readonly digest: Digest; readonly by: string }>();
  readonly promoted = new Map<string, Digest>();
  /** Was anything ever put here? */
  exists = false;

  /** By either name. */
  artifact(name: Digest): Artifact | undefined {
    return this.artifacts.get(name) ?? [...this.artifacts.values()].find(({ definition }) => definition.sha512 === name);
  }

  attachedTo({ definition: { digest, sha512 } }: Artifact): Artifact[] {
    return this.present.filter(({ definition }) => definition.subject === digest || definition.subject === sha512);
  }

  get present(): Artifact[] {
    return [...this.artifacts.values()].filter(({ state }) => state !== "deleted");
  }
}

/** `hidden`: the actor may not know of it. `refused`: by the policy. Nothing changes but by `done`. */
export type Outcome = "done" | "hidden" | "denied" | "conflict" | "refused";

interface Reached {
  readonly manifests: Set<Digest>;
  readonly blobs: Set<Digest>;
}

interface Strength {
  readonly permanent: boolean;
  readonly everywhere: boolean;
}

const EMPTY = digestOf("{}");
const UNREVIEWED = { pull: true, pullAny: true, forensic: false };
type Reading = Pick<Actor, "pull" | "pullAny" | "forensic">;

export class ReferenceModel {
  readonly repositories = new Map<string, ModelRepository>();
  /** Revocations everywhere, by digest; `pending` while other repositories have not followed. */
  readonly everywhere = new Map<Digest, { readonly permanent: boolean; pending: boolean }>();

  at(name: string): ModelRepository {
    const known = this.repositories.get(name) ?? new ModelRepository();
    this.repositories.set(name, known);
    return known;
  }

  /** The same once more, to try what would come of something. */
  clone(): ReferenceModel {
    return this.copiedTo(new ReferenceModel());
  }

  protected copiedTo<T extends ReferenceModel>(copy: T): T {
    for (const [name, repo] of this.repositories) {
      const own = copy.at(name);
      own.exists = repo.exists;
      for (const [digest, artifact] of repo.artifacts) own.artifacts.set(digest, { ...artifact, uploaders: new Set(artifact.uploaders) });
      for (const [digest, by] of repo.links) own.links.set(digest, by);
      for (const [tag, pushed] of repo.pushed) own.pushed.set(tag, pushed);
      for (const [tag, promoted] of repo.promoted) own.promoted.set(tag, promoted);
    }
    for (const [digest, everywhere] of this.everywhere) copy.everywhere.set(digest, { ...everywhere });
    return copy;
  }

  // Who reads what

  manifest(reading: Reading, repo: ModelRepository, name: Digest): Effect {
    const artifact = repo.artifact(name);
    if (artifact === undefined || artifact.state === "deleted" || !(reading.pull || reading.pullAny)) return "absent";
    const { digest } = artifact.definition;
    const isKnown = this.#known(repo).manifests.has(digest);
    if (this.#isRevoked(artifact)) return revoked(reading, isKnown);
    if (this.#served(repo).manifests.has(digest)) return "allow";
    if (isKnown) return revoked(reading, true);
    return reading.pullAny ? "allow" : "absent";
  }

  blob(reading: Reading, repo: ModelRepository, digest: Digest): Effect {
    if (!repo.links.has(digest) || !(reading.pull || reading.pullAny)) return "absent";
    if (this.#served(repo).blobs.has(digest)) return "allow";
    const isKnown = this.#known(repo).blobs.has(digest);
    if (!reading.pullAny) return isKnown ? revoked(reading, true) : "absent";
    const named = this.#namedBy(repo, digest);
    if (named === "visible") return "allow";
    return isKnown || named === "revoked" ? revoked(reading, isKnown) : "allow";
  }

  /** How manifests that are there name a blob, for whoever reads untrusted but no revoked content. */
  #namedBy(repo: ModelRepository, digest: Digest): "visible" | "revoked" | "nothing" {
    if (digest === EMPTY) return "visible";
    const namers = repo.present.filter(({ definition }) => definition.blobs.includes(digest));
    const open = namers.filter(({ state, closed }) => state !== "revoked" && !closed.has(digest));
    if (open.some(({ definition }) => this.manifest(UNREVIEWED, repo, definition.digest) === "allow")) return "visible";
    return open.length > 0 || namers.some(({ state }) => state === "revoked") ? "revoked" : "nothing";
  }

  /** Manifest and payload of a statement about an artifact, once they are written. */
  statement(reading: Reading, repo: ModelRepository, about: Digest): Effect {
    if (reading.pullAny) return "allow";
    return reading.pull && this.#known(repo).manifests.has(about) ? "allow" : "absent";
  }

  /** Which digest a tag means. */
  tagged({ pullAny, followsPushes }: Actor, repo: ModelRepository, tag: string): Digest | undefined {
    return pullAny && followsPushes ? repo.pushed.get(tag)?.digest : repo.promoted.get(tag);
  }

  /** Undefined where the actor sees nothing at all. */
  tags(actor: Actor, repo: ModelRepository): string[] | undefined {
    if (!this.sees(actor, repo)) return undefined;
    const tags = actor.pullAny && actor.followsPushes ? repo.pushed : repo.promoted;
    return [...tags.keys()].filter((tag) => this.#isListed(actor, repo, tag)).toSorted();
  }

  #isListed(actor: Actor, repo: ModelRepository, tag: string): boolean {
    const digest = this.tagged(actor, repo, tag);
    if (digest === undefined || this.manifest(actor, repo, digest) !== "allow") return false;
    return (actor.pullAny && actor.followsPushes) || repo.artifact(digest)?.state === "trusted";
  }

  /** Is there anything in the repository that the actor sees, so that it is in its catalog? */
  sees({ pull, pullAny }: Reading, repo: ModelRepository): boolean {
    return pullAny ? repo.exists : pull && repo.present.some(({ state }) => state === "trusted");
  }

  /** The referrers of a name that the actor sees, besides statements. */
  referrers(reading: Reading, repo: ModelRepository, name: Digest): Digest[] {
    const subject = repo.artifact(name);
    const effect = this.manifest(reading, repo, name);
    if (effect === "denied" || (effect === "absent" && !reading.pullAny)) return [];
    const attached =
      subject === undefined ? repo.present.filter(({ definition }) => definition.subject === name) : repo.attachedTo(subject);
    return attached
      .map(({ definition }) => definition.digest)
      .filter((digest) => this.manifest(reading, repo, digest) === "allow")
      .toSorted();
  }

  /** Does the actor see the record of an artifact by the native API? */
  seesRecord(reading: Reading & { readonly audits?: boolean }, repo: ModelRepository, digest: Digest): boolean {
    if (repo.artifact(digest) === undefined) return false;
    return reading.pullAny || reading.audits === true || this.manifest(reading, repo, digest) !== "absent";
  }

  // What is reached

  #isRevoked({ definition, state }: Artifact): boolean {
    return state === "revoked" || this.everywhere.has(definition.digest);
  }

  /** What was promoted in its present generation and not deleted since. */
  #roots(repo: ModelRepository, except: Digest | undefined): Artifact[] {
    return repo.present.filter(({ once, definition }) => once && definition.digest !== except);
  }

  /** What trusted roots reach and cover, but for revoked branches. */
  #served(repo: ModelRepository, except?: Digest): Reached {
    const roots = this.#roots(repo, except).filter((root) => root.state === "trusted" && !this.#isRevoked(root));
    return this.#below(repo, roots, (artifact) => !this.#isRevoked(artifact));
  }

  /** What roots reach and cover, or did. */
  #known(repo: ModelRepository, except?: Digest): Reached {
    return this.#below(repo, this.#roots(repo, except), () => true);
  }

  #below(repo: ModelRepository, roots: readonly Artifact[], enters: (artifact: Artifact) => boolean): Reached {
    const reached: Reached = { manifests: new Set(), blobs: new Set() };
    const queue = roots.flatMap(({ definition, covers }) => [definition.digest, ...covers]);
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      const artifact = repo.artifact(name);
      if (artifact === undefined || artifact.state === "deleted" || !enters(artifact)) continue;
      if (reached.manifests.has(artifact.definition.digest)) continue;
      reached.manifests.add(artifact.definition.digest);
      for (const blob of artifact.definition.blobs) reached.blobs.add(blob);
      queue.push(...artifact.definition.children);
    }
    return reached;
  }

  /** What has a folder in `trusted/`: roots and what they contain, not what their promotions cover. */
  runtime(repo: ModelRepository): readonly Artifact[] {
    const roots = this.#roots(repo, undefined).filter((root) => root.state === "trusted");
    const { manifests } = this.#below(
      repo,
      roots.map((root) => ({ ...root, covers: [] })),
      (artifact) => !this.#isRevoked(artifact),
    );
    return repo.present.filter(({ definition }) => manifests.has(definition.digest));
  }

  // What happens

  push({ name }: Actor, repo: ModelRepository, definition: Definition, tags: readonly string[]): Outcome {
    const { digest } = definition;
    if (this.everywhere.has(digest)) return "denied";
    repo.exists = true;
    const old = repo.artifacts.get(digest);
    if (old === undefined || old.state === "deleted") {
      const closed = new Set(definition.blobs.filter((blob) => this.blob(UNREVIEWED, repo, blob) === "denied"));
      repo.artifacts.set(digest, {
        definition,
        state: "acquired",
        once: false,
        sequence: (old?.sequence ?? 0) + 1,
        revocation: old?.revocation ?? null,
        covers: [],
        uploaders: new Set([name]),
        pusher: name,
        closed,
      });
    } else old.uploaders.add(name);
    for (const tag of tags) repo.pushed.set(tag, { digest, by: name });
    return "done";
  }

  quarantine(actor: Actor, repo: ModelRepository, digest: Digest): Outcome {
    const found = this.#find(actor, repo, digest, actor.quarantine);
    if (typeof found === "string") return found;
    if (found.state === "quarantined") return "done";
    if (found.state !== "acquired" || this.#served(repo, digest).manifests.has(digest)) return "conflict";
    move(found, "quarantined");
    return "done";
  }

  promote(
    actor: Actor,
    repo: ModelRepository,
    digest: Digest,
    asked: { readonly tags: readonly string[]; readonly covers: readonly Digest[] },
  ): Outcome {
    const found = this.#find(actor, repo, digest, actor.promote);
    if (typeof found === "string") return found;
    const forbidden = this.#mayNotPromote(actor, found);
    if (forbidden !== undefined) return forbidden;
    if (asked.tags.some((tag) => repo.pushed.get(tag)?.digest !== digest)) return "conflict";
    const closure = this.#below(repo, [{ ...found, covers: [] }], () => true);
    const parts = [...closure.manifests].map((part) => repo.artifacts.get(part)).filter((part) => part !== undefined);
    if (actor.promotesOwn !== true && parts.some(({ uploaders }) => uploaders.has(actor.name))) return "denied";
    const covers = this.#covers(repo, parts, asked.covers);
    if (covers === undefined || !this.#isSound(repo, found, parts)) return "refused";
    if (found.state === "revoked") found.closed = new Set();
    move(found, "trusted");
    Object.assign(found, { once: true, revocation: null, covers });
    this.everywhere.delete(digest);
    const free = [...repo.pushed].filter(([tag, pushed]) => pushed.digest === digest && !repo.promoted.has(tag)).map(([tag]) => tag);
    for (const tag of [...asked.tags, ...free]) repo.promoted.set(tag, digest);
    return "done";
  }

  #mayNotPromote(actor: Actor, { state, revocation, definition }: Artifact): Outcome | undefined {
    const everywhere = this.everywhere.get(definition.digest);
    if (state === "deleted" || revocation?.permanent === true) return "conflict";
    if (revocation !== null && !actor.reinstate) return "denied";
    return everywhere === undefined ? undefined : mayNotLift(actor, everywhere);
  }

  /** Is all of the closure there, and nothing but the root itself revoked or quarantined? */
  #isSound(repo: ModelRepository, root: Artifact, parts: readonly Artifact[]): boolean {
    const isThere = (name: Digest): boolean => (repo.artifact(name)?.state ?? "deleted") !== "deleted";
    return parts.every(
      (part) =>
        (part === root || (!this.#isRevoked(part) && part.state !== "quarantined")) &&
        part.definition.children.every(isThere) &&
        part.definition.blobs.every((blob) => repo.links.has(blob)),
    );
  }

  /** What a promotion covers; undefined when something that was named cannot be covered. */
  #covers(repo: ModelRepository, parts: readonly Artifact[], named: readonly Digest[]): readonly Digest[] | undefined {
    const isCoverable = (artifact: Artifact): boolean =>
      artifact.state !== "quarantined" &&
      artifact.state !== "deleted" &&
      !this.#isRevoked(artifact) &&
      artifact.definition.children.length === 0 &&
      artifact.definition.blobs.every((blob) => repo.links.has(blob));
    const evidence = parts
      .flatMap((part) => repo.attachedTo(part))
      .filter((each) => each.definition.evidence !== undefined && isCoverable(each));
    const signatures = evidence
      .flatMap((each) => repo.attachedTo(each))
      .filter((each) => each.definition.evidence === "signature" && isCoverable(each));
    const found = [...new Set([...evidence, ...signatures])];
    const subjects = new Set([...parts, ...found].flatMap(({ definition }) => [definition.digest, definition.sha512]));
    const extra = named.map((name) => repo.artifact(name));
    const all = [...found];
    for (const each of extra) {
      if (each?.definition.subject === undefined || !subjects.has(each.definition.subject) || !isCoverable(each)) return undefined;
      all.push(each);
    }
    return [...new Set(all.map(({ definition }) => definition.digest))].toSorted();
  }

  revoke(
    actor: Actor,
    repo: ModelRepository,
    digest: Digest,
    asked: { readonly permanent: boolean; readonly everywhere: boolean },
  ): Outcome {
    const found = this.#find(actor, repo, digest, actor.revoke && (!asked.everywhere || actor.revokeEverywhere));
    if (typeof found === "string") return found;
    return this.#revoke(found, asked);
  }

  #revoke(found: Artifact, asked: Strength): Outcome {
    if (found.state === "deleted") return "conflict";
    const old: Strength = found.revocation ?? { permanent: false, everywhere: false };
    const isWide = this.#isWide(found, asked);
    if (found.state === "revoked" && includes({ ...old, everywhere: isWide }, asked)) return "done";
    move(found, "revoked");
    found.revocation = { permanent: asked.permanent || old.permanent, everywhere: asked.everywhere || old.everywhere };
    if (asked.everywhere && !isWide) this.everywhere.set(found.definition.digest, { permanent: found.revocation.permanent, pending: true });
    return "done";
  }

  /** Is a revocation everywhere in force that is as permanent as what is asked for? */
  #isWide({ definition }: Artifact, { permanent }: Strength): boolean {
    const wide = this.everywhere.get(definition.digest);
    return wide !== undefined && (wide.permanent || !permanent);
  }

  /** Is a revocation everywhere in force that other repositories have not followed yet? */
  isFollowing(): boolean {
    return [...this.everywhere.values()].some(({ pending }) => pending);
  }

  /** The other repositories follow the revocations everywhere. */
  followEverywhere(): void {
    for (const [digest, wide] of this.everywhere) {
      if (!wide.pending) continue;
      for (const repo of this.repositories.values()) {
        const artifact = repo.artifacts.get(digest);
        if (artifact !== undefined && artifact.state !== "deleted") this.#revoke(artifact, { permanent: wide.permanent, everywhere: true });
      }
      wide.pending = false;
    }
  }

  delete(actor: Actor, repo: ModelRepository, digest: Digest): Outcome {
    const found = this.#find(actor, repo, digest, actor.delete !== "nothing");
    if (typeof found === "string") return found;
    if (found.state === "deleted") return "done";
    if (this.#known(repo, digest).manifests.has(digest) || !mayDelete(actor, found)) return "denied";
    move(found, "deleted");
    found.covers = [];
    for (const [tag, pushed] of repo.pushed) if (pushed.digest === digest) repo.pushed.delete(tag);
    for (const [tag, promoted] of repo.promoted) if (promoted === digest) repo.promoted.delete(tag);
    return "done";
  }

  deleteTag(actor: Actor, repo: ModelRepository, tag: string): Outcome {
    const pushed = actor.pullAny ? repo.pushed.get(tag) : undefined;
    if (pushed === undefined) return "hidden";
    if (pushed.by !== actor.name && actor.delete !== "others" && actor.delete !== "any") return "denied";
    repo.pushed.delete(tag);
    return "done";
  }

  rollBack(actor: Actor, repo: ModelRepository, tag: string, digest: Digest | null): Outcome {
    if (!actor.pull && !actor.pullAny) return "hidden";
    if (!actor.pushAny) return "denied";
    if (digest === null) return repo.promoted.delete(tag) ? "done" : "hidden";
    const target = repo.artifact(digest);
    if (target?.state !== "trusted" || this.#isRevoked(target)) return "conflict";
    repo.promoted.set(tag, digest);
    return "done";
  }

  pushBlob({ name }: Actor, repo: ModelRepository, digest: Digest): Outcome {
    if (!repo.links.has(digest)) repo.links.set(digest, name);
    repo.exists = true;
    return "done";
  }

  /** False for whatever cannot be mounted, for all reasons alike. */
  mount(actor: Actor, to: ModelRepository, from: { readonly repo: ModelRepository; readonly reading: Reading }, digest: Digest): boolean {
    const isReadable = (reading: Reading, repo: ModelRepository): boolean =>
      this.blob({ ...reading, forensic: false }, repo, digest) === "allow";
    if (isReadable(actor, to)) return true;
    if (to.links.has(digest) || !isReadable(from.reading, from.repo)) return false;
    to.links.set(digest, actor.name);
    to.exists = true;
    return true;
  }

  /** The collector, without any grace: what no manifest names that is there belongs to nobody any more. */
  collect(): void {
    for (const { present, links } of this.repositories.values()) {
      const named = new Set(present.flatMap(({ definition }) => definition.blobs));
      for (const digest of links.keys()) if (!named.has(digest)) links.delete(digest);
    }
  }

  deleteBlob(actor: Actor, repo: ModelRepository, digest: Digest): Outcome {
    if (this.blob(actor, repo, digest) === "absent") return "hidden";
    const isOwn = repo.links.get(digest) === actor.name;
    if (this.#known(repo).blobs.has(digest) || !(isOwn || actor.delete === "others" || actor.delete === "any")) return "denied";
    repo.links.delete(digest);
    return "done";
  }

  #find(actor: Actor, repo: ModelRepository, digest: Digest, mayDo: boolean): Artifact | Outcome {
    const found = repo.artifacts.get(digest);
    if (found === undefined || !this.seesRecord(actor, repo, digest)) return "hidden";
    return mayDo ? found : "denied";
  }
}

/** Forensics see it; others learn of it when they could have known it. */
function revoked({ pullAny, forensic }: Reading, isKnown: boolean): Effect {
  if (forensic) return "allow";
  return pullAny || isKnown ? "denied" : "absent";
}

function includes(strength: Strength, asked: Strength): boolean {
  return (strength.permanent || !asked.permanent) && (strength.everywhere || !asked.everywhere);
}

function mayNotLift(
  { reinstate, revokeEverywhere }: Actor,
  everywhere: { readonly permanent: boolean; readonly pending: boolean },
): Outcome | undefined {
  if (everywhere.permanent) return "conflict";
  if (!reinstate || !revokeEverywhere) return "denied";
  return everywhere.pending ? "conflict" : undefined;
}

function mayDelete(actor: Actor, { once, revocation, pusher }: Artifact): boolean {
  if (actor.delete === "any") return true;
  if (once || revocation !== null) return false;
  return actor.delete === "others" || (actor.delete === "own" && pusher === actor.name);
}

function move(artifact: Artifact, state: State): void {
  artifact.state = state;
  artifact.sequence += 1;
}
