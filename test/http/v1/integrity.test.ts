import { type IncomingMessage, get } from "node:http";
import { mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { allVerified, cancelAnswer, modelNotVerified, modelVerified, verificationAnswer } from "../../../src/api/integrity.ts";
import { registryJobs } from "../../../src/jobs/registry-jobs.ts";
import { type Scheduler, startScheduler } from "../../../src/jobs/scheduler.ts";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../../src/oci/media-types.ts";
import { streamAudit } from "../../../src/registry/read-audit.ts";
import type { BlobStore } from "../../../src/storage/blob-store.ts";
import { blobsWith } from "../../support/blob-registry.ts";
import { overwriteRow } from "../../support/blob-rows.ts";
import { fileOf, overwrite } from "../../support/damaged-bytes.ts";
import { inspectorHere } from "../../support/inspector.ts";
import { Models, inJson, plainly, sha256Of } from "../../support/models.ts";

let models: Models;
/** What stands before the blobs of the doors, and of the jobs. */
let around: Partial<BlobStore>;
let schedulers: Scheduler[];

beforeEach(async () => {
  around = {};
  schedulers = [];
  models = await Models.start({
    around: (services) => ({
      ...services,
      inspector: inspectorHere(services.inspector),
      blobs: blobsWith(services.blobs, { open: (...args) => (around.open ?? services.blobs.open.bind(services.blobs))(...args) }),
    }),
  });
});
afterEach(async () => {
  await Promise.all(schedulers.map((scheduler) => scheduler.stop()));
  await models[Symbol.asyncDispose]();
});

const ALL = "/v1/models/verify-all";
const hex = (digest: Digest): string => digest.slice("sha256:".length);

/** A worker that checks all blobs when it is asked to. */
function runChecks(): void {
  const { services } = models.registry;
  const blobs = blobsWith(services.blobs, {
    open: (...args) => (around.open ?? services.blobs.open.bind(services.blobs))(...args),
  });
  const times = { collectInterval: 1e9, uploadExpiry: 1e9, verifyInterval: 0, verifyRate: 0 };
  const jobs = registryJobs({ ...services, blobs }, times).filter(({ name }) => name === "verify-all");
  schedulers.push(startScheduler(services, jobs));
}

/** Pushes an image of these layers and promotes it; its name in the predecessor's API. */
async function pushed(layers: readonly string[], { promote = true, tag = "v1", asRows = false } = {}): Promise<string> {
  const described = layers.map((layer) => ({ mediaType: "application/x.test", digest: digestOf(layer), size: layer.length }));
  for (const layer of ["{}", ...layers]) await push(layer, asRows);
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    artifactType: "application/x.test",
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
    layers: described,
    annotations: { tag },
  });
  const headers = { "Content-Type": OCI_IMAGE };
  expect((await models.ask("PUT", `/v2/models/m/manifests/${tag}`, { as: "publisher", body, headers })).status).toBe(201);
  if (!promote) return `models/m@${digestOf(body)}`;
  expect((await models.ask("POST", `/v1/artifacts/models/m:${tag}/promote`, { as: "operator", body: {} })).status).toBe(200);
  return `models/m:${tag}`;
}

/** Few bytes whose length is not said beforehand are a file, and else a row. */
async function push(bytes: string, asRow = false): Promise<void> {
  const path = `/v2/models/m/blobs/uploads/?digest=${digestOf(bytes)}`;
  expect((await models.ask("POST", path, { as: "publisher", body: bytes, chunked: !asRow })).status).toBe(201);
}

