import { chmod, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { operations } from "../../src/api/operations.ts";
import { Limiter } from "../../src/http/limits.ts";
import { DEFAULT_RATES } from "../../src/limits/classes.ts";
import { DEFAULT_BOUNDS, ownLimits } from "../../src/limits/keeper.ts";
import { signStatements } from "../../src/jobs/sign-statements.ts";
import { digestOf, encodedOf } from "../../src/oci/digest.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";
import { type Asked, Witness } from "../support/witness.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const INDEX = "application/vnd.oci.image.index.v1+json";
const OPEN = { ref: "models/open:v1" };
const NONE = { ref: "models/none:v1" };
const POLICY = {
  apiVersion: "trust.ai-model-registry.dev/v1",
  kind: "TrustPolicy",
  metadata: { name: "known" },
  spec: { match: { repositories: ["team/none"] }, require: [{ name: "people", evidence: { kind: "approvals", minimum: 1 } }] },
};
const TRUST_ROOT = { mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1" };
const UPDATE = {
  root_digest: digestOf("root metadata"),
  updated_at: new Date().toISOString(),
  expires_at: new Date(Date.now() + 86_400_000).toISOString(),
  versions: { root: 2, timestamp: 2, snapshot: 2, targets: 2 },
  trusted_root: JSON.stringify(TRUST_ROOT),
};
const HASH = "a".repeat(64);
/** As from a proxy: whoever sends it is no program of this machine. */
const STRANGER = { "X-Forwarded-For": "192.0.2.1" };

const witness = new Witness();
let registry: TestRegistry;
/** The digest of what readers find as `models/open:v1`. */
let promoted: string;
/** The digest of the decision by which that was promoted. */
let decided: string;
/** A key that lives, by its id. */
let live: string;
/** The statement by which an authority is revoked. */
let revoked: string;
let as: Readonly<Record<"operator" | "publisher" | "runtime" | "serviceToken" | "outsider" | "reviewer", string>>;
/** What the metadata does instead of its work. */
const fault: { ofReads?: Error; ofWrites?: Error } = {};

function basic(name: string, secret: string): string {
  return `Basic ${Buffer.from(`${name}:${secret}`).toString("base64")}`;
}

function faulty(metadata: MetadataStore): MetadataStore {
  return {
    get: async (key) => (fault.ofReads === undefined ? metadata.get(key) : Promise.reject(fault.ofReads)),
    list: async (range) => (fault.ofReads === undefined ? metadata.list(range) : Promise.reject(fault.ofReads)),
    commit: async (change) => (fault.ofWrites === undefined ? metadata.commit(change) : Promise.reject(fault.ofWrites)),
    close: () => metadata.close(),
  };
}

const failing = (code: string): Error => Object.assign(new Error("a fault that was put there"), { code });

async function ask(id: string, status: number, asked: Asked = {}): Promise<string> {
  const answer = await witness.ask(registry.url, id, asked);
  expect([id, answer.status, answer.status === status ? "" : answer.text]).toEqual([id, status, ""]);
  return answer.text;
}

/** Pushes an index of its own under a tag; its digest. */
async function push(name: string, tag: string, note: string, manifests: readonly object[] = []): Promise<string> {
  const body = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests, annotations: { note } });
  const headers = { "Content-Type": INDEX };
  const { status } = await registry.fetchAs("publisher", `/v2/${name}/manifests/${tag}`, { method: "PUT", headers, body });
  expect(status).toBe(201);
  return digestOf(body);
}

