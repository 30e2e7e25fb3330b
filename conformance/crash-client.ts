import type { Digest } from "../src/oci/digest.ts";
import { type Content, type Model, contentNamed, modelOf } from "./crash-content.ts";
import { ACTORS, type Deed, type RepositoryTruth, STATUS } from "./crash-truth.ts";
import { UploadingClient } from "./crash-uploads.ts";
import { must } from "./must.ts";
import type { Chance } from "./seeded-chance.ts";
import { CutError, type Wire, type WireRequest, wordsOf } from "./wire.ts";

/** Artifacts that a client keeps in its repository at a time. */
const POPULATION = 8;
const TAGS = ["v1", "v2", "v3", "latest"] as const;
/** Contents that all clients push, so that the same bytes come and go in several repositories at once. */
const SHARED = 10;
const [LITTLE, MIDDLE, MUCH] = [512, 64 * 1024, 3 * 1024 * 1024];
/** An error of the registry's own words that nothing was done, and that it may be tried again. */
const TRY_AGAIN: ReadonlySet<number> = new Set([429, 503]);

/** A request that changes something: who asks for it, what, and which answer says that it was done. */
interface Act extends Deed {
  readonly who: keyof typeof ACTORS;
  readonly method: string;
  readonly path: string;
  readonly asked?: WireRequest;
  readonly done: number;
}

/** One client: it drives one repository, one request after the other, and writes down what was acknowledged. */
export class CrashClient {
  readonly truth: RepositoryTruth;
  readonly #chance: Chance;
  #pushes = 0;
  /** Requests that were acknowledged, of all lives of the server. */
  acknowledged = 0;

  constructor(truth: RepositoryTruth, chance: Chance) {
    this.truth = truth;
    this.#chance = chance;
  }

  /** Goes on until its connection is cut; throws when that was nobody's doing. */
  async drive(wire: Wire, isKilled: () => boolean): Promise<void> {
    try {
      while (!isKilled()) await this.#something(wire);
    } catch (error) {
      if (!(error instanceof CutError) || !isKilled()) throw error;
    }
  }

  async #something(wire: Wire): Promise<void> {
    const uploading = new UploadingClient(this.truth, this.#chance, wire);
    const dice = this.#chance.between(0, 99);
    if (dice < 12) await uploading.goOn();
    else if (dice < 18) await uploading.leaveOne(this.#content("left"));
    else if (dice < 24) await this.#read(wire);
    else if (dice < 48) await this.#push(wire, uploading);
    else await this.#carryOut(wire, this.#anyAct());
    this.acknowledged += uploading.acknowledged;
  }

  async #push(wire: Wire, uploading: UploadingClient): Promise<void> {
    if (this.truth.present.length >= POPULATION) return this.#carryOut(wire, this.#deletion());
    const model = this.#model();
    for (const blob of model.blobs) await uploading.ensure(blob);
    this.truth.models.set(model.definition.digest, model);
    await this.#carryOut(wire, this.#manifestPush(model, this.#tag()));
  }

  /** A model of its own, or one that was there and was deleted. */
  #model(): Model {
    const { artifacts } = this.truth.repository;
    const deleted = [...artifacts.keys()].filter((digest) => artifacts.get(digest)?.state === "deleted").slice(-4);
    const again = this.#chance.inHundred(20) ? this.#chance.pick(deleted) : undefined;
    const known = again && this.truth.models.get(again);
    if (known !== undefined) return known;
    this.#pushes += 1;
    const config = contentNamed(`${this.truth.name} config ${this.#pushes}`, 200);
    const layers = Array.from({ length: this.#chance.between(1, 3) }, (_, at) => this.#content(`layer ${this.#pushes} ${at}`));
    return modelOf(config, [...new Set(layers)]);
  }

  #content(name: string): Content {
    if (this.#chance.inHundred(35)) {
      const shared = this.#chance.between(1, SHARED);
      return contentNamed(`shared ${shared}`, LITTLE * shared ** 3);
    }
    const most = this.#chance.inHundred(8) ? MUCH : this.#chance.inHundred(40) ? MIDDLE : LITTLE;
    return contentNamed(`${this.truth.name} ${name} ${this.#chance.between(0, 1_000_000)}`, this.#chance.between(1, most));
  }

  #tag(): string {
    return this.#chance.pick(TAGS) ?? TAGS[0];
  }