async function runtimeFiles(): Promise<string[]> {
  const found = await readdir(models.at("trusted"), { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

async function eventsOf(type: string) {
  const found = [];
  for await (const { event } of streamAudit(models.registry.services, {})) if (event.type === type) found.push(event);
  return found;
}

const resultFile = (): string => models.at("integrity-last.json");

const failing = (code: string) => (): Promise<never> => Promise.reject(Object.assign(new Error(`${code}: /secret/path`), { code }));

describe("POST /v1/model/verify", () => {
  test("answers as the predecessor while the bytes are right, in every state, without a credential on this machine", async () => {
    const bytes = "registered bytes";
    const sha256 = await models.put("a.gguf", bytes);
    await models.acquire("a", "a.gguf");
    const verified = (safe: boolean, state: string) =>
      inJson(200, `{"name":"a","safe_to_use":"${safe}","sha256":"${sha256}","state":"${state}","status":"verified"}`);
    for (const as of ["nobody", "serviceToken"] as const) {
      expect(await models.said("POST", "/v1/model/verify?name=a", { as })).toEqual(verified(false, "acquired"));
    }
    await models.promote("a", "a.gguf", sha256);
    const answer = await models.ask("POST", "/v1/model/verify?name=a", { as: "nobody", body: "ignored" });
    expect(answer).toMatchObject(verified(true, "trusted"));
    expect(() => modelVerified.parse(answer.json())).not.toThrow();
    await models.must("revoke", "a");
    expect(await models.said("POST", "/v1/model/verify?name=a")).toEqual(verified(false, "revoked"));
    await models.must("delete", "a");
    expect((await models.ask("POST", "/v1/model/verify?name=a")).json()).toMatchObject({ status: "failed", actual: "" });
  });

  test.each([
    ["is promoted", "acquired", "trusted"],
    ["is revoked", "trusted", "revoked"],
  ] as const)("calls nothing safe that %s while its bytes are read", async (_, before, after) => {
    const sha256 = await models.put("a.gguf", "bytes");
    await models.acquire("a", "a.gguf");
    if (before === "trusted") await models.promote("a", "a.gguf", sha256);
    const { blobs } = models.registry.services;
    around = {
      open: async (...args) => {
        around = {};
        if (after === "trusted") await models.promote("a", "a.gguf", sha256);
        else await models.must("revoke", "a");
        return blobs.open(...args);
      },
    };
    expect((await models.byName("POST", "/v1/model/verify", "a")).json()).toMatchObject({
      status: "verified",
      state: after,
      safe_to_use: "false",
    });
  });

  test.each([
    ["files", false],
    ["rows", true],
  ])("takes damaged bytes of %s out of service at every door before it answers, until the right ones are pushed", async (_, asRows) => {
    const weights = "the right weights";
    const name = await pushed([weights], { asRows });
    const digest = digestOf(weights);
    const [file = ""] = await runtimeFiles();
    const located = await models.byName("GET", "/v1/model/path", name, { as: "runtime" });
    expect(located.json()).toMatchObject({ path: file });
    if (asRows) await overwriteRow(models.registry.services.metadata, digest, "the wrong weights");
    else await overwrite(models.registry.directory, digest, "the wrong weights");
    const [expected, actual] = [hex(digest), sha256Of("the wrong weights")];
    const failed = await models.byName("POST", "/v1/model/verify", name, { as: "runtime" });
    expect(failed).toMatchObject(
      inJson(
        409,
        `{"actual":"${actual}","error":"hash mismatch: expected ${expected}, got ${actual}","expected":"${expected}",` +
          `"name":"${name}","safe_to_use":"false","status":"failed"}`,
      ),
    );
    expect(() => modelNotVerified.parse(failed.json())).not.toThrow();
    for (const as of ["runtime", "operator", "publisher"] as const) {
      const denied = await models.ask("GET", `/v2/models/m/blobs/${digest}`, { as });
      expect([denied.status, denied.text]).toEqual([403, expect.stringMatching(/integrity check failed/)]);
      expect((await models.ask("HEAD", `/v2/models/m/blobs/${digest}`, { as })).status).toBe(403);
      expect((await models.ask("GET", `/v2/models/m/blobs/${digest}`, { as, headers: { Range: "bytes=0-1" } })).status).toBe(403);
    }
    expect(await runtimeFiles()).toEqual([]);
    expect((await models.byName("GET", "/v1/model/path", name, { as: "runtime" })).status).toBe(409);
    expect(await eventsOf("blob.damage")).toEqual([
      expect.objectContaining({
        actor: { principal: "system", kind: "system" },
        after: { damaged: true, actual: `sha256:${actual}`, size: weights.length, asked_by: "runtime" },
      }),
    ]);
    for (const path of ["/health", "/v1/stats"]) expect((await models.ask("GET", path)).json()).toMatchObject({ damaged_count: 1 });
    await push(weights, asRows);
    expect(await runtimeFiles()).toEqual([file]);
    expect((await models.ask("GET", `/v2/models/m/blobs/${digest}`, { as: "runtime" })).text).toBe(weights);
    expect((await models.byName("POST", "/v1/model/verify", name, { as: "runtime" })).json()).toMatchObject({ safe_to_use: "true" });
    for (const path of ["/health", "/v1/stats"]) expect((await models.ask("GET", path)).json()).toMatchObject({ damaged_count: 0 });
  });

  test("of untrusted content that is damaged denies it to who could read it, and is nothing to others", async () => {
    const name = await pushed(["untrusted"], { promote: false });
    const before = await models.ask("GET", `/v2/models/m/blobs/${digestOf("untrusted")}`, { as: "runtime" });
    await overwrite(models.registry.directory, digestOf("untrusted"), "damaged");
    expect((await models.byName("POST", "/v1/model/verify", name, { as: "runtime" })).status).toBe(404);
    expect(await eventsOf("blob.damage")).toEqual([]);
    expect((await models.byName("POST", "/v1/model/verify", name, { as: "publisher" })).status).toBe(409);
    const after = await models.ask("GET", `/v2/models/m/blobs/${digestOf("untrusted")}`, { as: "runtime" });
    expect([after.status, after.text]).toEqual([before.status, before.text]);
    expect((await models.ask("GET", `/v2/models/m/blobs/${digestOf("untrusted")}`, { as: "publisher" })).status).toBe(403);
  });

  test("tells which of several files is missing, and what is not all here", async () => {
    const name = await pushed(["one", "two"]);
    await rm(fileOf(models.registry.directory, digestOf("two")));
    expect((await models.byName("POST", "/v1/model/verify", name, { as: "publisher" })).json()).toMatchObject({
      status: "failed",
      expected: hex(digestOf("two")),
      actual: "",
      error: "the stored bytes are missing",
    });
    const sparse = JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_IMAGE,
      config: { mediaType: "application/x.test", digest: digestOf("elsewhere"), size: 9 },
      layers: [],
    });
    const headers = { "Content-Type": OCI_IMAGE };
    expect((await models.ask("PUT", "/v2/models/m/manifests/sparse", { as: "publisher", body: sparse, headers })).status).toBe(201);
    expect((await models.byName("POST", "/v1/model/verify", "models/m:sparse", { as: "publisher" })).json()).toMatchObject({
      status: "failed",
      error: "the repository does not hold all of the artifact",
    });
  });

  test.each(["EIO", "EMFILE", "ETIMEDOUT"])("takes %s for no verdict", async (code) => {
    const name = await pushed(["weights"]);
    around = { open: failing(code) };
    const answer = await models.byName("POST", "/v1/model/verify", name, { as: "runtime" });
    expect([answer.status, answer.type]).toEqual([503, "text/plain; charset=utf-8"]);
    expect(answer.text).not.toContain("path");
    around = {};
    expect((await models.byName("POST", "/v1/model/verify", name, { as: "runtime" })).json()).toMatchObject({ safe_to_use: "true" });
    expect(await eventsOf("blob.damage")).toEqual([]);
  });

  test("refuses as the predecessor", async () => {
    expect(await models.said("POST", "/v1/model/verify")).toEqual(plainly(400, "missing ?name= parameter"));
    expect(await models.said("POST", "/v1/model/verify?name=none")).toEqual(plainly(404, "model not found"));
    const wrong = await models.ask("POST", "/v1/model/verify?name=none", { as: "Bearer wrong-wrong-wrong-wrong-wrong-wrong" });
    expect(wrong).toMatchObject(inJson(403, '{"error":"forbidden: invalid service token"}'));
    const proxied = { as: "nobody", headers: { "X-Forwarded-For": "192.0.2.1" } } as const;
    expect((await models.ask("POST", "/v1/model/verify?name=none", proxied)).status).toBe(403);
  });

  test("of many at once reads each file once, and refuses none", async () => {
    const name = await pushed(["large ".repeat(500_000)]);
    let opened = 0;
    const { blobs } = models.registry.services;
    around = {
      open: (...args) => {
        opened += 1;
        return blobs.open(...args);
      },
    };
    const answers = await Promise.all(Array.from({ length: 20 }, () => models.byName("POST", "/v1/model/verify", name, { as: "runtime" })));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    // The layer for all of them, and `{}`, which is quick.
    expect(opened).toBeLessThan(40);
  });

  test("cuts a download of what it finds damaged", async () => {
    const weights = "weights ".repeat(4 * 1024 * 1024);
    const name = await pushed([weights]);
    const headers = { Authorization: models.authorization("runtime") };
    const released = Promise.withResolvers<void>();
    const { blobs } = models.registry.services;
    around = { open: async (...args) => (await blobs.open(...args)).once("close", released.resolve) };
    const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
      get(`${models.registry.url}/v2/models/m/blobs/${digestOf(weights)}`, { agent: false, headers }, resolve).on("error", reject);
    });
    incoming.on("error", () => undefined);
    const closed = new Promise((resolve) => incoming.once("close", resolve));
    await new Promise<void>((resolve) => incoming.once("data", () => resolve()));
    incoming.pause();
    around = {};
    await overwrite(models.registry.directory, digestOf(weights), `X${weights.slice(1)}`);
    expect((await models.byName("POST", "/v1/model/verify", name, { as: "runtime" })).status).toBe(409);
    // Nobody reads: the registry ends it by itself, or this waits for ever.
    await released.promise;
    incoming.resume();
    await closed;
    expect(incoming.complete).toBe(false);
  }, 60_000);
});