beforeAll(async () => {
  registry = await startTestRegistry({
    around: (services) => ({ ...services, metadata: faulty(services.metadata) }),
    pace: { bytesPerSecond: 1_000_000, windowMilliseconds: 150 },
  });
  const { operator, publisher, runtime, serviceToken } = registry.credentials;
  const known = { operator: basic("operator", operator), publisher: basic("publisher", publisher), runtime: basic("runtime", runtime) };
  as = { ...known, serviceToken: `Bearer ${serviceToken}`, outsider: "", reviewer: "" };
  await ask("createNamespace", 201, { as: as.operator, body: { name: "team", owner: "publisher" } });
  const made = await ask("createCredential", 201, { as: as.operator, body: { name: "outsider", role: "publisher", namespace: "team" } });
  const { id, key } = JSON.parse(made) as { id: string; key: string };
  live = id;
  const review = await ask("createCredential", 201, { as: as.operator, body: { name: "reviewer", role: "reviewer", namespace: "models" } });
  as = { ...as, outsider: basic("outsider", key), reviewer: basic("reviewer", (JSON.parse(review) as { key: string }).key) };
  const { body } = revocationOf("known");
  revoked = (JSON.parse(await ask("revokeAuthority", 200, { as: as.operator, body })) as { statement: string }).statement;
  await push("models/held", "v1", "held");
  promoted = await push("models/open", "v1", "first");
  const { decision } = JSON.parse(await ask("promoteArtifact", 200, { as: as.operator, path: OPEN })) as { decision: { digest: string } };
  decided = decision.digest;
  for (const name of ["a", "b", "c"]) await writeFile(join(registry.directory, `${name}.gguf`), name);
  for (const name of ["a", "b"]) await ask("acquireModel", 201, { as: as.serviceToken, body: { name, filename: `${name}.gguf` } });
});
afterAll(async () => {
  witness.close();
  await registry.stop();
});

/** Asks to revoke a publisher's key. */
function revocationOf(key: string): Asked & { readonly body: object } {
  return { as: as.operator, body: { authority: { type: "key", fingerprint: digestOf(key) }, reason: "stolen" } };
}

/** Writes other bytes into the file of a blob, as a failing disk does. */
async function damage(sha256: string): Promise<void> {
  const files = await readdir(join(registry.directory, "blobs"), { recursive: true });
  const [file] = files.filter((each) => each.endsWith(sha256)).map((each) => join(registry.directory, "blobs", each));
  if (file === undefined) throw new Error("there is no such blob");
  await chmod(file, 0o644);
  await writeFile(file, "?");
}

/** A request of each operation that is refused by nothing but what a test puts in its way, and changes nothing that another needs. */
function soundRequests(): Readonly<Record<string, Asked>> {
  const { operator, publisher, reviewer, serviceToken } = as;
  const model = { as: serviceToken, query: { name: "b" } };
  return {
    listArtifacts: { as: operator },
    getArtifact: { as: operator, path: OPEN },
    getArtifactHistory: { as: operator, path: OPEN },
    getRecordedDecision: { as: operator, path: OPEN, query: { digest: decided } },
    getArtifactSnapshot: { as: operator, path: OPEN },
    quarantineArtifact: { as: operator, path: { ref: "models/held:v1" }, body: {} },
    evaluatePromotion: { as: operator, path: OPEN, body: {} },
    approveArtifact: { as: reviewer, path: OPEN, body: {} },
    withdrawApproval: { as: reviewer, path: OPEN },
    promoteArtifact: { as: operator, path: OPEN, body: {} },
    revokeArtifact: { as: operator, path: { ref: "models/held:v1" }, body: { reason: "x" } },
    deleteArtifact: { as: operator, path: { ref: "models/held:v1" } },
    setPromotedTag: { as: publisher, path: { ref: "models/open:other" }, body: { digest: promoted } },
    removePromotedTag: { as: publisher, path: OPEN, body: {} },
    listAuditEvents: { as: operator },
    verifyAudit: { as: operator },
    listNamespaces: { as: operator },
    createNamespace: { as: operator, body: { name: "another", owner: "publisher" } },
    showNamespace: { as: operator, path: { namespace: "team" } },
    setNamespaceQuota: { as: operator, path: { namespace: "team" }, body: {} },
    listCredentials: { as: operator },
    createCredential: { as: operator, body: { name: "another", role: "reader", namespace: "team" } },
    rotateCredential: { as: operator, path: { id: live }, body: {} },
    revokeCredential: { as: operator, path: { id: live } },
    rotateSigningKey: { as: operator, body: {} },
    listPolicies: { as: operator },
    getPolicy: { as: operator, path: { name: "known" } },
    putPolicy: { as: operator, path: { name: "known" }, body: POLICY },
    deletePolicy: { as: operator, path: { name: "ended" } },
    replayPolicy: { as: operator, path: { name: "known" }, body: { policy: JSON.stringify(POLICY) } },
    listTrustRoots: { as: operator },
    putTrustRoot: { as: operator, path: { name: "known" }, body: TRUST_ROOT },
    getTrustRoot: { as: operator, path: { name: "known" }, query: { digest: digestOf(JSON.stringify(TRUST_ROOT)) } },
    deleteTrustRoot: { as: operator, path: { name: "ended" } },
    updateTrustRoot: { as: operator, path: { name: "updated" }, body: UPDATE },
    listStatements: { as: operator },
    listRevokedAuthorities: { as: operator },
    revokeAuthority: revocationOf("never revoked"),
    liftAuthority: { as: operator, path: { statement: revoked }, body: { reason: "found" } },
    listModels: { as: serviceToken },
    getModel: model,
    getModelPath: model,
    getStats: { as: serviceToken },
    acquireModel: { as: serviceToken, body: { name: "c", filename: "c.gguf" } },
    promoteModel: { as: serviceToken, body: { name: "b", filename: "b.gguf", sha256: encodedOf(digestOf("b")) } },
    quarantineModel: model,
    revokeModel: model,
    deleteModel: model,
    verifyModel: model,
    verifyTensorManifest: model,
    verifyAllModels: { as: serviceToken, headers: { Prefer: "respond-async" } },
    getVerification: { as: serviceToken },
    cancelVerification: { as: serviceToken },
    getIntegrityStatus: { as: serviceToken },
    showCaller: { as: operator },
    listPublicKeys: {},
    getHealth: {},
    getLiveness: {},
    getReadiness: {},
  };
}

