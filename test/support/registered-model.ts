import type { Digest } from "../../src/oci/digest.ts";
import { type Actor, type Definition, type ModelRepository, type Outcome, ReferenceModel } from "./reference-model.ts";

/** A file that is registered under a name, and the OCI artifact that it becomes. */
export interface RegisteredFile {
  readonly name: string;
  readonly path: string;
  readonly content: string;
  readonly definition: Definition;
}

/** Whoever acts by the predecessor's API. */
export interface Registrar extends Actor {
  readonly acquire: boolean;
}

/** The tag of a name's repository that belongs to the name. */
const OWN_TAG = "latest";

/**
 * The model of a registry that has the predecessor's API as well: names, each with a repository of its own, and files of the data
 * directory, each of one live name (RULES 24 and 27).
 */
export class RegisteredModel extends ReferenceModel {
  /** What a name means. */
  readonly names = new Map<string, RegisteredFile>();
  /** The name that a file was registered under last. */
  readonly files = new Map<string, string>();
  /** What was ever registered: repository and digest. */
  readonly registered = new Set<string>();

  override clone(): RegisteredModel {
    const copy = this.copiedTo(new RegisteredModel());
    for (const [name, file] of this.names) copy.names.set(name, file);
    for (const [path, name] of this.files) copy.files.set(path, name);
    for (const each of this.registered) copy.registered.add(each);
    return copy;
  }

  repositoryOf(name: string): ModelRepository {
    return this.at(`models/${name}`);
  }

  isRegistered(place: string, digest: Digest): boolean {
    return this.registered.has(`${place} ${digest}`);
  }

  // By OCI, where names have their say

  pushByOci(actor: Actor, place: string, definition: Definition, tags: readonly string[]): Outcome {
    const isGone = this.at(place).artifacts.get(definition.digest)?.state === "deleted";
    if (this.#isOwned(place) && tags.includes(OWN_TAG)) return "denied";
    if (isGone && this.isRegistered(place, definition.digest)) return "denied";
    return this.push(actor, this.at(place), definition, tags);
  }

  deleteTagByOci(actor: Actor, place: string, tag: string): Outcome {
    return this.#isOwned(place) && tag === OWN_TAG ? "denied" : this.deleteTag(actor, this.at(place), tag);
  }

  #isOwned(place: string): boolean {
    return [...this.names.keys()].some((name) => place === `models/${name}`);
  }

  // By name

  acquire(actor: Registrar, file: RegisteredFile): Outcome {
    if (!actor.acquire) return "denied";
    const { name, path, definition } = file;
    const repo = this.repositoryOf(name);
    if (!this.#isFree(file)) return "conflict";
    if (this.everywhere.has(definition.digest)) return "denied";
    if (isSettled(repo.artifacts.get(definition.digest)?.state)) return "conflict";
    this.push(actor, repo, definition, [OWN_TAG]);
    for (const blob of definition.blobs) this.pushBlob(actor, repo, blob);
    this.names.set(name, file);
    this.files.set(path, name);
    this.registered.add(`models/${name} ${definition.digest}`);
    return "done";
  }

  #isFree({ name, path }: RegisteredFile): boolean {
    if (!this.names.has(name) && this.repositoryOf(name).pushed.has(OWN_TAG)) return false;
    const holder = this.files.get(path);
    if (holder !== undefined && holder !== name && this.#holds(holder, path)) return false;
    return !isSettled(this.#stateOf(name));
  }

  /** Is the file still that of a name's live artifact? */
  #holds(name: string, path: string): boolean {
    return this.names.get(name)?.path === path && this.#stateOf(name) !== "deleted";
  }

  #stateOf(name: string): string | undefined {
    const file = this.names.get(name);
    return file && this.repositoryOf(name).artifacts.get(file.definition.digest)?.state;
  }

  promoteByName(actor: Registrar, file: RegisteredFile): Outcome {
    if (!actor.promote) return "denied";
    const known = this.#seen(actor, file.name);
    if (known === undefined) return this.#acquireAndPromote(actor, file);
    if (this.#stateOf(file.name) === "deleted" || known.path !== file.path) return "conflict";
    return this.promote(actor, this.repositoryOf(file.name), known.definition.digest, { tags: [OWN_TAG], covers: [] });
  }

  /** Both or neither. */
  #acquireAndPromote(actor: Registrar, file: RegisteredFile): Outcome {
    const trial = this.clone();
    const outcome = trial.acquire(actor, file);
    if (outcome !== "done") return outcome;
    const asked = { tags: [OWN_TAG], covers: [] };
    const promoted = trial.promote(actor, trial.repositoryOf(file.name), file.definition.digest, asked);
    if (promoted !== "done") return promoted;
    this.acquire(actor, file);
    return this.promote(actor, this.repositoryOf(file.name), file.definition.digest, asked);
  }

  quarantineByName(actor: Actor, name: string): Outcome {
    return this.#moveByName(actor, name, (repo, digest) => this.quarantine(actor, repo, digest));
  }

  revokeByName(actor: Actor, name: string): Outcome {
    return this.#moveByName(actor, name, (repo, digest) => this.revoke(actor, repo, digest, { permanent: false, everywhere: false }));
  }

  deleteByName(actor: Actor, name: string): Outcome {
    return this.#moveByName(actor, name, (repo, digest) => this.delete(actor, repo, digest));
  }

  #moveByName(actor: Actor, name: string, move: (repo: ModelRepository, digest: Digest) => Outcome): Outcome {
    const known = this.#seen(actor, name);
    return known === undefined ? "hidden" : move(this.repositoryOf(name), known.definition.digest);
  }

  #seen(actor: Actor, name: string): RegisteredFile | undefined {
    const file = this.names.get(name);
    return file !== undefined && this.seesRecord(actor, this.repositoryOf(name), file.definition.digest) ? file : undefined;
  }

  // What is seen

  /** Names that the actor sees, each with what it means and in which state that is. */
  seenNames(actor: Actor): readonly string[] {
    return [...this.names.keys()].flatMap((name) => {
      const file = this.#seen(actor, name);
      return file === undefined ? [] : [`${name}=${file.path}:${this.#stateOf(name)}`];
    });
  }

  /** What the path of a name answers to the actor. */
  located(actor: Actor, name: string): "path" | "untrusted" | "hidden" {
    const file = this.#seen(actor, name);
    if (file === undefined) return "hidden";
    const isThere = this.runtime(this.repositoryOf(name)).some(({ definition }) => definition.digest === file.definition.digest);
    return isThere ? "path" : "untrusted";
  }
}

function isSettled(state: string | undefined): boolean {
  return state === "trusted" || state === "revoked";
}
