import type { Digest } from "../src/oci/digest.ts";
import { MAINTAINER, OPERATOR, READER } from "../test/support/actors.ts";
import { type Actor, type ModelRepository, type Outcome, ReferenceModel } from "../test/support/reference-model.ts";
import type { Content, Model } from "./crash-content.ts";
import { must } from "./must.ts";

/** What the identities of the first start may do in the namespace that `publisher` owns. */
export const ACTORS = {
  publisher: { ...MAINTAINER, name: "publisher", revoke: true },
  operator: { ...OPERATOR, name: "operator" },
  runtime: { ...READER, name: "runtime" },
} as const satisfies Record<string, Actor>;

/** What is answered by each effect of the serving decision. */
export const STATUS = { allow: 200, absent: 404, denied: 403 } as const;

/** One way that a repository may be, and what the audit then has to tell since it was looked at last. */
interface World {
  readonly model: ReferenceModel;
  /** Events, as `<type> <digest or tag>`. */
  readonly events: readonly string[];
}

/** A change as the model makes it: what comes of it, and the event that the audit then holds. */
export interface Deed {
  readonly event: string;
  /** The artifact that it is done to. */
  readonly about?: Digest;
  readonly apply: (model: ReferenceModel, repository: ModelRepository) => Outcome;
}

/** A repository as it can be seen from outside: the states of its artifacts, and both pointers of its tags. */
export interface Seen {
  /** With the sequence of the last transition. */
  readonly states: ReadonlyMap<string, string>;
  readonly pushed: ReadonlyMap<string, string>;
  readonly promoted: ReadonlyMap<string, string>;
}

/** An upload that a client has not finished. */
export interface OpenUpload {
  readonly content: Content;
  readonly location: string;
  /** Bytes that the registry has acknowledged. */
  readonly acknowledged: number;
  /** Bytes that were sent at most. */
  readonly sent: number;
  /** Was it asked to close? Its blob may be there instead. */
  readonly closing: boolean;
}

/**
 * What is known of one repository by what was acknowledged, which one client alone changes, one request after the other: how it is or,
 * while a request that was cut is in doubt, the two ways in which it may be.
 */
export class RepositoryTruth {
  readonly name: string;
  readonly models = new Map<Digest, Model>();
  /** Artifacts that something was done to since everything was looked at last. */
  readonly touched = new Set<Digest>();
  /** Those since a state was. */
  readonly recent = new Set<Digest>();
  uploads: readonly OpenUpload[] = [];
  #worlds: readonly World[] = [{ model: new ReferenceModel(), events: [] }];
  /** What was asked for last, until it is known to be done or not. */
  #asked: Digest | undefined;
  #told: readonly string[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** How it is, when nothing is in doubt. */
  get repository(): ModelRepository {
    return this.#only.model.at(this.name);
  }

  get model(): ReferenceModel {
    return this.#only.model;
  }

  /** The same once more, to look at a state by: what is in doubt is decided there alone, and what follows is for the next one. */
  forState(): RepositoryTruth {
    const copy = new RepositoryTruth(this.name);
    for (const [digest, known] of this.models) copy.models.set(digest, known);
    for (const digest of this.recent) copy.recent.add(digest);
    copy.uploads = this.uploads;
    copy.#worlds = this.#worlds.map(({ model, events }) => ({ model: model.clone(), events }));
    this.recent.clear();
    if (this.#asked !== undefined) this.recent.add(this.#asked);
    return copy;
  }

  /** Takes over what the audit has told in a state that was looked at by the other one: it is known, and not told again. */
  learn(state: RepositoryTruth): void {
    const told = state.#told;
    const possible = this.#worlds.filter(({ events }) => told.every((event, at) => events[at] === event));
    must(possible.length > 0, `the audit of ${this.name} told of what was refused: ${told.join(", ")}`);
    this.#worlds = possible.map(({ model, events }) => ({ model, events: events.slice(told.length) }));
  }

  /** Artifacts that are there, when nothing is in doubt. */
  get present(): readonly Digest[] {
    return this.repository.present.map(({ definition }) => definition.digest);
  }

  get isInDoubt(): boolean {
    return this.#worlds.length > 1;
  }

  get #only(): World {
    const [world] = this.#worlds;
    if (world === undefined || this.isInDoubt) throw new Error(`${this.name} is in doubt`);
    return world;
  }

  /** Would the model carry it out? */
  allows({ apply }: Deed): boolean {
    const model = this.#only.model.clone();
    return apply(model, model.at(this.name)) === "done";
  }

  /** Something is asked for, and is in doubt until it is known to be done or not. */
  begin({ event, about, apply }: Deed): void {
    const { model, events } = this.#only;
    const after = model.clone();
    const isDone = apply(after, after.at(this.name)) === "done";
    if (!isDone) throw new Error(`the model does not do ${event} in ${this.name}`);
    this.#asked = about;
    if (about !== undefined) for (const those of [this.touched, this.recent]) those.add(about);
    this.#worlds = [
      { model, events },
      { model: after, events: event === "" ? events : [...events, event] },
    ];
  }

  /** What was asked for last was acknowledged, or refused. */
  end(isDone: boolean): void {
    const world = this.#worlds[isDone ? 1 : 0];
    if (world !== undefined) this.#worlds = [world];
    this.#asked = undefined;
  }

  /** Decides the doubt by what is seen; undefined when that is none of the ways in which it may be. */
  recognize(seen: Seen): "as known" | "not done" | "done" | undefined {
    const was = this.isInDoubt;
    const at = this.#worlds.findIndex((world) => isSame(seenOf(world.model.at(this.name)), seen));
    const world = this.#worlds[at];
    if (world === undefined) return undefined;
    this.#worlds = [world];
    this.#asked = undefined;
    if (!was) return "as known";
    return at === 0 ? "not done" : "done";
  }

  /** How it may be, for who has to understand why it is not. */
  describe(): string {
    return this.#worlds.map(({ model }) => textOf(seenOf(model.at(this.name)))).join("\n  or\n");
  }

  /** What the audit has to tell since this was asked last. */
  takeEvents(): readonly string[] {
    const { model, events } = this.#only;
    this.#worlds = [{ model, events: [] }];
    this.#told = events;
    return events;
  }
}

/** What is seen of a repository that is like the model. */
function seenOf(repository: ModelRepository): Seen {
  return {
    states: new Map([...repository.artifacts].map(([digest, { state, sequence }]) => [digest, `${state} ${sequence}`])),
    pushed: new Map([...repository.pushed].map(([tag, { digest }]) => [tag, digest])),
    promoted: new Map(repository.promoted),
  };
}

function isSame(one: Seen, other: Seen): boolean {
  return textOf(one) === textOf(other);
}

/** One line for each thing that is seen, in order. */
export function textOf({ states, pushed, promoted }: Seen): string {
  const lines = [
    ...[...states].map(([digest, state]) => `${digest} ${state}`),
    ...[...pushed].map(([tag, digest]) => `pushed ${tag} ${digest}`),
    ...[...promoted].map(([tag, digest]) => `promoted ${tag} ${digest}`),
  ];
  return lines.toSorted().join("\n");
}
