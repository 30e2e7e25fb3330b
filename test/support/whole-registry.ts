import type { Limits } from "../../src/limits/limits.ts";
import { limitsOf } from "./limits.ts";
import { type IncomingHttpHeaders, Agent, request } from "node:http";
import { mkdir } from "node:fs/promises";
import type { Readable } from "node:stream";
import type { AuditEvent } from "../../src/audit/event.ts";
import { createGatekeeper } from "../../src/http/authenticate.ts";
import { allDoors } from "../../src/http/doors.ts";
import type { Door } from "../../src/http/route.ts";
import { Pages } from "../../src/http/ui/page.ts";
import { type Realm, realmChooser } from "../../src/identity/realm.ts";
import { prepareSigningKey } from "../../src/registry/attestation-keys.ts";
import { createInspector } from "../../src/scan/inspector.ts";
import { openBlobs } from "../../src/storage/blob-rows.ts";
import { openIncomingFiles } from "../../src/storage/incoming-files.ts";
import { openKeyFiles } from "../../src/storage/key-files.ts";
import { openLinkedTree } from "../../src/storage/linked-tree.ts";
import { type Edge, startEdge } from "./edge.ts";
import { type Identities, startIdentities } from "./identities.ts";

export const SERVICE_TOKEN = "service-token-of-the-predecessor-0001";

/** A registry with all of its doors and the real gatekeeper, on a socket, with a clock that stands until it is moved. */
export interface WholeRegistry extends Identities {
  readonly edge: Edge;
  readonly doors: readonly Door[];
  /** What was noted besides the chain. */
  readonly noted: AuditEvent[];
  ask(method: string, path: string, asked?: Asked): Promise<Answer>;
  /** A token for these scopes, had by logging in as this identity. */
  token(name: string, secret: string, ...scopes: string[]): Promise<string>;
}

interface Asked {
  /** The value of `Authorization`. */
  readonly as?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent with its length, or in chunks when it is a stream. */
  readonly body?: string | Uint8Array | Readable;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body, where it is JSON. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Code and message of the error, in either format. */
  readonly code: string | undefined;
  readonly message: string | undefined;
}

export function basic(name: string, secret: string): string {
  return `Basic ${Buffer.from(`${name}:${secret}`).toString("base64")}`;
}

export function bearer(token: string): string {
  return `Bearer ${token}`;
}

export async function startWholeRegistry({
  serviceToken,
  isLocal = false,
  insecureDevMode = false,
  limits = limitsOf(),
}: {
  readonly limits?: Limits;
  readonly serviceToken?: string;
  readonly isLocal?: boolean;
  readonly insecureDevMode?: boolean;
} = {}): Promise<WholeRegistry> {
  const identities = await startIdentities();
  await mkdir(`${identities.directory}/trusted`, { recursive: true });
  const noted: AuditEvent[] = [];
  let port = 0;
  // As the server does it: what it is called is known once it listens.
  const realmOf = (host: string | undefined): Realm =>
    realmChooser({ publicUrl: undefined, scheme: "http", host: "127.0.0.1", port })(host);
  const services = {
    ...identities.services,
    blobs: await openBlobs(identities.directory, identities.services.metadata),
    tree: await openLinkedTree(identities.directory, identities.services.metadata),
    files: openIncomingFiles(identities.directory),
    inspector: createInspector(),
    signing: openKeyFiles(`${identities.directory}/credentials`, "passphrase"),
    refusals: { note: (event: AuditEvent) => void noted.push(event) },
    realmOf,
    limits,
    integrityResultPath: `${identities.directory}/integrity-last.json`,
  };
  await prepareSigningKey(services);
  const gatekeeper = createGatekeeper(services, {
    realm: realmOf,
    serviceToken,
    isLocal,
    insecureDevMode,
    refused: (event) => void noted.push(event),
  });
  const serving = { serviceToken, draining: () => false, insecureDevMode, isLocal };
  const doors = allDoors(services, gatekeeper, serving);
  const pages = new Pages(serving);
  const edge = await startEdge({ doors, gatekeeper, showError: (c, error) => pages.showError(c, error) });
  ({ port } = edge);
  const registry: WholeRegistry = {
    ...identities,
    edge,
    doors,
    noted,
    ask: (method, path, asked = {}) => ask(edge.url, method, path, asked),
    token: async (name, secret, ...scopes) => {
      const query = new URLSearchParams(scopes.map((scope) => ["scope", scope]));
      const { json } = await registry.ask("GET", `/auth/token?${query.toString()}`, { as: basic(name, secret) });
      return String(json["token"]);
    },
    close: async () => {
      await edge.stop();
      await identities.close();
    },
  };
  return registry;
}

const agent = new Agent({ keepAlive: true });

function ask(url: string, method: string, path: string, { as, host, headers = {}, body }: Asked): Promise<Answer> {
  const sized = typeof body === "string" || body instanceof Uint8Array;
  const length = sized ? { "Content-Length": String(Buffer.byteLength(body)) } : {};
  const who = as === undefined ? {} : { Authorization: as };
  const where = host === undefined ? {} : { Host: host };
  return new Promise((resolve, reject) => {
    const outgoing = request(url + path, { method, agent, headers: { ...who, ...where, ...length, ...headers } });
    outgoing.once("error", reject);
    outgoing.once("response", (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.once("error", reject);
      incoming.once("end", () => resolve(answerOf(incoming.statusCode ?? 0, incoming.headers, Buffer.concat(chunks).toString("utf8"))));
    });
    if (body === undefined || sized) outgoing.end(body);
    else body.once("error", (error) => outgoing.destroy(error)).pipe(outgoing);
  });
}

function answerOf(status: number, headers: IncomingHttpHeaders, text: string): Answer {
  const isJson = /^application\/(?:problem\+)?json(?:;|$)/.test(headers["content-type"] ?? "") && text !== "";
  const json = isJson ? (JSON.parse(text) as Record<string, unknown>) : {};
  const { code, detail, error, errors } = json as {
    code?: string;
    detail?: string;
    error?: string;
    errors?: { code?: string; message?: string }[];
  };
  const [first] = errors ?? [];
  return { status, headers, text, json, code: code ?? error ?? first?.code, message: detail ?? first?.message };
}
