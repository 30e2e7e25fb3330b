import { writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AuditEvent } from "../../src/audit/event.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { identityRecord } from "../../src/storage/records.ts";
import { OPERATOR, PUBLISHER } from "./actors.ts";
import { DEFINITIONS, type What } from "./lifecycle-acts.ts";
import { inspectingHere } from "./inspector.ts";
import { type Actor, type Definition, type Outcome, ReferenceModel } from "./reference-model.ts";
import { type TestRegistry, startTestRegistry } from "./server.ts";

/** A whole registry with an identity of every kind, whose artifacts are put there and moved through its doors, and a model beside it. */

/** An answer as it came over the wire. */
export interface Answer {
  readonly status: number;
  /** Names and values in order, but for what differs between any two answers. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Who knocks, and what the model lets it see in the namespaces `models` and `others`. */
export interface Principal {
  readonly name: string;
  readonly role: string | undefined;
  readonly namespace: string;
  /** Another namespace that it reads. */
  readonly reads?: string;
  readonly models: Actor;
  readonly others: Actor;
  readonly audits?: boolean;
}

/** An artifact that was registered by the predecessor's API. */
export interface Registered {
  readonly name: string;
  readonly filename: string;
  readonly definition: Definition;
  /** Of its blobs. */
  readonly contents: readonly string[];
}

/** Whoever has the service token, which only `/v1` knows. */
export const TOKEN = "service-token";

/** What differs between any two answers: what is left of a limit tells of the caller's own requests. */
const AT_RANDOM: ReadonlySet<string> = new Set(["date", "x-request-id", "ratelimit"]);

export class GateWorld implements AsyncDisposable {
  readonly model = new ReferenceModel();
  readonly registry: TestRegistry;
  /** By their repositories. */
  readonly registered = new Map<string, Registered>();
  readonly #secrets: ReadonlyMap<string, string>;
  readonly #sessions = new Map<string, Promise<Readonly<Record<string, string>>>>();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });

  private constructor(registry: TestRegistry, secrets: ReadonlyMap<string, string>) {
    this.registry = registry;
    this.#secrets = secrets;
  }

  static async start(principals: readonly Principal[]): Promise<GateWorld> {
    const registry = await startTestRegistry({ around: inspectingHere });
    const post = async (path: string, body: object): Promise<Record<string, unknown>> => {
      const headers = { "Content-Type": "application/json" };
      const answer = await registry.fetchAs("operator", path, { method: "POST", headers, body: JSON.stringify(body) });
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
      return (await answer.json()) as Record<string, unknown>;
    };
    for (const name of ["others", "void"]) await post("/v1/namespaces", { name, owner: "publisher" });
    const secrets = new Map([["operator", registry.credentials.operator]]);
    for (const { name, role, namespace, reads } of principals) {
      if (role !== undefined)
        secrets.set(name, String((await post("/v1/credentials", { name, role, namespace, expires_in: 3600 }))["key"]));
      if (reads !== undefined) await addReading(registry, name, reads);
    }
    return new GateWorld(registry, secrets);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    await this.registry.stop();
  }

  /** The value of `Authorization` for a principal; undefined for nobody. */
  authorization(name: string): string | undefined {
    if (name === TOKEN) return `Bearer ${this.registry.credentials.serviceToken}`;
    const key = this.#secrets.get(name);
    return key === undefined ? undefined : `Basic ${Buffer.from(`${name}:${key}`).toString("base64")}`;
  }

  /** Headers by which a principal asks for pages: the cookie of its session, which it signs in for once. */
  session(name: string): Promise<Readonly<Record<string, string>>> {
    const known = this.#sessions.get(name) ?? this.#signIn(name);
    this.#sessions.set(name, known);
    return known;
  }

