import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

interface Ask extends RequestInit {
  /** Undefined: nobody asks. */
  readonly authorization?: string | undefined;
}

/** A registry and what clients send to it, request by request. */
export class Replay {
  readonly #registry: TestRegistry;

  private constructor(registry: TestRegistry) {
    this.#registry = registry;
  }

  static async start(): Promise<Replay> {
    return new Replay(await startTestRegistry());
  }

  stop(): Promise<void> {
    return this.#registry.stop();
  }

  secretOf(name: "publisher" | "runtime"): string {
    return this.#registry.credentials[name];
  }

  basic(name: "publisher" | "runtime", secret = this.secretOf(name)): string {
    return `Basic ${Buffer.from(`${name}:${secret}`).toString("base64")}`;
  }

  /** A request to a path or to a Location. */
  send(method: string, path: string, { authorization, ...init }: Ask = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (authorization !== undefined) headers.set("authorization", authorization);
    return fetch(new URL(path, this.#registry.url), { redirect: "manual", ...init, method, headers });
  }

  /** A Location with the digest added, the query sorted and encoded again, as Go's net/url writes it. */
  closing(location: string, content: Buffer): string {
    const url = new URL(location, this.#registry.url);
    url.searchParams.set("digest", digestOf(content));
    url.searchParams.sort();
    return url.href;
  }

  /** The Location of an upload that has begun. */
  async begun(repository: string, authorization: string): Promise<string> {
    const answer = await this.send("POST", `/v2/${repository}/blobs/uploads/`, { authorization });
    assert.equal(answer.status, 202);
    return locationOf(answer);
  }

  /** Pushes a config and one layer under the tag v1; the manifest's digest. */
  async pushed(repository: string, layer: Buffer): Promise<string> {
    const authorization = this.basic("publisher");
    const config = Buffer.from("{}");
    for (const content of [config, layer]) {
      const path = this.closing(await this.begun(repository, authorization), content);
      assert.equal((await this.send("PUT", path, { authorization, body: bodyOf(content) })).status, 201);
    }
    const [configDescriptor, layers] = [descriptorOf(config), [descriptorOf(layer)]];
    const body = JSON.stringify({ schemaVersion: 2, mediaType: OCI_IMAGE, config: configDescriptor, layers });
    const headers = { "Content-Type": OCI_IMAGE };
    assert.equal((await this.send("PUT", `/v2/${repository}/manifests/v1`, { authorization, headers, body })).status, 201);
    return digestOf(body);
  }

  /** What was pushed there is these bytes. */
  async expectStored(repository: string, content: Buffer): Promise<void> {
    const answer = await this.send("GET", `/v2/${repository}/blobs/${digestOf(content)}`, { authorization: this.basic("publisher") });
    assert.equal(answer.status, 200);
    assert.equal(Buffer.from(await answer.arrayBuffer()).equals(content), true);
  }

  async transition(reference: string, event: "promote" | "revoke"): Promise<void> {
    const body = JSON.stringify({ reason: "for this test" });
    const headers = { "Content-Type": "application/json" };
    const answer = await this.#registry.fetchAs("operator", `/v1/artifacts/${reference}/${event}`, { method: "POST", headers, body });
    assert.equal(answer.status, 200);
  }
}

/** The same bytes for the same seed, without any pattern. */
export function bytesOf(seed: string, length: number): Buffer {
  return createHash("shake256", { outputLength: length }).update(seed).digest();
}

export function bodyOf(bytes: Buffer): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

/** A body of which nobody knows the length beforehand: it travels in chunks. */
export function streamed(bytes: Buffer): RequestInit {
  return { body: new Blob([bodyOf(bytes)]).stream(), duplex: "half" };
}

export function locationOf(answer: Response): string {
  return answer.headers.get("location") ?? "";
}

/** What a challenge says: realm, service, scope. */
export function challengeOf(answer: Response): Readonly<Record<string, string>> {
  const header = answer.headers.get("www-authenticate") ?? "";
  assert.deepEqual([answer.status, header.slice(0, 7)], [401, "Bearer "]);
  return Object.fromEntries([...header.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = "", value = ""]): [string, string] => [name, value]));
}

/** The Authorization header that a token endpoint's answer gives. */
export async function bearerIn(answer: Response): Promise<string> {
  assert.equal(answer.status, 200);
  return `Bearer ${((await answer.json()) as { readonly access_token: string }).access_token}`;
}

/** Bytes of a content, both ends included. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

/** A content in parts of `size` bytes; the last may be shorter. */
export function partsOf(length: number, size: number): Part[] {
  return Array.from({ length: Math.ceil(length / size) }, (_, at) => ({ start: at * size, end: Math.min(length, (at + 1) * size) - 1 }));
}

function descriptorOf(content: Buffer): object {
  return { mediaType: "application/x.test", digest: digestOf(content), size: content.length };
}