describe("/v1/models/verify-all", () => {
  test("waits for one check of everything, and answers as the predecessor", async () => {
    runChecks();
    const [good, gone] = [await models.put("good.gguf", "good"), await models.put("gone.gguf", "gone")];
    for (const [name, sha256] of [
      ["good", good],
      ["gone", gone],
    ] as const)
      await models.promote(name, `${name}.gguf`, sha256);
    await models.must("delete", "gone");
    const answer = await models.ask("POST", ALL, { as: "nobody" });
    expect(answer).toMatchObject(
      inJson(
        200,
        `{"checked":2,"models":[{"name":"gone","reason":"deleted artifact bytes are intentionally absent","state":"deleted","status":"skipped"},` +
          `{"name":"good","sha256":"${good}","status":"verified"}],"status":"ok"}`,
      ),
    );
    expect(() => allVerified.parse(answer.json())).not.toThrow();
    expect(await models.said("GET", "/v1/integrity/status", { as: "nobody" })).toMatchObject({
      status: 200,
      text: expect.stringMatching(/^\{"blobs_checked":\d+,.*"failures":0,"models_checked":1,.*"status":"ok"\}\n$/) as unknown,
    });
  });

  test("answers 409 when something failed, in the words of verify", async () => {
    runChecks();
    const sha256 = await models.put("a.gguf", "right");
    await models.promote("a", "a.gguf", sha256);
    await overwrite(models.registry.directory, `sha256:${sha256}` as Digest, "wrong");
    const answer = await models.ask("POST", ALL);
    const actual = sha256Of("wrong");
    expect(answer).toMatchObject(
      inJson(
        409,
        `{"checked":1,"models":[{"actual":"${actual}","error":"hash mismatch: expected ${sha256}, got ${actual}","expected":"${sha256}",` +
          `"name":"a","status":"failed"}],"status":"failed"}`,
      ),
    );
    expect(() => allVerified.parse(answer.json())).not.toThrow();
    expect((await models.ask("GET", "/v1/integrity/status")).json()).toMatchObject({ status: "failed", failures: 1, models_checked: 1 });
    expect((await models.ask("GET", ALL)).json()).toMatchObject({ current: null, last: { status: "failed", by: "service-token" } });
  });

  test("is no failure for a manifest that came before its blobs, and shows each caller what it may see", async () => {
    runChecks();
    await pushed(["trusted"]);
    const headers = { "Content-Type": OCI_IMAGE };
    const sparse = JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_IMAGE,
      config: { mediaType: "application/x.test", digest: digestOf("later"), size: 5 },
      layers: [],
    });
    await models.ask("PUT", "/v2/models/m/manifests/sparse", { as: "publisher", body: sparse, headers });
    expect((await models.ask("POST", ALL, { as: "operator" })).json()).toEqual({
      checked: 2,
      models: expect.arrayContaining([
        { name: "models/m:v1", sha256: hex(digestOf("trusted")), status: "verified" },
        { name: "models/m:sparse", reason: "the repository does not hold all of the artifact", state: "acquired", status: "skipped" },
      ]) as unknown,
      status: "ok",
    });
    // Programs of this machine see what was registered through /v1 alone.
    expect((await models.ask("POST", ALL, { as: "nobody" })).json()).toEqual({ checked: 0, models: [], status: "ok" });
  });

  test.each([{ as: "runtime" }, { as: "publisher" }] as const)("is not for everybody with a credential: $as", async ({ as }) => {
    expect((await models.ask("POST", ALL, { as })).status).toBe(403);
    expect((await models.ask("DELETE", ALL, { as })).status).toBe(403);
    expect(await eventsOf("verification.start")).toEqual([]);
  });

  test("goes on without whoever would rather come again, joins others to it, and shows how far it is", async () => {
    const sha256 = await models.put("a.gguf", "right");
    await models.promote("a", "a.gguf", sha256);
    const headers = { Prefer: "wait=1, respond-async" };
    const started = await models.ask("POST", ALL, { headers });
    expect([started.status, started.headers.location, started.headers["preference-applied"]]).toEqual([202, ALL, "respond-async"]);
    const { current } = verificationAnswer.parse(started.json());
    expect(current).toMatchObject({ by: "service-token", blobs_checked: 0, progress: 0 });
    const again = verificationAnswer.parse((await models.ask("POST", ALL, { as: "nobody", headers })).json());
    expect(again.current?.id).toBe(current?.id);
    // Who asked is for those who may read the audit.
    expect(again.current).not.toHaveProperty("by");
    const waiting = models.ask("POST", ALL);
    runChecks();
    expect((await waiting).status).toBe(200);
    const { last, current: none } = verificationAnswer.parse((await models.ask("GET", ALL, { as: "nobody" })).json());
    expect([none, last?.id, last?.status, last?.models_checked]).toEqual([null, current?.id, "ok", 1]);
  });

  test("is cancelled by an operator or the service token, and then tells who waits that there is no verdict", async () => {
    const sha256 = await models.put("a.gguf", "right");
    await models.promote("a", "a.gguf", sha256);
    expect((await models.ask("DELETE", ALL, { as: "operator" })).json()).toEqual({ cancelled: null });
    const waiting = models.ask("POST", ALL);
    await expect.poll(async () => verificationAnswer.parse((await models.ask("GET", ALL)).json()).current).not.toBeNull();
    expect((await models.ask("DELETE", ALL, { as: "nobody" })).status).toBe(403);
    const cancelled = cancelAnswer.parse((await models.ask("DELETE", ALL, { as: "operator" })).json());
    expect(cancelled.cancelled).toMatchObject({ status: "error", by: "service-token" });
    expect(await waiting).toMatchObject(plainly(503, "it was cancelled before all blobs were checked"));
    expect((await models.ask("GET", "/v1/integrity/status")).json()).toMatchObject({ status: "error" });
    expect((await eventsOf("verification.cancel")).map(({ actor }) => actor.principal)).toEqual(["operator"]);
  });

  test("has no verdict when the storage fails, and is none of damage", async () => {
    runChecks();
    const sha256 = await models.put("a.gguf", "right");
    await models.promote("a", "a.gguf", sha256);
    around = { open: failing("EIO") };
    const answer = await models.ask("POST", ALL);
    expect([answer.status, answer.type]).toEqual([503, "text/plain; charset=utf-8"]);
    around = {};
    expect((await models.ask("POST", ALL)).status).toBe(200);
    expect(await eventsOf("blob.damage")).toEqual([]);
  });
});

