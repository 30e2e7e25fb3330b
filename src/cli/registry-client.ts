import { z } from "zod";
import { type Descriptor, descriptorSchema } from "../oci/descriptor.ts";
import { type Digest, algorithmOf, digestOf, isDigest } from "../oci/digest.ts";
import { MAX_MANIFEST_BYTES } from "../oci/manifest.ts";
import { MANIFEST_TYPES } from "../oci/media-types.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { Authorizer } from "./authorizer.ts";
import type { Credential } from "./credential.ts";
import { CliError, EXIT } from "./failure.ts";
import { type HttpAnswer, type HttpAsk, HttpClient, bytesBody, discard, readBody, readJson } from "./http.ts";
import { refusedBy } from "./refused.ts";

/** A page of a list, which our own registry bounds by number and others by nothing. */
const MAX_LIST_BYTES = 16 * 1024 * 1024;
const MAX_PAGES = 10_000;

const tagsSchema = z.object({ tags: z.array(z.string()).nullable() });
const referrersSchema = z.object({ manifests: z.array(descriptorSchema).nullable() });

/** A manifest as it was pulled: `bytes` have the digest and size of the descriptor. */
export interface PulledManifest {
  readonly descriptor: { readonly mediaType: string; readonly digest: Digest; readonly size: number };
  readonly bytes: Buffer;
}

export interface RegistryClientOptions {
  readonly origin: URL;
  readonly credential: Credential | undefined;
  /** Gets the text of every `Warning` header (RFC 9111 §5.5, code 299), each once. */
  readonly warn?: (text: string) => void;
}

/** A client of one OCI registry (distribution-spec). */
export class RegistryClient {
  readonly #http: HttpClient;
  readonly #authorizer: Authorizer;
  readonly #credential: Credential | undefined;
  readonly #warn: (text: string) => void;
  readonly #warned = new Set<string>();

  constructor({ origin, credential, warn }: RegistryClientOptions) {
    this.#http = new HttpClient(origin);
    this.#authorizer = new Authorizer(this.#http, credential);
    this.#credential = credential;
    this.#warn = warn ?? (() => undefined);
  }

  get origin(): URL {
    return this.#http.origin;
  }

  repository(name: RepositoryName): Repository {
    return new Repository(this, name);
  }

  /** Does the registry accept the credential? */
  async ping(): Promise<void> {
    discard(await this.send({ method: "GET", path: "/v2/" }, "", [200]));
  }

  /** Sends a request; any status but the expected ones is thrown as what the registry said. */
  async send(ask: HttpAsk, scope: string, expected: readonly number[]): Promise<HttpAnswer> {
    const answer = await this.#authorizer.send(ask, scope);
    this.#showWarnings(answer);
    if (expected.includes(answer.status)) return answer;
    const refused = await refusedBy(answer);
    if (refused.exit !== EXIT.authentication || this.#credential !== undefined) throw refused;
    throw new CliError(EXIT.authentication, `${refused.message}\nNo credential was found: give one by --token-file or SECURECTL_TOKEN.`);
  }

  /** A path below the registry that one of its answers named; never another host's, since the credential would go there. */
  ownPath(location: string | undefined, base: string): string {
    const url = location === undefined ? null : URL.parse(location, new URL(base, this.origin));
    // Two slashes: resolved once more, the path would be another host's address.
    if (url?.origin !== this.origin.origin || url.pathname.startsWith("//"))
      throw new CliError(EXIT.failure, "the registry named a place outside of itself: refused");
    return url.pathname + url.search;
  }

  close(): void {
    this.#http.close();
  }

  #showWarnings({ headers }: HttpAnswer): void {
    const value = headers["warning"];
    for (const [, text = ""] of (Array.isArray(value) ? value.join(", ") : (value ?? "")).matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)) {
      const shown = text.replaceAll(/\\(.)/g, "$1");
      if (!this.#warned.has(shown)) this.#warn(shown);
      this.#warned.add(shown);
    }
  }
}

/** One repository of a registry. What it answers was checked against the digests that were asked for. */
export class Repository {
  readonly client: RegistryClient;
  readonly name: RepositoryName;

  constructor(client: RegistryClient, name: RepositoryName) {
    this.client = client;
    this.name = name;
  }

  /** The manifest behind a tag or digest, whole. */
  async fetchManifest(reference: string): Promise<PulledManifest> {
    const answer = await this.#get(`/manifests/${reference}`, { Accept: MANIFEST_TYPES.join(", ") });
    const bytes = await readBody(answer, MAX_MANIFEST_BYTES);
    const claimed = isDigest(reference) ? reference : answer.headers["docker-content-digest"];
    const algorithm = typeof claimed === "string" && isDigest(claimed) ? algorithmOf(claimed) : "sha256";
    const digest = digestOf(bytes, algorithm);
    if (claimed !== undefined && claimed !== digest)
      throw new CliError(EXIT.integrity, `the manifest that came has the digest ${digest}, not ${String(claimed)}`);
    return { descriptor: { mediaType: answer.headers["content-type"] ?? "", digest, size: bytes.length }, bytes };
  }

