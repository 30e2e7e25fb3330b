import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modelPathAnswer, statsAnswer } from "../../../src/api/models.ts";
import { startModels } from "../../support/model-doors.ts";
import { type Asking, type Model, type Models, inJson, plainly, sha256Of } from "../../support/models.ts";
import { OciClient } from "../../support/oci-client.ts";

let models: Models;
let oci: OciClient;

/** A registered artifact in every state, and artifacts that were pushed by OCI, one of them trusted. */
beforeAll(async () => {
  models = await startModels();
  oci = new OciClient(models);
  for (const name of ["acquired", "quarantined", "trusted", "revoked", "deleted"]) {
    await models.put(`${name}.gguf`, name);
    await models.acquire(name, `${name}.gguf`);
  }
  await models.must("quarantine", "quarantined");
  await models.promote("trusted", "trusted.gguf", sha256Of("trusted"));
  await models.promote("revoked", "revoked.gguf", sha256Of("revoked"));
  await models.must("revoke", "revoked");
  await models.must("delete", "deleted");
  await oci.push("models/pushed", "v1", { file: "pushed.gguf", bytes: "pushed" });
  await oci.push("models/served", "v1", { file: "weights.safetensors", bytes: "served" });
  await models.ask("POST", "/v1/artifacts/models/served:v1/promote", { as: "operator", body: {} });
});
afterAll(() => models[Symbol.asyncDispose]());

const STATES = ["acquired", "deleted", "quarantined", "revoked", "trusted"];

async function listed(as: Asking): Promise<Model[]> {
  const answer = await models.ask("GET", "/v1/models", { as });
  expect([answer.status, answer.type]).toEqual([200, "application/json"]);
  return answer.json() as Model[];
}

describe("the list of models", () => {
  test("has for a program of this machine what was registered, in all states, and nothing that was pushed by OCI", async () => {
    const all = await listed("nobody");
    expect(all.map(({ name, state }) => [name, state])).toEqual(STATES.map((state) => [state, state]));
  });

  test("has for whoever may see it what was pushed by OCI as well, by its tag, in the same words", async () => {
    const all = await listed("serviceToken");
    expect(all.map(({ name }) => name)).toEqual([...STATES, "models/pushed:v1", "models/served:v1"]);
    expect(all.find(({ name }) => name === "models/served:v1")).toEqual({
      name: "models/served:v1",
      format: "safetensors",
      filename: "weights.safetensors",
      sha256: sha256Of("served"),
      size_bytes: 6,
      promoted_at: expect.any(String) as string,
      state: "trusted",
      repository: "models/served",
      digest: expect.any(String) as string,
    });
  });

  test("has for a reader what is trusted, and of what was trusted that it is revoked", async () => {
    const all = await listed("runtime");
    expect(all.map(({ name }) => name)).toEqual(["revoked", "trusted", "models/served:v1"]);
  });

  test("is [] and not null when there is nothing", async () => {
    await using empty = await startModels();
    expect(await empty.said("GET", "/v1/models", { as: "nobody" })).toEqual(inJson(200, "[]"));
    expect(await empty.said("GET", "/v1/audit")).toEqual(inJson(200, "[]"));
  });

  test("holds each record as it is shown by itself", async () => {
    for (const model of await listed("serviceToken")) expect(await models.info(model.name)).toEqual(model);
  });

  test("does not show signatures and reports as models", async () => {
    const { digest } = await models.info("trusted");
    const subject = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: 1 };
    const layer = { mediaType: "application/vnd.dev.cosign.simplesigning.v1+json", digest: `sha256:${sha256Of("trusted")}`, size: 7 };
    const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: `sha256:${sha256Of("{}")}`, size: 2 };
    const manifest = { schemaVersion: 2, mediaType: subject.mediaType, config, layers: [layer], subject };
    const headers = { "Content-Type": subject.mediaType };
    const pushed = await models.ask("PUT", "/v2/models/trusted/manifests/signature", { as: "publisher", body: manifest, headers });
    expect(pushed.status).toBe(201);
    const before = await listed("serviceToken");
    expect(before.filter(({ name }) => name.startsWith("models/trusted"))).toEqual([]);
    // Nor when they are deleted, and nothing tells any more what they were.
    const path = `/v2/models/trusted/manifests/${pushed.headers["docker-content-digest"] as string}`;
    expect((await models.ask("DELETE", path, { as: "operator" })).status).toBe(202);
    expect(await listed("serviceToken")).toEqual(before);
  });
});