function soundRequest(id: string): Asked {
  const sound = soundRequests()[id];
  if (sound === undefined) throw new TypeError(`say in soundRequests() how ${id} is asked`);
  return sound;
}

const answering = (id: string, status: number): boolean => witness.contract.statusesOf(id).includes(status);

/** Bodies that are refused wherever one is taken. */
async function askWithBodies(id: string, sound: Asked): Promise<void> {
  await ask(id, 413, { ...sound, body: " ".repeat(1024 * 1024 + 1) });
  await ask(id, 408, { ...sound, body: "{", stalls: true });
  await ask(id, 400, { ...sound, body: '{"unknown":1}' });
  for (const accept of ["application/json", "text/plain"]) await ask(id, 400, { ...sound, body: "[", headers: { Accept: accept } });
}

describe("whoever knocks wrongly is refused as published at", () => {
  test.each(operations.map(({ id }) => id))("%s", async (id) => {
    const sound = soundRequest(id);
    const unknown = answering(id, 401) ? 401 : answering(id, 403) ? 403 : 200;
    for (const who of [undefined, `Bearer amr_${id}`, basic(id.toLowerCase(), "amr_wrong")]) {
      const { status } = await witness.ask(registry.url, id, { ...sound, as: who, headers: { ...STRANGER, ...sound.headers } });
      expect([200, unknown]).toContain(status);
    }
    await ask(id, 414, { ...sound, query: { ...sound.query, more: "x".repeat(8192) } });
    await ask(id, 431, { ...sound, crowds: true });
    await ask(id, 400, { ...sound, headers: { Host: "a b" } });
    if (sound.body !== undefined) await askWithBodies(id, sound);
    expect(witness.takeFaults()).toEqual([]);
  });
});

