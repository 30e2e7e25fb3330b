import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config.ts";
import type { Gatekeeper } from "../../src/http/app.ts";
import { allDoors } from "../../src/http/doors.ts";
import { createLogger } from "../../src/log.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { openRegistry } from "../../src/services.ts";
import { openDataDirectory } from "../../src/storage/data-directory.ts";
import { callerWith } from "./callers.ts";
import { startEdge } from "./edge.ts";
import { KeptLines, refuseSecrets } from "./log-secrets.ts";

/** Who may knock, by name; the rights are computed by the registry's own rules. */
const CALLERS: Readonly<Record<string, Caller>> = {
  publisher: callerWith(["publisher@models", "publisher@alone"], { name: "publisher" }),
  reviewer: callerWith(["reviewer@models"], { name: "reviewer" }),
  operator: callerWith(["operator@*"], { name: "operator" }),
  reader: callerWith(["reader@*"], { name: "reader" }),
  stranger: callerWith([], { name: "stranger" }),
};

const gatekeeper: Gatekeeper = {
  admit: async (c) => {
    const caller = CALLERS[/^Bearer ([a-z]+)$/.exec(c.req.header("authorization") ?? "")?.[1] ?? ""];
    if (caller === undefined) throw new RegistryError("UNAUTHORIZED");
    return caller;
  },
};

interface Request {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A whole registry whose callers are known by name, so that a test needs no log-in. */
export interface ContentRegistry extends AsyncDisposable {
  ask(as: string, path: string, request?: Request): Promise<Response>;
  /** Pushes a manifest as the publisher, by tag or without one, and the blobs that `image` gave it; its digest. */
  push(repository: string, manifest: object, tag?: string): Promise<Digest>;
  /** A transition by the operator. */
  transition(repository: string, digest: Digest, event: "promote" | "revoke", body?: object): Promise<void>;
}

export async function startContentRegistry(): Promise<ContentRegistry> {
  const directory = await mkdtemp(join(tmpdir(), "amr-content-"));
  const data = await openDataDirectory(directory);
  const log = new KeptLines();
  const registry = await openRegistry(loadConfig({ REGISTRY_DIR: directory }), 8470, createLogger("trace", log));
  const serving = { serviceToken: undefined, draining: () => false, insecureDevMode: false };
  const edge = await startEdge({ doors: allDoors(registry, gatekeeper, serving), gatekeeper });
  const ask: ContentRegistry["ask"] = (as, path, { headers, ...request } = {}) =>
    fetch(edge.url + path, { ...request, headers: { Authorization: `Bearer ${as}`, ...headers } });
  return {
    ask,
    push: async (repository, manifest, tag) => {
      for (const blob of BLOBS)
        await mustBe(201, ask("publisher", `/v2/${repository}/blobs/uploads/?digest=${digestOf(blob)}`, { method: "POST", body: blob }));
      const body = JSON.stringify(manifest);
      const headers = { "Content-Type": "mediaType" in manifest ? String(manifest.mediaType) : OCI_IMAGE };
      await mustBe(201, ask("publisher", `/v2/${repository}/manifests/${tag ?? digestOf(body)}`, { method: "PUT", body, headers }));
      return digestOf(body);
    },
    transition: async (repository, digest, event, body = {}) => {
      const headers = { "Content-Type": "application/json" };
      await mustBe(
        200,
        ask("operator", `/v1/artifacts/${repository}@${digest}/${event}`, { method: "POST", body: JSON.stringify(body), headers }),
      );
    },
    [Symbol.asyncDispose]: async () => {
      await edge.stop();
      await registry.close();
      await data.release();
      await rm(directory, { recursive: true, force: true });
      refuseSecrets(log.lines);
    },
  };
}

async function mustBe(status: number, asked: Promise<Response>): Promise<void> {
  const answer = await asked;
  const text = await answer.text();
  if (answer.status !== status) throw new Error(`${answer.status} instead of ${status} by ${answer.url}: ${text}`);
}

/** The blobs that pushed manifests are made of. */
const BLOBS = ["config", "layer"];

/** An image of those blobs, told apart from others by what is added to it. */
export function image(over: object = {}, layerType = "application/octet-stream"): object {
  const [config = "", layer = ""] = BLOBS;
  return {
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf(config), size: config.length },
    layers: [{ mediaType: layerType, digest: digestOf(layer), size: layer.length }],
    ...over,
  };
}

/** A manifest that refers to a subject. */
export function referrer(subject: Digest, over: object = {}, layerType = "application/vnd.in-toto+json"): object {
  return image({ subject: { mediaType: OCI_IMAGE, digest: subject, size: 1 }, ...over }, layerType);
}