  async #signIn(name: string): Promise<Readonly<Record<string, string>>> {
    const body = new URLSearchParams({ name, key: this.#secrets.get(name) ?? "" }).toString();
    const headers = { "Content-Type": "application/x-www-form-urlencoded", Origin: this.registry.url };
    const answer = await this.#must(303, name, "/ui/sign-in", { method: "POST", headers, body });
    return { Cookie: (headerOf(answer, "set-cookie") ?? "").split(";", 1)[0] ?? "" };
  }

  /** One request over a socket that is kept, by whoever has this authorization. */
  ask(authorization: string | undefined, path: string, { method = "GET", headers = {}, body }: Asked = {}): Promise<Answer> {
    const length =
      method === "GET" || method === "HEAD" ? {} : { "Content-Length": String(body === undefined ? 0 : Buffer.byteLength(body)) };
    const who = authorization === undefined ? {} : { Authorization: authorization };
    return new Promise((resolve, reject) => {
      const outgoing = request(this.registry.url + path, { method, agent: this.#agent, headers: { ...who, ...length, ...headers } });
      outgoing.once("error", reject);
      outgoing.once("response", (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.once("error", reject);
        incoming.once("end", () =>
          resolve({ status: incoming.statusCode ?? 0, headers: pairs(incoming.rawHeaders), body: Buffer.concat(chunks) }),
        );
      });
      outgoing.end(body);
    });
  }

  /** A token for what the scope covers, had by logging in. */
  async token(name: string, scope: string): Promise<string> {
    const { body } = await this.ask(this.authorization(name), `/auth/token?scope=${encodeURIComponent(scope)}`);
    return `Bearer ${(JSON.parse(body.toString("utf8")) as { token: string }).token}`;
  }

  async #must(status: number, who: string, path: string, asked: Asked): Promise<Answer> {
    const answer = await this.ask(this.authorization(who), path, asked);
    if (answer.status !== status) throw new Error(`${asked.method} ${path}: ${answer.status} ${answer.body.toString("utf8")}`);
    return answer;
  }

  /** Resolves when every repository has followed the revocations everywhere. */
  async followed(): Promise<void> {
    const { metadata } = this.registry.services;
    while ((await metadata.list(under(keys.everywheresPending(), 1))).length > 0) await sleep(5);
    this.model.followEverywhere();
  }

  async pushBlob(who: string, place: string, content: string): Promise<void> {
    const digest = digestOf(content);
    await this.#must(201, who, `/v2/${place}/blobs/uploads/?digest=${digest}`, { method: "POST", body: content });
    this.model.pushBlob({ ...PUBLISHER, name: who }, this.model.at(place), digest);
  }

  async push(who: string, place: string, what: What, ...tags: readonly string[]): Promise<void> {
    const { manifest, digest } = DEFINITIONS[what];
    const query = tags.map((tag) => `tag=${tag}`).join("&");
    const headers = { "Content-Type": (manifest as { mediaType: string }).mediaType };
    await this.#must(201, who, `/v2/${place}/manifests/${digest}?${query}`, { method: "PUT", headers, body: JSON.stringify(manifest) });
    this.model.push({ ...PUBLISHER, name: who }, this.model.at(place), DEFINITIONS[what], tags);
  }

  /** A transition by the operator; the model has to allow it as the registry does. */
  async transition(place: string, what: What, event: Event, asked: Transition = {}): Promise<void> {
    const { digest } = DEFINITIONS[what];
    const path = `/v1/artifacts/${place}@${digest}`;
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify(event === "revoke" ? { reason: "bad", ...asked } : asked);
    if (event === "delete") await this.#must(200, "operator", path, { method: "DELETE" });
    else await this.#must(200, "operator", `${path}/${event}`, { method: "POST", headers, body });
    const outcome = EVENTS[event](this.model, place, digest, asked);
    if (outcome !== "done") throw new Error(`the model says ${outcome} of ${event} ${what} in ${place}`);
  }

  /** A reviewer's word for an artifact, and that it is taken back; nothing about who is shown what changes by either. */
  async approve(place: string, what: What): Promise<void> {
    const path = `/v1/artifacts/${place}@${DEFINITIONS[what].digest}/approve`;
    const headers = { "Content-Type": "application/json" };
    await this.#must(200, "reviewer", path, { method: "POST", headers, body: "{}" });
    await this.#must(200, "reviewer", path, { method: "DELETE" });
    await this.#must(200, "reviewer", path, { method: "POST", headers, body: "{}" });
  }

  /** Registers a file under a name, or again, by the predecessor's API. */
  async register(name: string): Promise<void> {
    const [filename, content] = [`${name}.gguf`, `the content of ${name}`];
    await writeFile(join(this.registry.directory, filename), content);
    const asked = { method: "POST", body: JSON.stringify({ name, filename }) };
    const { body } = await this.#must(201, TOKEN, "/v1/model/acquire", asked);
    const { repository, digest } = JSON.parse(body.toString("utf8")) as { repository: string; digest: Digest };
    const manifest = (await this.#must(200, "producer", `/v2/${repository}/manifests/${digest}`, {})).body;
    const { config, layers } = JSON.parse(manifest.toString("utf8")) as Record<"config", Named> & Record<"layers", readonly Named[]>;
    const blobs = [config.digest, ...layers.map((layer) => layer.digest)];
    const configText = (await this.#must(200, "producer", `/v2/${repository}/blobs/${config.digest}`, {})).body.toString("utf8");
    const definition = {
      manifest: {},
      digest,
      sha512: digestOf(manifest, "sha512"),
      children: [],
      blobs,
      subject: undefined,
      evidence: undefined,
    };
    const [repo, actor] = [this.model.at(repository), { ...PUBLISHER, name: TOKEN }];
    for (const blob of blobs) this.model.pushBlob(actor, repo, blob);
    this.model.push(actor, repo, definition, ["latest"]);
    this.registered.set(repository, { name, filename, definition, contents: [configText, content] });
  }

  /** A transition of a registered artifact by the predecessor's API. */
  async move(place: string, event: Event): Promise<void> {
    const { name, filename, definition, contents } = this.registered.get(place) ?? {};
    if (name === undefined || definition === undefined) throw new TypeError(`nothing was registered in ${place}`);
    const sha256 = digestOf(contents?.at(-1) ?? "").slice("sha256:".length);
    const promotion = { method: "POST", body: JSON.stringify({ name, filename, sha256 }) };
    const path = `/v1/model/${event}`;
    if (event === "promote") await this.#must(201, TOKEN, path, promotion);
    else await this.#must(200, TOKEN, `${path}?name=${encodeURIComponent(name)}`, { method: event === "delete" ? "DELETE" : "POST" });
    const outcome = EVENTS[event](this.model, place, definition.digest, {});
    if (outcome !== "done") throw new Error(`the model says ${outcome} of ${event} ${name}`);
  }
}

type Named = { readonly digest: Digest };

type Event = "quarantine" | "promote" | "revoke" | "delete";

interface Transition {
  readonly tags?: readonly string[];
  readonly permanent?: boolean;
  readonly everywhere?: boolean;
}

const ACTOR: Actor = { ...OPERATOR, name: "operator" };
const EVENTS: Readonly<Record<Event, (model: ReferenceModel, place: string, digest: Digest, asked: Transition) => Outcome>> = {
  quarantine: (model, place, digest) => model.quarantine(ACTOR, model.at(place), digest),
  promote: (model, place, digest, { tags = [] }) => model.promote(ACTOR, model.at(place), digest, { tags, covers: [] }),
  revoke: (model, place, digest, { permanent = false, everywhere = false }) =>
    model.revoke(ACTOR, model.at(place), digest, { permanent, everywhere }),
  delete: (model, place, digest) => model.delete(ACTOR, model.at(place), digest),
};

/** One identity with two roles, which no door makes yet. */
async function addReading({ services: { metadata, newId } }: TestRegistry, name: string, namespace: string): Promise<void> {
  const key = keys.identity(name);
  const record = identityRecord.parse((await metadata.get(key))?.value);
  const actor = { principal: "system", kind: "system" } as const;
  const event: AuditEvent = { id: newId(), time: 0, type: "test.role", actor, outcome: "allow" };
  const bindings = [...record.bindings, { role: "reader", namespace }];
  await metadata.commit({ expect: [], put: [{ key, value: { ...record, bindings } }], remove: [], audit: [event] });
}

function pairs(raw: readonly string[]): (readonly [string, string])[] {
  const headers: (readonly [string, string])[] = [];
  for (let at = 0; at < raw.length; at += 2) headers.push([raw[at] ?? "", raw[at + 1] ?? ""]);
  return headers.filter(([name]) => !AT_RANDOM.has(name.toLowerCase()));
}

export function headerOf({ headers }: Answer, name: string): string | undefined {
  return headers.find(([each]) => each.toLowerCase() === name)?.[1];
}