describe("what the registry refuses is refused as published:", () => {
  test("artifacts", async () => {
    const { operator, runtime, outsider, publisher, reviewer } = as;
    for (const id of [
      "getArtifact",
      "getArtifactHistory",
      "getRecordedDecision",
      "getArtifactSnapshot",
      "quarantineArtifact",
      "evaluatePromotion",
      "approveArtifact",
      "withdrawApproval",
      "promoteArtifact",
      "deleteArtifact",
    ]) {
      await ask(id, 404, { as: operator, path: NONE, body: id.startsWith("get") ? undefined : {} });
      await ask(id, 400, { as: operator, path: { ref: "models/None:v1" } });
    }
    await ask("getRecordedDecision", 404, { as: operator, path: OPEN, query: { digest: promoted } });
    await ask("getRecordedDecision", 400, { as: operator, path: OPEN });
    await ask("getArtifactSnapshot", 400, { as: operator, path: OPEN, query: { max_age: "0" } });
    let deep = await push("models/deep", "v0", "0");
    for (let depth = 1; depth < 10; depth += 1) {
      const { length: size } = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [], annotations: { note: "0" } });
      deep = await push("models/deep", `v${depth}`, String(depth), [{ mediaType: INDEX, digest: deep, size }]);
    }
    await ask("getArtifactSnapshot", 409, { as: operator, path: { ref: `models/deep@${deep}` } });
    await ask("revokeArtifact", 404, { as: operator, path: NONE, body: { reason: "x" } });
    await ask("listArtifacts", 400, { as: operator, query: { limit: "0" } });
    for (const id of [
      "quarantineArtifact",
      "evaluatePromotion",
      "approveArtifact",
      "withdrawApproval",
      "promoteArtifact",
      "deleteArtifact",
    ]) {
      await ask(id, 403, { as: runtime, path: OPEN });
    }
    await ask("revokeArtifact", 403, { as: runtime, path: OPEN, body: { reason: "x" } });
    await ask("quarantineArtifact", 409, { as: operator, path: OPEN, body: {} });
    await ask("promoteArtifact", 409, { as: operator, path: OPEN, body: { expected: digestOf("another decision") } });
    await push("models/open", "v1", "second");
    await ask("revokeArtifact", 409, { as: operator, path: OPEN, body: { reason: "x" } });
    await ask("deleteArtifact", 409, { as: operator, path: OPEN });
    const gone = { ref: `models/gone@${await push("models/gone", "v1", "gone")}` };
    await ask("deleteArtifact", 200, { as: operator, path: gone });
    await ask("approveArtifact", 409, { as: reviewer, path: gone, body: {} });
    await ask("withdrawApproval", 409, { as: reviewer, path: gone });
    await push("models/open", "v2", "third");
    await ask("evaluatePromotion", 409, { as: operator, path: OPEN, body: { tags: ["v2"] } });
    const elsewhere = { digest: digestOf("elsewhere") };
    await ask("setPromotedTag", 409, { as: publisher, path: OPEN, body: elsewhere });
    await ask("setPromotedTag", 403, { as: runtime, path: OPEN, body: elsewhere });
    await ask("setPromotedTag", 404, { as: outsider, path: OPEN, body: elsewhere });
    await ask("removePromotedTag", 403, { as: runtime, path: OPEN });
    await ask("removePromotedTag", 404, { as: publisher, path: NONE });
    expect(witness.takeFaults()).toEqual([]);
  });

  test("policies and trust roots", async () => {
    const { operator, runtime } = as;
    const path = { name: "unknown" };
    await ask("getPolicy", 404, { as: runtime, path });
    await ask("getPolicy", 400, { as: runtime, path, query: { version: "x" } });
    await ask("deletePolicy", 404, { as: operator, path });
    await ask("putPolicy", 415, { as: operator, path, body: POLICY, headers: { "Content-Type": "text/plain" } });
    await ask("replayPolicy", 404, { as: operator, path, body: {} });
    const changes = ["putPolicy", "deletePolicy", "replayPolicy", "putTrustRoot", "deleteTrustRoot", "updateTrustRoot"];
    for (const id of [...changes, "revokeAuthority", "liftAuthority"]) await ask(id, 403, { ...soundRequest(id), as: runtime });
    await ask("listStatements", 400, { as: runtime, query: { limit: "0" } });
    const lifting = { as: operator, body: { reason: "found" } };
    await ask("liftAuthority", 404, { ...lifting, path: { statement: digestOf("unknown") } });
    await ask("liftAuthority", 400, { ...lifting, path: { statement: "unknown" } });
    const unknown = { query: { digest: digestOf("unknown") } };
    await ask("getTrustRoot", 404, { as: runtime, path, ...unknown });
    await ask("getTrustRoot", 400, { as: runtime, path });
    await ask("deleteTrustRoot", 404, { as: operator, path });
    await ask("deleteTrustRoot", 400, { as: operator, path, query: { digest: "x" } });
    await ask("deleteTrustRoot", 409, { as: operator, path: { name: "public-good" } });
    await ask("updateTrustRoot", 200, soundRequest("updateTrustRoot"));
    const older = { ...UPDATE, versions: { ...UPDATE.versions, timestamp: 1 } };
    await ask("updateTrustRoot", 409, { ...soundRequest("updateTrustRoot"), body: older });
    const name = "ended";
    await ask("putPolicy", 200, { as: operator, path: { name }, body: { ...POLICY, metadata: { name } } });
    await ask("putTrustRoot", 200, { as: operator, path: { name }, body: TRUST_ROOT });
    expect(witness.takeFaults()).toEqual([]);
  });

  test("namespaces, credentials and the audit", async () => {
    const { operator, runtime } = as;
    const body = { name: "team", owner: "publisher" };
    await ask("createNamespace", 409, { as: operator, body });
    await ask("createNamespace", 400, { as: operator, body: { ...body, name: "_" } });
    await ask("createNamespace", 403, { as: runtime, body });
    await ask("listNamespaces", 400, { as: operator, query: { limit: "x" } });
    await ask("showNamespace", 404, { as: operator, path: { namespace: "none" } });
    await ask("showNamespace", 404, { as: as.reviewer, path: { namespace: "team" } });
    await ask("setNamespaceQuota", 404, { as: operator, path: { namespace: "none" }, body: {} });
    await ask("setNamespaceQuota", 403, { as: runtime, path: { namespace: "team" }, body: {} });
    await ask("setNamespaceQuota", 400, { as: operator, path: { namespace: "team" }, body: { bytes: -1 } });
    await ask("createCredential", 403, { as: runtime, body: { name: "x", role: "operator", namespace: "*" } });
    const { id } = JSON.parse(
      await ask("createCredential", 201, { as: operator, body: { name: "x", role: "reader", namespace: "team" } }),
    ) as {
      id: string;
    };
    for (let more = 1; more < 20; more += 1) {
      await ask("createCredential", 201, { as: operator, body: { name: "x", role: "reader", namespace: "team" } });
    }
    await ask("createCredential", 409, { as: operator, body: { name: "x", role: "reader", namespace: "team" } });
    await ask("revokeCredential", 200, { as: operator, path: { id } });
    await ask("rotateCredential", 409, { as: operator, path: { id } });
    await ask("rotateCredential", 404, { as: operator, path: { id: "none" } });
    // The job that looks for statements of an earlier version has not run.
    await ask("rotateSigningKey", 409, { as: operator, body: {} });
    await ask("rotateSigningKey", 403, { as: runtime, body: {} });
    await signStatements(registry.services);
    await ask("revokeCredential", 404, { as: operator, path: { id: "none" } });
    for (const audit of ["listAuditEvents", "verifyAudit"]) {
      await ask(audit, 403, { as: runtime });
      await ask(audit, 400, { as: operator, query: { after: "x" } });
    }
    expect(witness.takeFaults()).toEqual([]);
  });

  test("models", async () => {
    const { serviceToken, operator } = as;
    const named = ["getModel", "getModelPath", "quarantineModel", "revokeModel", "deleteModel", "verifyModel", "verifyTensorManifest"];
    for (const id of named) {
      await ask(id, 400, { as: serviceToken });
      await ask(id, 404, { as: serviceToken, query: { name: "nothing" } });
    }
    await ask("acquireModel", 409, { as: serviceToken, body: { name: "d", filename: "a.gguf" } });
    await ask("acquireModel", 403, { as: serviceToken, body: { name: "d", filename: "d.bin" } });
    await ask("promoteModel", 409, { as: serviceToken, body: { name: "a", filename: "a.gguf", sha256: HASH } });
    const sha256 = encodedOf(digestOf("a"));
    await ask("promoteModel", 201, { as: serviceToken, body: { name: "a", filename: "a.gguf", sha256, gguf_guard_manifest: "lost.json" } });
    await ask("verifyTensorManifest", 409, { as: serviceToken, query: { name: "a" } });
    await ask("quarantineModel", 409, { as: serviceToken, query: { name: "a" } });
    for (const id of ["revokeModel", "deleteModel"]) await ask(id, 409, { as: operator, query: { name: OPEN.ref } });
    await ask("cancelVerification", 403, { headers: STRANGER });
    await damage(sha256);
    fault.ofWrites = failing("ENOSPC");
    await ask("verifyModel", 507, { as: serviceToken, query: { name: "a" } });
    delete fault.ofWrites;
    expect((await witness.ask(registry.url, "verifyModel", { as: serviceToken, query: { name: "a" } })).status).toBe(409);
    await ask("getModelPath", 409, { as: serviceToken, query: { name: "a" } });
    expect(witness.takeFaults()).toEqual([]);
  });
});