describe("GET /v1/integrity/status", () => {
  const path = "/v1/integrity/status";

  test("is unknown before the first check", async () => {
    const unknown = inJson(200, '{"detail":"no integrity check has run yet","status":"unknown"}');
    for (const as of ["nobody", "serviceToken", "runtime"] as const) expect(await models.said("GET", path, { as })).toEqual(unknown);
  });

  test("encodes whatever value the file holds anew, as the predecessor did", async () => {
    await writeFile(resultFile(), '{"status":"ok","b":1.0,"a":"<&>","1":[null,true],"c":1e3}\n');
    expect(await models.said("GET", path)).toEqual(
      inJson(200, '{"1":[null,true],"a":"\\u003c\\u0026\\u003e","b":1,"c":1000,"status":"ok"}'),
    );
    await writeFile(resultFile(), "17");
    expect(await models.said("GET", path)).toEqual(inJson(200, "17"));
  });

  test.each([
    ["no JSON", () => writeFile(resultFile(), "ok")],
    ["two values", () => writeFile(resultFile(), "{}{}")],
    ["too many bytes", () => writeFile(resultFile(), `"${"x".repeat(1024 * 1024)}"`)],
    ["a symbolic link", () => symlink("/etc/hostname", resultFile())],
    ["a folder", () => mkdir(resultFile())],
  ])("is unavailable over %s", async (_, make) => {
    await make();
    expect(await models.said("GET", path)).toEqual(plainly(503, "integrity result unavailable"));
  });

  test("needs what the other doors need", async () => {
    expect((await models.ask("GET", path, { as: "Bearer wrong-wrong-wrong-wrong-wrong-wrong" })).status).toBe(403);
    expect((await models.ask("GET", path, { as: "nobody", headers: { Via: "1.1 proxy" } })).status).toBe(403);
  });
});
