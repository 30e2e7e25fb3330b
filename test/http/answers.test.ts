import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AnySchema } from "ajv";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { operations } from "../../src/api/operations.ts";
import { digestOf, encodedOf } from "../../src/oci/digest.ts";
import { createInspector } from "../../src/scan/inspector.ts";
import { GOLDEN } from "../formats/build-gguf.ts";
import { createValidator } from "../support/contract.ts";
import { type Program, basicOf, runProgram, urlOf } from "../support/program.ts";
import { startTestRegistry } from "../support/server.ts";
import { type Asked, Witness } from "../support/witness.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const EVIDENCE = { policy_version: "2026-03", scan_results: { yara: "pass" }, scanner_versions: { yara: "4.5" }, source_revision: "main" };

let directory: string;
let program: Program;
let url: string;
let known: Readonly<Record<"operator" | "publisher" | "runtime" | "serviceToken", string>>;
const witness = new Witness();

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-answers-"));
  const env = { BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: directory, WORKERS: "1", REGISTRY_PROMOTION_POLICY: "predecessor-evidence" };
  program = runProgram(env);
  url = await urlOf(program);
  const [operator, publisher, runtime, service] = await Promise.all(
    ["operator", "publisher", "runtime", "service-token"].map(async (name) => (await basicOf(directory, name))["authorization"] ?? ""),
  );
  const token = Buffer.from((service ?? "").slice("Basic ".length), "base64")
    .toString("utf8")
    .replace(/^[^:]*:/, "");
  known = { operator: operator ?? "", publisher: publisher ?? "", runtime: runtime ?? "", serviceToken: `Bearer ${token}` };
});
afterAll(async () => {
  witness.close();
  await program.stop();
  await rm(directory, { recursive: true, force: true });
});

const ask = <T = Record<string, unknown>>(id: string, status: number, asked: Asked = {}): Promise<T> =>
  witness.expect<T>(url, id, status, asked);

function described(mediaType: string, blob: string): Readonly<Record<string, unknown>> {
  return { mediaType, digest: digestOf(blob), size: Buffer.byteLength(blob) };
}

/** Pushes an artifact with one layer, or with one that is missing. */
async function push(repository: string, tag: string, layer: string, isWhole = true): Promise<string> {
  const blobs = ["{}", ...(isWhole ? [layer] : [])];
  for (const blob of blobs) {
    const { status } = await fetch(`${url}/v2/${repository}/blobs/uploads/?digest=${digestOf(blob)}`, {
      method: "POST",
      headers: { authorization: known.publisher },
      body: blob,
    });
    expect(status).toBe(201);
  }
  const type = "application/vnd.oci.image.manifest.v1+json";
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: type,
    artifactType: "application/vnd.example.model.v1",
    config: described("application/vnd.oci.empty.v1+json", "{}"),
    layers: [{ ...described("application/octet-stream", layer), annotations: { "org.opencontainers.image.title": "weights.bin" } }],
  });
  const { status } = await fetch(`${url}/v2/${repository}/manifests/${tag}`, {
    method: "PUT",
    headers: { authorization: known.publisher, "content-type": type },
    body: manifest,
  });
  expect(status).toBe(201);
  return digestOf(manifest);
}

async function tensorManifest(): Promise<Uint8Array> {
  const generated = await createInspector().generate(join(directory, "a.gguf"), "a.gguf");
  if ("unreadable" in generated) throw new Error(generated.unreadable);
  return generated.manifest;
}

/** What a document of `schemas/` finds wrong with a value. */
function faultsOf(name: string, value: unknown): readonly unknown[] {
  const validate = createValidator().compile(JSON.parse(readFileSync(`schemas/${name}.schema.json`, "utf8")) as AnySchema);
  return validate(value) ? [] : (validate.errors ?? []);
}

