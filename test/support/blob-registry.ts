import { createHmac, randomBytes } from "node:crypto";
import { type IncomingHttpHeaders, Agent, request } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { AuditEvent } from "../../src/audit/event.ts";
import type { Gatekeeper } from "../../src/http/app.ts";
import { blobDoors } from "../../src/http/v2/blobs.ts";
import { uploadDoors } from "../../src/http/v2/uploads.ts";
import { rightsOn } from "../../src/identity/authorize.ts";
import type { Binding, Principal } from "../../src/identity/principal.ts";
import { createLogger } from "../../src/log.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { type RepositoryName, isRepositoryName } from "../../src/oci/reference.ts";
import { streamAudit } from "../../src/registry/read-audit.ts";
import { openBlobs } from "../../src/storage/blob-rows.ts";
import type { BlobStore } from "../../src/storage/blob-store.ts";
import { keys } from "../../src/storage/keys.ts";
import { openLinkedTree } from "../../src/storage/linked-tree.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import type { Change, MetadataStore } from "../../src/storage/metadata-store.ts";
import { type Edge, type EdgeOptions, startEdge } from "./edge.ts";
import { v7 } from "./uuid.ts";
import { NO_QUOTA, limitsOf } from "./limits.ts";

/** Who may knock, by name: the rights are computed by the registry's own rules. */
const BINDINGS: Readonly<Record<string, readonly Binding[]>> = {
  alice: [{ role: "publisher", namespace: "team" }],
  bob: [{ role: "publisher", namespace: "team" }],
  mona: [{ role: "maintainer", namespace: "team" }],
  carl: [{ role: "publisher", namespace: "other" }],
  both: [
    { role: "publisher", namespace: "team" },
    { role: "publisher", namespace: "other" },
  ],
  rita: [{ role: "reader", namespace: "*" }],
  olga: [{ role: "operator", namespace: "*" }],
  ops: [
    { role: "publisher", namespace: "team" },
    { role: "operator", namespace: "*" },
  ],
  nobody: [],
};

function principalOf(name: string): Principal {
  return {
    name,
    kind: "service",
    bindings: BINDINGS[name] ?? [],
    countsAs: name,
    duties: "standard",
    credential: "c1",
    access: undefined,
  };
}

const gatekeeper: Gatekeeper = {
  admit: async (c, action, repository) => {
    const name = /^Bearer ([a-z]+)$/.exec(c.req.header("authorization") ?? "")?.[1];
    if (name === undefined || !(name in BINDINGS)) throw new RegistryError("UNAUTHORIZED");
    const principal = principalOf(name);
    if ((action === "push" || action === "delete") && (repository === undefined || !rightsOn(principal, repository).has(action))) {
      throw new RegistryError("DENIED");
    }
    return { principal, actor: { principal: name, kind: "service" } };
  },
};

/** One process of a registry that has the doors to uploads and blobs and nothing else, over real stores. */
export interface BlobRegistry {
  readonly edge: Edge;
  readonly directory: string;
  readonly metadata: MetadataStore;
  readonly blobs: BlobStore;
  /** What was noted besides the chain. */
  readonly noted: AuditEvent[];
  /** What the chain holds. */
  events(): Promise<AuditEvent[]>;
  /** A change outside of the doors, as another use case would make it. */
  change(change: Partial<Change>): Promise<void>;
  stop(): Promise<void>;
}

export interface BlobRegistryOptions extends Pick<EdgeOptions, "pace" | "tls" | "bounds"> {
  /** Where the stores are; a folder of its own, removed at the end, without it. */
  readonly directory?: string;
  /** Stands between the doors and the blobs. */
  readonly around?: (blobs: BlobStore) => BlobStore;
}

/** A day, in milliseconds. */
const GRACE = 86_400_000;

/** The same in every process, as the data directory's secret is. */
const SECRET = "the secret of a data directory";