test("too many requests are refused as published", async () => {
  const nothing = { perSecond: 0.001, burst: 0 };
  const rates = { ...DEFAULT_RATES, unauthenticated: nothing, mutate: nothing };
  const tight = await startTestRegistry({
    limiter: new Limiter(
      ownLimits({ ...DEFAULT_BOUNDS, rates }, () => performance.now()),
      rates,
    ),
  });
  const locked = basic("locked", "amr_wrong");
  for (let tries = 0; tries < 6; tries += 1) {
    await fetch(`${tight.url}/v1/artifacts`, { headers: { authorization: basic("locked", `amr_wrong${tries}`) } });
  }
  for (const { id } of operations) {
    const sound = soundRequest(id);
    const { status } = await witness.ask(tight.url, id, { ...sound, as: locked, headers: { ...STRANGER, ...sound.headers } });
    expect([id, status === 429]).toEqual([id, answering(id, 429)]);
  }
  await tight.stop();
  expect(witness.takeFaults()).toEqual([]);
});

describe("what fails behind the doors is told as published at", () => {
  test.each(operations.map(({ id }) => id))("%s", async (id) => {
    const tries = [
      { ofReads: new TypeError("a fault of ours") },
      { ofReads: failing("EIO"), ofWrites: failing("EIO") },
      { ofWrites: failing("ENOSPC") },
    ];
    for (const each of tries) {
      if (id === "cancelVerification") await witness.ask(registry.url, "verifyAllModels", soundRequest("verifyAllModels"));
      if (id === "withdrawApproval") await witness.ask(registry.url, "approveArtifact", soundRequest("approveArtifact"));
      Object.assign(fault, each);
      await witness.ask(registry.url, id, soundRequest(id));
      delete fault.ofReads;
      delete fault.ofWrites;
    }
    expect(witness.takeFaults()).toEqual([]);
  });
});