/** Writes other bytes into the file of a blob, as a failing disk does. */
async function damage(sha256: string): Promise<void> {
  const files = await readdir(join(directory, "blobs"), { recursive: true });
  const [file] = files.filter((each) => each.endsWith(sha256)).map((each) => join(directory, "blobs", each));
  if (file === undefined) throw new Error("there is no such blob");
  await chmod(file, 0o644);
  await writeFile(file, Buffer.alloc(GOLDEN.length));
}

describe("every answer of a running registry is as published:", () => {
  test("health", async () => {
    for (const as of [undefined, known.operator]) await ask("getHealth", 200, { as });
    await ask("getHealth", 200, { headers: { "X-Forwarded-For": "192.0.2.1" } });
    await ask("getLiveness", 200);
    await ask("getReadiness", 200);
    let draining = false;
    const stopping = await startTestRegistry({ draining: () => draining });
    draining = true;
    await witness.expect(stopping.url, "getReadiness", 503);
    await stopping.stop();
    expect(witness.takeFaults()).toEqual([]);
  });

  test("namespaces, credentials and keys", async () => {
    const { operator } = known;
    await ask("createNamespace", 201, { as: operator, body: { name: "team", owner: "publisher" } });
    await ask("listNamespaces", 200, { as: operator, query: { limit: "1" } });
    await ask("listNamespaces", 200, { as: known.runtime });
    await ask("showNamespace", 200, { as: operator, path: { namespace: "team" } });
    await ask("setNamespaceQuota", 200, { as: operator, path: { namespace: "team" }, body: { bytes: 1000, tags: null } });
    await ask("setNamespaceQuota", 200, { as: operator, path: { namespace: "team" }, body: {} });
    for (const as of Object.values(known)) await ask("showCaller", 200, { as });
    const created = await ask<{ id: string }>("createCredential", 201, {
      as: operator,
      body: { name: "ci", role: "publisher", namespace: "team" },
    });
    const rotated = await ask<{ id: string }>("rotateCredential", 201, { as: operator, path: { id: created.id } });
    await ask("listCredentials", 200, { as: operator, query: { limit: "2" } });
    await ask("revokeCredential", 200, { as: operator, path: { id: rotated.id } });
    await fetch(`${url}/auth/token?scope=repository:team/a:pull`, { headers: { authorization: operator } });
    await ask("listPublicKeys", 200);
    // Once the registry has looked for statements of an earlier version.
    const rotate = async (): Promise<number> => (await witness.ask(url, "rotateSigningKey", { as: operator, body: {} })).status;
    await expect.poll(rotate).toBe(201);
    expect(witness.takeFaults()).toEqual([]);
  });

  test("policies and trust roots", async () => {
    const { operator, runtime } = known;
    const path = { name: "known" };
    await ask("putTrustRoot", 200, {
      as: operator,
      path,
      body: { mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1" },
    });
    const times = { updated_at: new Date().toISOString(), expires_at: new Date(Date.now() + 86_400_000).toISOString() };
    const versions = { root: 1, timestamp: 1, snapshot: 1, targets: 1 };
    const trusted_root = '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}';
    const fetched = { root_digest: digestOf("root metadata"), ...times, versions, trusted_root };
    await ask("updateTrustRoot", 200, { as: operator, path: { name: "updated" }, body: fetched });
    await ask("listTrustRoots", 200, { as: runtime });
    await ask("getTrustRoot", 200, { as: runtime, path: { name: "updated" }, query: { digest: digestOf(trusted_root) } });
    await ask("deleteTrustRoot", 200, { as: operator, path: { name: "updated" } });
    const policy = {
      apiVersion: "trust.ai-model-registry.dev/v1",
      kind: "TrustPolicy",
      metadata: path,
      spec: { match: { repositories: ["team/*"] }, require: [{ name: "people", evidence: { kind: "approvals", minimum: 2 } }] },
    };
    expect(faultsOf("trust-policy", policy)).toEqual([]);
    await ask("putPolicy", 200, { as: operator, path, body: policy });
    await ask("listPolicies", 200, { as: runtime });
    await ask("getPolicy", 200, { as: runtime, path, query: { version: "1" } });
    await ask("replayPolicy", 200, { as: operator, path, body: { repository: "team/*", limit: 1 } });
    await ask("deletePolicy", 200, { as: operator, path });
    const authority = { type: "key", fingerprint: digestOf("a publisher's key") };
    const from = "2026-03-01T00:00:00Z";
    const { statement } = await ask<{ statement: string }>("revokeAuthority", 200, {
      as: operator,
      body: { authority, from, reason: "stolen" },
    });
    await ask("listRevokedAuthorities", 200, { as: runtime });
    await ask("liftAuthority", 200, { as: operator, path: { statement }, body: { reason: "found" } });
    await ask("listStatements", 200, { as: runtime, query: { after: "1", limit: "2" } });
    expect(witness.takeFaults()).toEqual([]);
  });

  test("artifacts that were pushed by OCI", async () => {
    const { operator, runtime } = known;
    const digest = await push("models/oci", "v1", "weights");
    const path = { ref: "models/oci:v1" };
    await ask("listArtifacts", 200, { as: operator, query: { repository: "models/oci" } });
    for (const id of ["getArtifact", "getArtifactSnapshot"]) await ask(id, 200, { as: operator, path });
    await ask("quarantineArtifact", 200, { as: operator, path, body: { reason: "to be scanned" } });
    const reviewer = await ask<{ key: string }>("createCredential", 201, {
      as: operator,
      body: { name: "reviewer", role: "reviewer", namespace: "models" },
    });
    await ask("approveArtifact", 200, { as: `Bearer ${reviewer.key}`, path, body: { reason: "card read" } });
    await ask("withdrawApproval", 200, { as: `Bearer ${reviewer.key}`, path, query: { reason: "licence" } });
    await ask("approveArtifact", 200, { as: `Bearer ${reviewer.key}`, path });
    await ask("promoteArtifact", 422, { as: operator, path, body: { reason: "no evidence" } });
    const decision = await ask<{ digest: string }>("evaluatePromotion", 200, { as: operator, path, body: EVIDENCE });
    await ask("promoteArtifact", 409, { as: operator, path, body: { ...EVIDENCE, expected: digest } });
    await ask("promoteArtifact", 200, { as: operator, path, body: { ...EVIDENCE, expected: decision.digest } });
    await ask("promoteArtifact", 422, {
      as: operator,
      path: { ref: `models/oci@${await push("models/oci", "v2", "lost", false)}` },
      body: EVIDENCE,
    });
    await ask("getArtifact", 200, { as: runtime, path });
    for (const reader of [operator, runtime])
      await ask("getRecordedDecision", 200, { as: reader, path, query: { digest: decision.digest } });
    await ask("listArtifacts", 200, { as: runtime, query: { limit: "1", state: "trusted" } });
    const tag = { ref: "models/oci:stable" };
    await ask("setPromotedTag", 200, { as: known.publisher, path: tag, body: { digest, reason: "rolled back" } });
    await ask("removePromotedTag", 200, { as: known.publisher, path: tag });
    await ask("revokeArtifact", 200, {
      as: operator,
      path: { ref: `models/oci@${digest}` },
      body: { reason: "withdrawn", everywhere: true },
    });
    await ask("getArtifact", 200, { as: runtime, path: { ref: `models/oci@${digest}` } });
    await ask("deleteArtifact", 200, { as: operator, path: { ref: `models/oci@${digest}` }, query: { reason: "gone" } });
    for (const id of ["getArtifactHistory", "getArtifactSnapshot"]) {
      await ask(id, 200, { as: operator, path: { ref: `models/oci@${digest}` } });
    }
    expect(witness.takeFaults()).toEqual([]);
  });

  test("models by name", async () => {
    const as = known.serviceToken;
    await writeFile(join(directory, "a.gguf"), GOLDEN);
    await ask("acquireModel", 201, { as, body: { name: "A <1>", filename: "a.gguf", source: "https://example.org/a" } });
    await ask("getModelPath", 403, { query: { name: "A <1>" } });
    await ask("quarantineModel", 200, { as, query: { name: "A <1>" } });
    const body = { name: "A <1>", filename: "a.gguf", sha256: encodedOf(digestOf(GOLDEN)), gguf_guard_fingerprint: { layers: [1, 2] } };
    await ask("promoteModel", 422, { as, body });
    await writeFile(join(directory, "a.json"), await tensorManifest());
    await ask("promoteModel", 201, { as, body: { ...body, ...EVIDENCE, gguf_guard_manifest: "a.json" } });
    await ask("getModel", 200, { query: { name: "A <1>" } });
    await ask("listModels", 200, { as: known.operator });
    await ask("getModelPath", 200, { query: { name: "A <1>" } });
    await ask("getStats", 200);
    await ask("verifyTensorManifest", 200, { query: { name: "A <1>" } });
    await writeFile(join(directory, "b.gguf"), "no model at all");
    await ask("acquireModel", 201, { as, body: { name: "b", filename: "b.gguf" } });
    await ask("verifyTensorManifest", 200, { query: { name: "b" } });
    await ask("revokeModel", 200, { as, query: { name: "b" } });
    await ask("deleteModel", 200, { as, query: { name: "b" } });
    await ask("getModel", 200, { query: { name: "b" } });
    expect(witness.takeFaults()).toEqual([]);
  });

  test("checks of stored bytes", async () => {
    const as = known.serviceToken;
    await ask("getIntegrityStatus", 200);
    await ask("verifyModel", 200, { query: { name: "A <1>" } });
    await ask("verifyAllModels", 202, { headers: { Prefer: "respond-async" } });
    await ask("getVerification", 200, { as: known.operator });
    await ask("verifyAllModels", 200);
    await ask("cancelVerification", 200, { as });
    await damage(encodedOf(digestOf(GOLDEN)));
    await ask("verifyAllModels", 409);
    await ask("verifyModel", 409, { query: { name: "A <1>" } });
    await ask("verifyTensorManifest", 409, { query: { name: "A <1>" } });
    await ask("getIntegrityStatus", 200);
    await ask("getStats", 200);
    expect(witness.takeFaults()).toEqual([]);
  });

  test("the audit, in both of its forms", async () => {
    await ask("listAuditEvents", 200, { as: known.operator, query: { limit: "1000" } });
    await ask("listAuditEvents", 200, { as: known.serviceToken, query: { type: "artifact.promote" } });
    expect(await ask<unknown[]>("listAuditEvents", 200, { as: known.serviceToken })).toHaveLength(6);
    await ask("verifyAudit", 200, { as: known.operator });
    expect(witness.takeFaults()).toEqual([]);
  });

  test("also by the schemas that stand alone", async () => {
    const as = known.operator;
    const model = await ask("getModel", 200, { query: { name: "A <1>" } });
    const audit = await ask<{ events: unknown[] }>("listAuditEvents", 200, { as, query: { limit: "1000" } });
    const history = await ask<unknown[]>("listAuditEvents", 200, { as: known.serviceToken });
    const artifact = await ask("getArtifact", 200, { as, path: { ref: `${String(model["repository"])}:latest` } });
    expect(faultsOf("model", model)).toEqual([]);
    expect(audit.events.flatMap((event) => faultsOf("audit-event", event))).toEqual([]);
    expect(history.flatMap((event) => faultsOf("model-event", event))).toEqual([]);
    expect(faultsOf("artifact", artifact)).toEqual([]);
    expect(faultsOf("decision", artifact["decision"])).toEqual([]);
    expect(faultsOf("tensor-manifest", JSON.parse(Buffer.from(await tensorManifest()).toString("utf8")))).toEqual([]);
  });

  test("and nothing that is published was left out", () => {
    expect(witness.takeFaults()).toEqual([]);
    const missed = operations.flatMap(({ id, answers }) =>
      Object.keys(answers)
        .map(Number)
        .filter((status) => !witness.seen(id).has(status))
        .map((status) => `${id} ${status}`),
    );
    expect(missed).toEqual([]);
  });
});