  /** The digest behind a tag, or the digest itself when it is there. */
  async resolve(reference: string): Promise<Digest> {
    const path = this.path(`/manifests/${reference}`);
    const answer = await this.client.send(
      { method: "HEAD", path, headers: { Accept: MANIFEST_TYPES.join(", ") } },
      this.scope("pull"),
      [200],
    );
    discard(answer);
    const digest = answer.headers["docker-content-digest"];
    if (typeof digest === "string" && isDigest(digest)) return digest;
    return (await this.fetchManifest(reference)).descriptor.digest;
  }

  /** Pushes a manifest under a tag or its digest; its digest. */
  async pushManifest(reference: string, bytes: Uint8Array, mediaType: string): Promise<Digest> {
    const ask = {
      method: "PUT",
      path: this.path(`/manifests/${reference}`),
      headers: { "Content-Type": mediaType },
      body: bytesBody(bytes),
    };
    const answer = await this.client.send(ask, this.scope("pull,push"), [201]);
    discard(answer);
    const digest = digestOf(bytes, isDigest(reference) ? algorithmOf(reference) : "sha256");
    const claimed = answer.headers["docker-content-digest"];
    if (claimed !== undefined && claimed !== digest)
      throw new CliError(EXIT.integrity, `the registry took the manifest for ${String(claimed)}, not ${digest}`);
    return digest;
  }

  /** Removes a tag, or a manifest with its tags. */
  async deleteManifest(reference: string): Promise<void> {
    discard(await this.client.send({ method: "DELETE", path: this.path(`/manifests/${reference}`) }, this.scope("delete"), [202]));
  }

  /** Is a blob there to be read? One that is damaged or revoked is denied: whoever may push it heals it, and else is told why not to. */
  async hasBlob(digest: Digest): Promise<boolean> {
    return (await this.blobSize(digest)) !== undefined;
  }

  /** How many bytes a blob has; undefined for one that is not there, or not for the caller to read. */
  async blobSize(digest: Digest): Promise<number | undefined> {
    const answer = await this.client.send({ method: "HEAD", path: this.path(`/blobs/${digest}`) }, this.scope("pull"), [200, 403, 404]);
    discard(answer);
    return answer.status === 200 ? Number(answer.headers["content-length"]) : undefined;
  }

  /** A blob's bytes from an offset on. The registry may answer with all of it: `start` says where the body begins. */
  async openBlob(digest: Digest, offset: number): Promise<{ readonly start: number; readonly answer: HttpAnswer }> {
    const headers: Record<string, string> = offset === 0 ? {} : { Range: `bytes=${offset}-` };
    const answer = await this.client.send({ method: "GET", path: this.path(`/blobs/${digest}`), headers }, this.scope("pull"), [200, 206]);
    const start = /^bytes (\d+)-/.exec(answer.headers["content-range"] ?? "")?.[1];
    return { start: answer.status === 206 && start !== undefined ? Number(start) : 0, answer };
  }

  /** A small blob whole, held to digest and size. */
  async fetchBlob({ digest, size }: Pick<Descriptor, "digest" | "size">, maxBytes: number): Promise<Buffer> {
    if (size > maxBytes) throw new CliError(EXIT.failure, `${digest} has more than the ${maxBytes} bytes that are read of its kind`);
    const bytes = await readBody((await this.openBlob(digest, 0)).answer, size);
    if (bytes.length === size && digestOf(bytes, algorithmOf(digest)) === digest) return bytes;
    throw new CliError(EXIT.integrity, `the bytes that came do not have the digest ${digest}: nothing was kept`);
  }

  /** All tags that the caller may see. */
  async *tags(): AsyncGenerator<string> {
    for await (const page of this.#pages("/tags/list", tagsSchema)) yield* page.tags ?? [];
  }

  /** What is attached to a manifest, of one type or of all. */
  async *referrers(digest: Digest, artifactType?: string): AsyncGenerator<Descriptor> {
    const query = artifactType === undefined ? "" : `?${new URLSearchParams({ artifactType }).toString()}`;
    for await (const page of this.#pages(`/referrers/${digest}${query}`, referrersSchema)) {
      // A registry that does not filter says so by the missing OCI-Filters-Applied (distribution-spec §Listing Referrers).
      yield* (page.manifests ?? []).filter((entry) => artifactType === undefined || entry.artifactType === artifactType);
    }
  }

  path(rest: string): string {
    return `/v2/${this.name}${rest}`;
  }

  /** A scope of Docker's token protocol. */
  scope(actions: "pull" | "pull,push" | "delete"): string {
    return `repository:${this.name}:${actions}`;
  }

  async #get(rest: string, headers: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
    return this.client.send({ method: "GET", path: this.path(rest), headers }, this.scope("pull"), [200]);
  }

  /** The pages of a list, by their Link headers (RFC 8288). */
  async *#pages<T>(rest: string, schema: z.ZodType<T>): AsyncGenerator<T> {
    let path: string | undefined = this.path(rest);
    for (let page = 0; path !== undefined && page < MAX_PAGES; page += 1) {
      const answer: HttpAnswer = await this.client.send({ method: "GET", path }, this.scope("pull"), [200]);
      yield await readJson(answer, MAX_LIST_BYTES, schema);
      const link = /<([^>]*)>\s*;\s*rel="?next"?/.exec(String(answer.headers["link"] ?? ""))?.[1];
      path = link === undefined ? undefined : this.client.ownPath(link, path);
    }
  }
}