describe("one model", () => {
  test.each(STATES)("is shown while it is %s, to a program of this machine too", async (state) => {
    expect(await models.info(state, "nobody")).toMatchObject({ name: state, state, sha256: sha256Of(state) });
  });

  test.each(["models/pushed:v1", "models/served:v1", "models/trusted:latest", "models/nothing:v1", "unknown"])(
    "%s is unknown to a program of this machine",
    async (name) => {
      for (const door of ["/v1/model", "/v1/model/path"]) {
        expect(await models.said("GET", `${door}?name=${name}`, { as: "nobody" })).toEqual(plainly(404, "model not found"));
      }
    },
  );

  test("is found by its reference as well, by whoever may see it", async () => {
    const { digest, ...record } = await models.info("quarantined");
    for (const name of ["models/quarantined:latest", `models/quarantined@${digest}`]) {
      expect(await models.info(name, "operator")).toEqual({ ...record, digest });
      expect((await models.byName("GET", "/v1/model", name, { as: "runtime" })).status).toBe(404);
    }
  });

  test("is found by its exact registered name before any reference", async () => {
    await models.put("ref.gguf", "ref");
    await models.acquire("team/x:v1", "ref.gguf");
    const body = { name: "team", owner: "publisher" };
    expect((await models.ask("POST", "/v1/namespaces", { as: "operator", body })).status).toBe(201);
    await oci.push("team/x", "v1", { file: "other.gguf", bytes: "other" });
    expect(await models.info("team/x:v1")).toMatchObject({ sha256: sha256Of("ref") });
    expect((await listed("serviceToken")).filter(({ name }) => name === "team/x:v1")).toHaveLength(2);
    await models.must("delete", "team/x:v1");
  });

  test.each(["", "?name=", "?name=%20x", "?name=%zz", "?nam=x"])("asked for by %j is 400", async (query) => {
    for (const door of ["/v1/model", "/v1/model/path"]) {
      expect(await models.said("GET", door + query)).toEqual(plainly(400, "missing ?name= parameter"));
    }
  });
});

