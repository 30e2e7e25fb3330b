import { createHash } from "node:crypto";
import { z } from "zod";
import { type KeySigner, bundleManifest, keySigner, statementOf } from "../../test/support/private-sigstore.ts";
import type { RunningRegistry } from "../registry-process.ts";

const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";
const EMPTY = "application/vnd.oci.empty.v1+json";
const MODEL = "application/vnd.cncf.model.manifest.v1+json";

/** Something that was pushed. */
export interface Pushed {
  readonly repository: string;
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
}

/** A file of an artifact. */
export interface Layer {
  readonly title: string;
  readonly bytes: string;
  readonly mediaType?: string;
}

/** What a manifest says besides its files. */
export interface Described {
  readonly tag?: string;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Named without being pushed. */
  readonly more?: readonly object[];
}

export function digestOf(bytes: string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** A registry with people of every role, what they push, and who signs. */
export class World {
  readonly registry: RunningRegistry;
  readonly signer: KeySigner = keySigner();
  readonly #keys = new Map<string, string>();

  constructor(registry: RunningRegistry) {
    this.registry = registry;
  }

  /** The API key of somebody. */
  async key(name: string): Promise<string> {
    return this.#keys.get(name) ?? this.registry.key(name);
  }

  /** Makes an identity with one role. */
  async hire(name: string, role: string, namespace: string): Promise<void> {
    const answer = await this.ask("operator", "POST /v1/credentials", JSON.stringify({ name, role, namespace }));
    this.#keys.set(name, z.object({ key: z.string() }).parse(JSON.parse(answer)).key);
  }

  /** The body of an answer that is none of an error. */
  async ask(who: string, what: string, body?: string, type = "application/json"): Promise<string> {
    const { status, text } = await this.try(who, what, body, type);
    if (status >= 400) throw new Error(`${what} as ${who}: ${status} ${text}`);
    return text;
  }

  async try(
    who: string,
    what: string,
    body?: string,
    type = "application/json",
  ): Promise<{ readonly status: number; readonly text: string }> {
    const [method = "GET", path = "/"] = what.split(" ");
    const authorization = `Basic ${Buffer.from(`${who}:${await this.key(who)}`).toString("base64")}`;
    const headers = { authorization, ...(body !== undefined && { "content-type": type }) };
    const answer = await fetch(`${this.registry.url}${path}`, { method, headers, ...(body !== undefined && { body }) });
    return { status: answer.status, text: await answer.text() };
  }

  /** Pushes files as an artifact. */
  async push(
    repository: string,
    layers: readonly Layer[],
    { tag = "v1", artifactType = MODEL, annotations, more = [] }: Described = {},
  ): Promise<Pushed> {
    for (const bytes of new Set(["{}", ...layers.map((layer) => layer.bytes)])) await this.#blob(repository, bytes);
    const manifest = {
      schemaVersion: 2,
      mediaType: IMAGE,
      artifactType,
      config: { mediaType: EMPTY, digest: digestOf("{}"), size: 2 },
      layers: [...layers.map(descriptorOf), ...more],
      ...(annotations && { annotations }),
    };
    return this.#manifest(repository, tag, JSON.stringify(manifest), IMAGE);
  }

  /** Pushes an index of artifacts of the same repository. */
  async pushIndex(repository: string, children: readonly Pushed[]): Promise<Pushed> {
    const manifests = children.map(({ digest, size, mediaType }) => ({ digest, size, mediaType }));
    return this.#manifest(repository, "all", JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }), INDEX);
  }

  /** Attaches the signature that policies ask for, or an attestation, as a signer's program does. */
  async sign(subject: Pushed, predicateType?: string, predicate?: object): Promise<Pushed> {
    const bundle = this.signer.bundle(statementOf(subject.digest, predicateType, predicate));
    await this.#blob(subject.repository, "{}");
    await this.#blob(subject.repository, bundle);
    const manifest = bundleManifest(subject, bundle);
    return this.#manifest(subject.repository, digestOf(manifest), manifest, IMAGE);
  }

  /** A policy that asks for a signature and for one approval. */
  async demandSignature(repository: string): Promise<void> {
    await this.demand(repository, [
      { name: "signed", anyOf: ["release"], evidence: { kind: "signature" } },
      { name: "reviewed", evidence: { kind: "approvals", minimum: 1 } },
    ]);
  }

  /** A policy with these requirements, of which the signer is the one authority. */
  async demand(repository: string, require: readonly object[]): Promise<void> {
    const name = repository.replaceAll("/", "-");
    const policy = {
      apiVersion: "trust.ai-model-registry.dev/v1",
      kind: "TrustPolicy",
      metadata: { name },
      spec: {
        match: { repositories: [repository] },
        authorities: [{ type: "key", name: "release", keys: [{ id: "release-2026", pem: this.signer.pem }] }],
        require,
      },
    };
    await this.ask("operator", `PUT /v1/policies/${name}`, JSON.stringify(policy));
  }

  /** Changes the state of an artifact by the API, as the operator. */
  async act({ repository, digest }: Pushed, act: string, body: object = {}): Promise<void> {
    await this.ask("operator", `POST /v1/artifacts/${repository}@${digest}/${act}`, JSON.stringify(body));
  }

  async delete({ repository, digest }: Pushed, reason: string): Promise<void> {
    await this.ask("operator", `DELETE /v1/artifacts/${repository}@${digest}?${new URLSearchParams({ reason }).toString()}`);
  }

  /** How a runtime's pull of the manifest by digest is answered. */
  async pull({ repository, digest }: Pushed): Promise<number> {
    return (await this.try("runtime", `GET /v2/${repository}/manifests/${digest}`)).status;
  }

  async #blob(repository: string, bytes: string): Promise<void> {
    await this.ask("publisher", `POST /v2/${repository}/blobs/uploads/?digest=${digestOf(bytes)}`, bytes, "application/octet-stream");
  }

  async #manifest(repository: string, tag: string, manifest: string, mediaType: string): Promise<Pushed> {
    await this.ask("publisher", `PUT /v2/${repository}/manifests/${tag}`, manifest, mediaType);
    return { repository, digest: digestOf(manifest), size: Buffer.byteLength(manifest), mediaType };
  }
}

function descriptorOf({ title, bytes, mediaType = "application/octet-stream" }: Layer): object {
  const annotations = { "org.opencontainers.image.title": title };
  return { mediaType, digest: digestOf(bytes), size: Buffer.byteLength(bytes), annotations };
}

/** The path of an artifact's page. */
export function pageOf({ repository, digest }: Pushed, below = ""): string {
  return `/ui/artifacts/${repository}@${digest}${below}`;
}
