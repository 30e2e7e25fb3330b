import { afterEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { countUsage } from "../../src/registry/count-usage.ts";
import { usageOf } from "../../src/registry/quotas.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

let registry: TestRegistry;
afterEach(() => registry.stop());

async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
  registry = await startTestRegistry({ env });
}

async function pushBlob(repository: string, bytes: string): Promise<Response> {
  const path = `/v2/${repository}/blobs/uploads/?digest=${digestOf(bytes)}`;
  return registry.fetchAs("publisher", path, { method: "POST", body: bytes, headers: { "Content-Length": String(bytes.length) } });
}

async function pushManifest(repository: string, reference: string, over: object = {}): Promise<Response> {
  const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };
  const body = JSON.stringify({ schemaVersion: 2, mediaType: OCI_IMAGE, config, layers: [], ...over });
  return registry.fetchAs("publisher", `/v2/${repository}/manifests/${reference}`, {
    method: "PUT",
    body,
    headers: { "Content-Type": OCI_IMAGE },
  });
}

async function begin(repository: string): Promise<Response> {
  return registry.fetchAs("publisher", `/v2/${repository}/blobs/uploads/`, { method: "POST" });
}

async function write(location: string, method: "PATCH" | "PUT" | "DELETE", body?: string): Promise<Response> {
  return registry.fetchAs("publisher", location, { method, ...(body !== undefined && { body }) });
}

async function setQuota(quota: object): Promise<void> {
  const answer = await registry.fetchAs("operator", "/v1/namespaces/models/quota", {
    method: "PUT",
    body: JSON.stringify(quota),
    headers: { "Content-Type": "application/json" },
  });
  expect(answer.status).toBe(200);
}

const refusedBy = (resource: string): object => ({ errors: [{ code: "DENIED", detail: { quota: { namespace: "models", resource } } }] });

describe("a quota of bytes", () => {
  test("refuses what comes when it is full with 403, and what would never fit with 413, before its bytes are taken", async () => {
    await start({ REGISTRY_QUOTA_BYTES: "100" });
    expect((await pushBlob("models/a", "a".repeat(60))).status).toBe(201);
    const refused = await pushBlob("models/a", "b".repeat(41));
    expect([refused.status, await refused.json()]).toMatchObject([403, refusedBy("bytes")]);
    const large = await pushBlob("models/b", "c".repeat(101));
    expect([large.status, await large.json()]).toMatchObject([
      413,
      { errors: [{ code: "SIZE_INVALID", detail: { quota: { resource: "bytes" } } }] },
    ]);
    expect((await pushBlob("models/b", "d".repeat(40))).status).toBe(201);
    expect(await usageOf(registry.services, "models")).toMatchObject({ bytes: 100 });
  });

  test("refuses a PATCH or PUT by 403 and never by 429, and promises room to nobody twice", async () => {
    await start({ REGISTRY_QUOTA_BYTES: "200000" });
    const [one, two] = [await begin("models/a"), await begin("models/a")].map((answer) => answer.headers.get("location") ?? "");
    const patched = await write(one ?? "", "PATCH", "a".repeat(150_000));
    expect(patched.status).toBe(202);
    const refused = await write(two ?? "", "PATCH", "b".repeat(60_000));
    expect([refused.status, await refused.json()]).toMatchObject([403, refusedBy("bytes")]);
    expect((await write(patched.headers.get("location") ?? "", "DELETE")).status).toBe(204);
    expect((await write(two ?? "", "PATCH", "b".repeat(60_000))).status).toBe(202);
  });

  test("stops a body that did not say how long it is when there is no more room", async () => {
    await start({ REGISTRY_QUOTA_BYTES: "200000" });
    const location = (await begin("models/a")).headers.get("location") ?? "";
    const body = new ReadableStream({
      start: (controller) => {
        for (let part = 0; part < 4; part += 1) controller.enqueue(new TextEncoder().encode("a".repeat(60_000)));
        controller.close();
      },
    });
    const refused = await registry.fetchAs("publisher", location, { method: "PATCH", body, duplex: "half" });
    expect([refused.status, await refused.json()]).toMatchObject([413, { errors: [{ detail: { quota: { resource: "bytes" } } }] }]);
    expect((await usageOf(registry.services, "models")).bytes).toBe(0);
  });

  test("counts the same bytes in each repository that holds them, and gives them back when they are deleted there", async () => {
    await start({ REGISTRY_QUOTA_BYTES: "100" });
    const bytes = "a".repeat(50);
    expect([(await pushBlob("models/a", bytes)).status, (await pushBlob("models/b", bytes)).status]).toEqual([201, 201]);
    expect((await pushBlob("models/c", bytes)).status).toBe(403);
    const removed = await registry.fetchAs("publisher", `/v2/models/a/blobs/${digestOf(bytes)}`, { method: "DELETE" });
    expect(removed.status).toBe(202);
    expect((await pushBlob("models/c", bytes)).status).toBe(201);
  });

  test("holds when many push at a time: as many are taken as fit, whichever they are", async () => {
    await start({ REGISTRY_QUOTA_BYTES: "1000" });
    const answers = await Promise.all(Array.from({ length: 24 }, (_, at) => pushBlob(`models/r${at % 3}`, `${at}`.padEnd(100, "x"))));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201).length).toBe(10);
    expect(statuses.filter((status) => status === 403).length).toBe(14);
    expect((await usageOf(registry.services, "models")).bytes).toBe(1000);
  });
});