test("more policies, trust roots and revoked authorities than there may be are refused as published", async () => {
  const { operator } = as;
  for (let at = 0; !witness.seen("putPolicy").has(409); at += 1) {
    const [name, policy] = [`p${at}`, { ...POLICY, metadata: { name: `p${at}` } }];
    await witness.ask(registry.url, "putPolicy", { as: operator, path: { name }, body: policy });
  }
  for (let at = 0; !witness.seen("putTrustRoot").has(409); at += 1) {
    await witness.ask(registry.url, "putTrustRoot", { as: operator, path: { name: "many" }, body: { ...TRUST_ROOT, at } });
  }
  for (let at = 0; !witness.seen("revokeAuthority").has(409); at += 1) {
    await witness.ask(registry.url, "revokeAuthority", revocationOf(`${at}`));
  }
  expect(witness.takeFaults()).toEqual([]);
}, 60_000);

test("and each refusal that is published was seen", () => {
  expect(witness.takeFaults()).toEqual([]);
  const missed = operations.flatMap(({ id, answers }) =>
    witness.contract
      .statusesOf(id)
      .filter((status) => status >= 400 && answers[status] === undefined && !witness.seen(id).has(status))
      .map((status) => `${id} ${status}`),
  );
  expect(missed).toEqual([]);
});