  #manifestPush({ definition, manifest, type }: Model, tag: string): Act | undefined {
    if (this.truth.repository.pushed.get(tag)?.digest === definition.digest) return undefined;
    return {
      who: "publisher",
      method: "PUT",
      path: `/v2/${this.truth.name}/manifests/${tag}`,
      asked: { headers: { "content-type": type }, body: manifest },
      done: 201,
      about: definition.digest,
      event: `manifest.push ${definition.digest}`,
      apply: (model, repository) => model.push(ACTORS.publisher, repository, definition, [tag]),
    };
  }

  #anyAct(): Act | undefined {
    const digest = this.#chance.pick(this.truth.present);
    if (digest === undefined) return undefined;
    const acts = [
      () => this.#promotion(digest),
      () => this.#promotion(digest),
      () => this.#promotion(digest),
      () => this.#transition("revoke", digest, { reason: "of a kill" }),
      () => this.#transition("quarantine", digest, {}),
      () => this.#deletion(),
      () => this.#tagMove(digest),
      () => this.#tagDeletion(),
      () => this.#rollBack(digest),
      () => this.#rollBack(null),
    ];
    return this.#chance.pick(acts)?.();
  }

  /** By its digest, or by a tag, which it then moves. */
  #promotion(digest: Digest): Act {
    const tags = [...this.truth.repository.pushed].filter(([, pushed]) => pushed.digest === digest).map(([tag]) => tag);
    const tag = this.#chance.inHundred(60) ? this.#chance.pick(tags) : undefined;
    const ref = tag === undefined ? `@${digest}` : `:${tag}`;
    return {
      ...this.#native("POST", `${this.truth.name}${ref}/promote`, {}),
      about: digest,
      event: `artifact.promote ${digest}`,
      apply: (model, repository) =>
        model.promote(ACTORS.operator, repository, digest, { tags: tag === undefined ? [] : [tag], covers: [] }),
    };
  }

  #transition(action: "revoke" | "quarantine", digest: Digest, body: object): Act | undefined {
    const state = this.truth.repository.artifact(digest)?.state;
    // What is there already is answered as done, and is no event.
    if (state === (action === "revoke" ? "revoked" : "quarantined")) return undefined;
    return {
      ...this.#native("POST", `${this.truth.name}@${digest}/${action}`, body),
      about: digest,
      event: `artifact.${action} ${digest}`,
      apply: (model, repository) =>
        action === "revoke"
          ? model.revoke(ACTORS.operator, repository, digest, { permanent: false, everywhere: false })
          : model.quarantine(ACTORS.operator, repository, digest),
    };
  }

  #deletion(): Act | undefined {
    const digest = this.#chance.pick(this.truth.present);
    return (
      digest && {
        ...this.#native("DELETE", `${this.truth.name}@${digest}`),
        about: digest,
        event: `artifact.delete ${digest}`,
        apply: (model, repository) => model.delete(ACTORS.operator, repository, digest),
      }
    );
  }

  #tagMove(digest: Digest): Act | undefined {
    const model = this.truth.models.get(digest);
    return model && this.#manifestPush(model, this.#tag());
  }

  #tagDeletion(): Act {
    const tag = this.#tag();
    return {
      who: "publisher",
      method: "DELETE",
      path: `/v2/${this.truth.name}/manifests/${tag}`,
      done: 202,
      event: `tag.delete ${tag}`,
      apply: (model, repository) => model.deleteTag(ACTORS.publisher, repository, tag),
    };
  }

  #rollBack(digest: Digest | null): Act | undefined {
    const tag = this.#tag();
    if (this.truth.repository.promoted.get(tag) === digest) return undefined;
    const path = `/v1/tags/${this.truth.name}:${tag}/promoted`;
    const asked = jsonOf(digest === null ? {} : { digest });
    return {
      who: "publisher",
      method: digest === null ? "DELETE" : "PUT",
      path,
      asked,
      done: 200,
      event: `${digest === null ? "tag.remove" : "tag.rollback"} ${tag}`,
      apply: (model, repository) => model.rollBack(ACTORS.publisher, repository, tag, digest),
    };
  }

  #native(method: string, ref: string, body?: object): Pick<Act, "who" | "method" | "path" | "asked" | "done"> {
    return { who: "operator", method, path: `/v1/artifacts/${ref}`, ...(body && { asked: jsonOf(body) }), done: 200 };
  }

  /** What the model would not do is not asked for: what is refused is for other tests. */
  async #carryOut(wire: Wire, act: Act | undefined): Promise<void> {
    if (act === undefined || !this.truth.allows(act)) return;
    this.truth.begin(act);
    const answer = await wire.ask(act.who, act.method, act.path, act.asked);
    const isDone = answer.status === act.done;
    must(isDone || TRY_AGAIN.has(answer.status), `${act.method} ${act.path} (${act.event}) was answered ${wordsOf(answer)}`);
    this.truth.end(isDone);
    if (isDone) this.acknowledged += 1;
  }

  /** A runtime reads, while all of this goes on: it gets what is trusted, whole and right, or nothing. */
  async #read(wire: Wire): Promise<void> {
    const digest = this.#chance.pick([...this.truth.models.keys()].slice(-POPULATION));
    const model = digest && this.truth.models.get(digest);
    if (model === undefined) return;
    await readAsRuntime(this.truth, wire, model);
  }
}

/** Pulls a model as a runtime does, and throws unless it gets exactly what the truth says. */
export async function readAsRuntime(truth: RepositoryTruth, wire: Wire, { definition, manifest, blobs }: Model): Promise<void> {
  const { name, model, repository } = truth;
  const wanted = STATUS[model.manifest(ACTORS.runtime, repository, definition.digest)];
  const got = await wire.ask("runtime", "GET", `/v2/${name}/manifests/${definition.digest}`);
  must(got.status === wanted, `the runtime got ${got.status} instead of ${wanted} for ${name}@${definition.digest}`);
  must(wanted !== 200 || got.body.toString() === manifest, `the runtime got another manifest as ${name}@${definition.digest}`);
  for (const { digest, bytes } of blobs) {
    const effect = STATUS[model.blob(ACTORS.runtime, repository, digest)];
    const answer = await wire.ask("runtime", "GET", `/v2/${name}/blobs/${digest}`);
    // The link to what only a deleted artifact names may be collected by now.
    const isRight = answer.status === effect || (effect !== 200 && answer.status === 404);
    must(isRight, `the runtime got ${answer.status} instead of ${effect} for the blob ${digest} of ${name}`);
    must(effect !== 200 || answer.body.equals(bytes), `the runtime got other bytes as ${digest} of ${name}`);
  }
}

function jsonOf(body: object): WireRequest {
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}