export async function startBlobRegistry({ directory: given, around, ...edgeOptions }: BlobRegistryOptions = {}): Promise<BlobRegistry> {
  const directory = given ?? (await mkdtemp(join(tmpdir(), "amr-blobs-")));
  const metadata = await openLmdb(join(directory, "metadata"));
  const blobs = await openBlobs(directory, metadata);
  const noted: AuditEvent[] = [];
  const services = {
    metadata,
    blobs: around?.(blobs) ?? blobs,
    tree: await openLinkedTree(directory, metadata),
    clock: () => Date.now(),
    newId: v7,
    random: (bytes: number) => randomBytes(bytes),
    secretFor: (purpose: string) => createHmac("sha256", SECRET).update(purpose).digest(),
    log: createLogger("silent"),
    limits: limitsOf(),
    settings: {
      publicUrl: "http://127.0.0.1",
      duties: "standard",
      collectGrace: GRACE,
      snapshotLifetime: 86_400_000,
      quota: NO_QUOTA,
      promotionPolicy: "closure",
    } as const,
    refusals: { note: (event: AuditEvent) => void noted.push(event) },
  };
  const edge = await startEdge({ doors: [...uploadDoors(services), ...blobDoors(services)], gatekeeper, ...edgeOptions });
  return {
    edge,
    directory,
    metadata,
    blobs,
    noted,
    events: async () => {
      const events: AuditEvent[] = [];
      for await (const { event } of streamAudit({ metadata }, {})) events.push(event);
      return events;
    },
    change: async (change) => {
      const audit: AuditEvent = {
        id: v7(),
        time: Date.now(),
        type: "test.change",
        actor: { principal: "system", kind: "system" },
        outcome: "allow",
      };
      await metadata.commit({ expect: [], put: [], remove: [], audit: [audit], ...change });
    },
    stop: async () => {
      await edge.stop();
      await metadata.close();
      if (given === undefined) await rm(directory, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The first error's code and message. */
  readonly code: string | undefined;
  readonly message: string | undefined;
}

export interface Asked {
  readonly as?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent with its length, or in chunks when it is a stream. */
  readonly body?: Uint8Array | Readable;
}

/** Whatever answers at an address. */
export interface Served {
  readonly edge: { readonly url: string };
}

const agent = new Agent({ keepAlive: true });

/** One request over a real socket; rejects when the connection breaks. */
export function ask(at: Served, method: string, path: string, { as = "alice", headers = {}, body }: Asked = {}): Promise<Answer> {
  const length = body instanceof Uint8Array || body === undefined ? { "Content-Length": String(body?.byteLength ?? 0) } : {};
  const bodiless = method === "GET" || method === "HEAD" || method === "DELETE";
  return new Promise((resolve, reject) => {
    const outgoing = request(at.edge.url + path, {
      method,
      agent,
      headers: { Authorization: `Bearer ${as}`, ...(bodiless ? {} : length), ...headers },
    });
    outgoing.once("error", reject);
    outgoing.once("response", (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.once("error", reject);
      incoming.once("end", () => resolve(answerOf(incoming.statusCode ?? 0, incoming.headers, Buffer.concat(chunks))));
    });
    if (body === undefined || body instanceof Uint8Array) outgoing.end(body);
    else body.once("error", (error) => outgoing.destroy(error)).pipe(outgoing);
  });
}

function answerOf(status: number, headers: IncomingHttpHeaders, body: Buffer): Answer {
  const isJson = headers["content-type"]?.startsWith("application/json") === true && body.length > 0;
  const parsed = isJson ? (JSON.parse(body.toString("utf8")) as { errors?: { code: string; message: string }[] }) : {};
  const [error] = parsed.errors ?? [];
  return { status, headers, body, code: error?.code, message: error?.message };
}

/** All that a caller can see of an answer, but for what differs between any two answers. */
export function visible({ status, headers, body }: Answer): unknown {
  const { date: _, "x-request-id": __, ...rest } = headers;
  return { status, headers: rest, body: body.toString("utf8") };
}

/** Pushes a blob in one request; its digest. */
export async function pushBlob(at: Served, repository: string, bytes: Uint8Array | string, as = "alice"): Promise<Digest> {
  return push(at, repository, digestOf(bytes), { as, body: Buffer.from(bytes) });
}

/** The same for one that becomes a file, however small it is. */
export async function pushFile(at: Served, repository: string, bytes: Uint8Array | string): Promise<Digest> {
  return push(at, repository, digestOf(bytes), { body: unsaid(bytes) });
}

async function push(at: Served, repository: string, digest: Digest, asked: Asked): Promise<Digest> {
  const answer = await ask(at, "POST", `/v2/${repository}/blobs/uploads/?digest=${digest}`, asked);
  if (answer.status !== 201) throw new Error(`push was answered by ${answer.status} ${answer.message ?? ""}`);
  return digest;
}

/** A body that does not say beforehand how long it is. */
export function unsaid(bytes: Uint8Array | string): Readable {
  return Readable.from([Buffer.from(bytes)], { objectMode: false });
}

/** Begins an upload; its location. */
export async function beginUpload(at: Served, repository: string, as = "alice"): Promise<string> {
  const { headers } = await ask(at, "POST", `/v2/${repository}/blobs/uploads/`, { as });
  return headers.location ?? "";
}

export function nameOf(repository: string): RepositoryName {
  if (!isRepositoryName(repository)) throw new TypeError(`${repository} is no repository's name`);
  return repository;
}

const ROOT = digestOf("a root");

/** A blob store that does everything as another one does, but for some of it. */
export function blobsWith(blobs: BlobStore, changed: Partial<BlobStore>): BlobStore {
  return {
    stat: (digest) => blobs.stat(digest),
    published: (digest) => blobs.published(digest),
    open: (digest, range) => blobs.open(digest, range),
    stage: (upload) => blobs.stage(upload),
    staged: (upload) => blobs.staged(upload),
    touchedAt: (upload) => blobs.touchedAt(upload),
    openStaged: (upload, start) => blobs.openStaged(upload, start),
    append: (upload, bytes, offset, options) => blobs.append(upload, bytes, offset, options),
    clone: (upload, fd) => blobs.clone(upload, fd),
    inFile: (digest, use) => blobs.inFile(digest, use),
    inStagedFile: (upload, use) => blobs.inStagedFile(upload, use),
    publish: (upload, digest, options) => blobs.publish(upload, digest, options),
    flush: (digest) => blobs.flush(digest),
    discard: (upload) => blobs.discard(upload),
    remove: (digest, still, after) => blobs.remove(digest, still, after),
    room: () => blobs.room(),
    list: (after) => blobs.list(after),
    listStaged: () => blobs.listStaged(),
    ...changed,
  };
}

/** Rows that a promotion of a manifest which reaches the blob writes. */
export function trustedRows(repository: string, digest: Digest): Partial<Change> {
  return {
    put: [{ key: keys.reach(nameOf(repository), { kind: "blob", digest }, ROOT), value: { v: 1, via: [], statement: false } }],
  };
}

/** Rows that its revocation writes. */
export function revokedRows(repository: string, digest: Digest): Partial<Change> {
  return {
    put: [
      { key: keys.denied(nameOf(repository), { kind: "blob", digest }, ROOT), value: { v: 1, via: [], statement: false } },
      { key: keys.servingEpoch(), value: { at: Date.now() } },
    ],
    remove: [keys.reach(nameOf(repository), { kind: "blob", digest }, ROOT)],
  };
}