describe("the path of a model", () => {
  test("is that of its file in trusted/, with its digest and size, which other users may read and nobody may write", async () => {
    const { digest } = await models.info("trusted");
    const path = join(models.registry.directory, "trusted/models/trusted", digest.replace(":", "-"), "trusted.gguf");
    const body = `{"path":"${path}","sha256":"${sha256Of("trusted")}","size_bytes":7,"storage_contract":"content-addressed-v1"}`;
    for (const as of ["nobody", "runtime", "serviceToken", "operator"] as const) {
      expect(await models.said("GET", "/v1/model/path?name=trusted", { as })).toEqual(inJson(200, body));
    }
    expect(await readFile(path, "utf8")).toBe("trusted");
    expect((await stat(path)).mode & 0o777).toBe(0o444);
    for (let folder = dirname(path); folder !== models.registry.directory; folder = dirname(folder)) {
      expect((await stat(folder)).mode & 0o777).toBe(0o755);
    }
  });

  test.each(["acquired", "quarantined", "revoked", "deleted"])("of what is %s is 403, in JSON", async (state) => {
    const error = `{"error":"artifact \\"${state}\\" is in \\"${state}\\" state — only trusted artifacts can be loaded"}`;
    expect(await models.said("GET", `/v1/model/path?name=${state}`, { as: "nobody" })).toEqual(inJson(403, error));
  });

  test("of what was pushed by OCI is its file, or the folder where there are several", async () => {
    const served = modelPathAnswer.parse((await models.byName("GET", "/v1/model/path", "models/served:v1")).json());
    expect(await readFile(served.path, "utf8")).toBe("served");
    expect(await models.byName("GET", "/v1/model/path", "models/pushed:v1")).toMatchObject({ status: 403 });
  });

  test("by a tag is that of what was promoted for it, whatever was pushed there since", async () => {
    const promoted = modelPathAnswer.parse((await models.byName("GET", "/v1/model/path", "models/served:v1")).json());
    await oci.push("models/served", "v1", { file: "weights.safetensors", bytes: "newer" });
    for (const as of ["serviceToken", "operator", "publisher", "runtime"] as const) {
      const answer = await models.byName("GET", "/v1/model/path", "models/served:v1", { as });
      expect({ as, status: answer.status, said: answer.json() }).toEqual({ as, status: 200, said: promoted });
    }
  });

  test("is gone with the revocation, and back with the reinstatement", async () => {
    await models.put("back.gguf", "back");
    await models.promote("back", "back.gguf", sha256Of("back"));
    const { path } = modelPathAnswer.parse((await models.byName("GET", "/v1/model/path", "back")).json());
    await models.must("revoke", "back");
    await expect(stat(path)).rejects.toThrow("ENOENT");
    await models.promote("back", "back.gguf", sha256Of("back"));
    expect(await readFile(path, "utf8")).toBe("back");
    await models.must("delete", "back");
  });
});

describe("the statistics", () => {
  test("count what occurs, with their names in order", async () => {
    const answer = await models.ask("GET", "/v1/stats", { as: "nobody" });
    const stats = statsAnswer.parse(answer.json());
    expect(answer.text).toBe(`${JSON.stringify(Object.fromEntries(Object.entries(stats).toSorted(([a], [b]) => (a < b ? -1 : 1))))}\n`);
    expect(stats).toMatchObject({ complete: true, damaged_count: 0, state_counts: { quarantined: 1, revoked: 1 } });
    expect(Object.values(stats.state_counts).reduce((sum, count) => sum + count, 0)).toBe(stats.model_count);
    expect(stats.trusted_count).toBe(stats.state_counts["trusted"]);
  });

  test("leave out states that nothing is in", async () => {
    await using empty = await startModels();
    const stats = '{"complete":true,"damaged_count":0,"model_count":0,"state_counts":{},"trusted_count":0}';
    expect(await empty.said("GET", "/v1/stats", { as: "nobody" })).toEqual(inJson(200, stats));
  });
});

describe("what is no door of the predecessor's", () => {
  test.each([
    ["GET", "/v1/models/"],
    ["GET", "/v1/model/"],
    ["GET", "/v1/model/other"],
    ["POST", "/v1/model/acquire/x"],
  ])("%s %s is 404 in its words, with a credential or without", async (method, path) => {
    for (const as of ["nobody", "serviceToken"] as const) {
      expect(await models.said(method, path, { as })).toEqual(plainly(404, "404 page not found"));
    }
  });

  test.each([
    ["POST", "/v1/models"],
    ["PUT", "/v1/model?name=trusted"],
    ["DELETE", "/v1/model?name=trusted"],
    ["GET", "/v1/model/acquire"],
    ["GET", "/v1/model/delete?name=trusted"],
    ["POST", "/v1/model/delete?name=trusted"],
  ])("%s %s is 405 in its words", async (method, path) => {
    expect(await models.said(method, path)).toEqual(plainly(405, "method not allowed"));
  });
});

test("every answer forbids to keep it, to guess its type and to frame it", async () => {
  for (const path of ["/v1/models", "/v1/model?name=unknown", "/v1/model?name=trusted", "/v1/nothing"]) {
    const { headers } = await models.ask("GET", path);
    expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
    expect(headers["cache-control"]).toContain("no-store");
    expect(headers["content-security-policy"]).toContain("frame-ancestors 'none'");
  }
});