describe("a quota of", () => {
  test("artifacts leaves what is attached to them alone, and that of manifests does not", async () => {
    await start();
    await setQuota({ artifacts: 1, manifests: 3 });
    const first = await pushManifest("models/a", "v1");
    const subject = { mediaType: OCI_IMAGE, digest: first.headers.get("docker-content-digest"), size: 0 };
    const second = await pushManifest("models/a", "v2", { annotations: { n: "2" } });
    expect([first.status, second.status, await second.json()]).toMatchObject([201, 403, refusedBy("artifacts")]);
    const attached = await Promise.all([1, 2].map((n) => pushManifest("models/a", `s${n}`, { subject, annotations: { n: `${n}` } })));
    expect(attached.map(({ status }) => status)).toEqual([201, 201]);
    const third = await pushManifest("models/a", "s3", { subject, annotations: { n: "3" } });
    expect([third.status, await third.json()]).toMatchObject([403, refusedBy("manifests")]);
  });

  test("tags lets a tag move and go, and another one come in its place", async () => {
    await start();
    await setQuota({ tags: 1 });
    expect((await pushManifest("models/a", "v1")).status).toBe(201);
    expect((await pushManifest("models/a", "v1", { annotations: { n: "2" } })).status).toBe(201);
    const refused = await pushManifest("models/a", "v2");
    expect([refused.status, await refused.json()]).toMatchObject([403, refusedBy("tags")]);
    expect((await registry.fetchAs("publisher", "/v2/models/a/manifests/v1", { method: "DELETE" })).status).toBe(202);
    expect((await pushManifest("models/a", "v2")).status).toBe(201);
  });

  test("open uploads is free again when one is finished or cancelled", async () => {
    await start({ REGISTRY_QUOTA_UPLOADS: "2" });
    const [one, two] = [await begin("models/a"), await begin("models/b")].map((answer) => answer.headers.get("location") ?? "");
    const refused = await begin("models/c");
    expect([refused.status, await refused.json()]).toMatchObject([403, refusedBy("uploads")]);
    expect((await write(one ?? "", "DELETE")).status).toBe(204);
    expect((await begin("models/c")).status).toBe(202);
    expect((await write(`${two}&digest=${digestOf("x")}`, "PUT", "x")).status).toBe(201);
    expect((await begin("models/c")).status).toBe(202);
  });
});

test("no quota stands in the way of a promotion or revocation, whose statements count for nobody; deletion gives everything back", async () => {
  await start();
  await pushBlob("models/a", "{}");
  const digest = (await pushManifest("models/a", "v1")).headers.get("docker-content-digest");
  const held = await usageOf(registry.services, "models");
  await setQuota({ bytes: 0, artifacts: 0, manifests: 0, tags: 0, uploads: 0 });
  const act = async (what: string, body: object): Promise<number> => {
    const headers = { "Content-Type": "application/json" };
    const path = `/v1/artifacts/models/a@${digest}/${what}`;
    return (await registry.fetchAs("operator", path, { method: "POST", body: JSON.stringify(body), headers })).status;
  };
  expect([await act("promote", {}), await act("revoke", { reason: "test" })]).toEqual([200, 200]);
  expect(await usageOf(registry.services, "models")).toEqual(held);
  expect((await registry.fetchAs("operator", `/v1/artifacts/models/a@${digest}`, { method: "DELETE" })).status).toBe(200);
  expect(await usageOf(registry.services, "models")).toMatchObject({ artifacts: 0, manifests: 0, tags: 0, bytes: 2 });
  const { bytes, artifacts, manifests, tags } = await usageOf(registry.services, "models");
  expect((await countUsage(registry.services)).get("models")).toEqual({ bytes, artifacts, manifests, tags });
});

test("a quota is shown with what is held, is audited, and ends when it is set to nothing", async () => {
  await start({ REGISTRY_QUOTA_TAGS: "7" });
  await setQuota({ bytes: 1000, artifacts: null });
  const shown = async (): Promise<unknown> => (await registry.fetchAs("publisher", "/v1/namespaces/models")).json();
  expect(await shown()).toMatchObject({
    name: "models",
    quota: { bytes: 1000, artifacts: null, manifests: null, tags: 7, uploads: 256 },
    own_quota: { bytes: 1000, artifacts: null },
    usage: { bytes: 0, artifacts: 0, manifests: 0, tags: 0 },
  });
  await setQuota({});
  expect(await shown()).toMatchObject({ quota: { bytes: null, tags: 7 }, own_quota: {} });
  const { events } = (await (await registry.fetchAs("operator", "/v1/audit?type=namespace.quota")).json()) as { events: object[] };
  expect(events).toMatchObject([
    { before: {}, after: { bytes: 1000, artifacts: null } },
    { before: { bytes: 1000, artifacts: null }, after: {} },
  ]);
});

async function keyOf(role: string, namespace: string): Promise<`amr_${string}`> {
  const body = JSON.stringify({ name: `${role}-of-models`, role, namespace });
  const answer = await registry.fetchAs("operator", "/v1/credentials", { method: "POST", body });
  return ((await answer.json()) as { key: `amr_${string}` }).key;
}

async function usageFor(role: string, namespace = "models"): Promise<unknown> {
  const answer = await registry.fetchAs(await keyOf(role, namespace), "/v1/namespaces/models");
  return [answer.status, ((await answer.json()) as { usage: unknown }).usage];
}

test("what a namespace holds is told to those alone who see there what is not trusted, or everything", async () => {
  await start();
  await pushBlob("models/a", "hidden");
  expect(await usageFor("reader")).toEqual([200, null]);
  for (const role of ["publisher", "scanner", "reviewer", "maintainer", "owner"])
    expect(await usageFor(role)).toMatchObject([200, { bytes: "hidden".length }]);
  expect(await usageFor("auditor", "*")).toMatchObject([200, { bytes: "hidden".length }]);
});
