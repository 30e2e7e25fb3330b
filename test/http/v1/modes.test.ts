import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, loadConfig } from "../../../src/config.ts";
import { CHANGES, FOREIGN, FORBIDDEN, READS, change, read, startModels, withTrusted } from "../../support/model-doors.ts";
import { type Models, inJson } from "../../support/models.ts";

const DISABLED = inJson(
  403,
  '{"error":"no service token configured — mutating operations disabled (set INSECURE_DEV_MODE=true for development)"}',
);

describe("without a token file", () => {
  let models: Models;
  beforeAll(async () => {
    models = await withTrusted(await startModels({ env: { SERVICE_TOKEN_PATH: "/nowhere/at/all/service-token" } }));
  });
  afterAll(() => models[Symbol.asyncDispose]());

  test.each(CHANGES)("%s is 403 and says so", async (which) => {
    expect(await change(models, `${which} m`, "nobody")).toEqual(DISABLED);
  });

  test("whatever token comes is a wrong one, reads work, and so do API keys", async () => {
    for (const which of CHANGES)
      expect(await change(models, `${which} m`, "Bearer any-token-at-all-that-is-long-enough")).toEqual(FORBIDDEN);
    for (const door of READS) expect((await read(models, door, "nobody")).status).toBe(200);
    await models.put("k.gguf", "k");
    expect((await change(models, "acquire k", "publisher")).status).toBe(201);
  });

  test("/health says that a credential is needed all the same", async () => {
    expect(JSON.parse((await models.said("GET", "/health", { as: "nobody" })).text)).toMatchObject({ auth_required: true });
  });
});

describe("in the development mode without a token", () => {
  let models: Models;
  beforeAll(async () => {
    models = await startModels({ env: { INSECURE_DEV_MODE: "true" } });
  });
  afterAll(() => models[Symbol.asyncDispose]());

  test("the first start makes no service token, and /health tells of the mode and that no credential is needed", async () => {
    const made = await readdir(models.at("credentials"));
    expect(made).toEqual(expect.arrayContaining(["operator", "publisher", "runtime"]));
    expect(made).not.toContain("service-token");
    const health: unknown = JSON.parse((await models.said("GET", "/health", { as: "nobody" })).text);
    expect(health).toMatchObject({ insecure_dev_mode: true, auth_required: false });
  });

  test("the five changes need no credential on this machine, in the predecessor's order", async () => {
    await models.put("m.gguf", "m");
    const statuses: number[] = [];
    for (const which of CHANGES) statuses.push((await change(models, `${which} m`, "nobody")).status);
    expect(statuses).toEqual([201, 200, 201, 200, 200]);
  });

  test("and nothing else is open", async () => {
    await models.put("n.gguf", "n");
    await models.acquire("n", "n.gguf", {}, "publisher");
    for (const [method, path, body] of [
      ["POST", "/v1/artifacts/models/n:latest/promote", {}],
      ["GET", "/v1/artifacts", undefined],
      ["GET", "/v1/audit", undefined],
      ["POST", "/v1/credentials", { name: "x", role: "operator", namespace: "*" }],
      ["GET", "/v2/", undefined],
      ["GET", "/v2/models/n/manifests/latest", undefined],
      ["POST", "/v2/models/n/blobs/uploads/", undefined],
    ] as const) {
      expect({ path, status: (await models.said(method, path, { as: "nobody", body })).status }).toEqual({ path, status: 401 });
    }
  });

  test.each(FOREIGN)("%s may not change anything", async (_, headers) => {
    for (const which of CHANGES) expect(await change(models, `${which} n`, "nobody", headers)).toEqual(DISABLED);
  });

  test("a wrong credential is refused though none is needed", async () => {
    expect(await change(models, "delete n", "Bearer any-token-at-all-that-is-long-enough")).toEqual(FORBIDDEN);
  });
});

describe("in the development mode with a token", () => {
  let models: Models;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "amr-dev-"));
    const before = await startModels({ directory: folder });
    await before[Symbol.asyncDispose]();
    models = await withTrusted(await startModels({ directory: folder, env: { INSECURE_DEV_MODE: "true" } }));
  });
  afterAll(async () => {
    await models[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  test("the token is demanded still", async () => {
    expect((await stat(models.at("credentials/service-token"))).isFile()).toBe(true);
    for (const which of CHANGES) expect(await change(models, `${which} m`, "nobody")).toEqual(FORBIDDEN);
    expect((await change(models, "revoke m", "serviceToken")).status).toBe(200);
    const health: unknown = JSON.parse((await models.said("GET", "/health", { as: "nobody" })).text);
    expect(health).toMatchObject({ insecure_dev_mode: true, auth_required: true });
  });
});

test.each(["1", "TRUE", "True", "yes", "on", " true"])("INSECURE_DEV_MODE=%j is not the development mode, and no start", (value) => {
  expect(() => loadConfig({ INSECURE_DEV_MODE: value })).toThrow(ConfigError);
});

test.each([
  { BIND_ADDR: "0.0.0.0:8470", PUBLIC_URL: "https://models.example", TLS_TERMINATED_BY_PROXY: "true" },
  { PUBLIC_URL: "https://models.example" },
  { BIND_ADDR: "192.0.2.1:8470", ALLOW_REMOTE_BIND: "true", PUBLIC_URL: "https://models.example" },
])("the development mode is for loopback only: %j", (env) => {
  expect(() => loadConfig({ ...env, INSECURE_DEV_MODE: "true" })).toThrow("INSECURE_DEV_MODE");
});

describe("a reader without a credential", () => {
  let models: Models;
  beforeAll(async () => {
    models = await withTrusted(await startModels());
  });
  afterAll(() => models[Symbol.asyncDispose]());

  test.each(FOREIGN)("is not %s", async (_, headers) => {
    for (const door of READS) {
      expect(await read(models, door, "nobody", headers)).toEqual(FORBIDDEN);
      // A credential does it, wherever it comes from.
      expect((await read(models, door, "serviceToken", headers)).status).toBe(200);
    }
  });

  test.each<[string, Readonly<Record<string, string>>]>([
    ["is called something else", { PUBLIC_URL: "https://models.example" }],
    ["stands behind a proxy", { TLS_TERMINATED_BY_PROXY: "true" }],
    ["stands behind one in the predecessor's words", { ALLOW_REMOTE_BIND: "true" }],
  ])("is nobody where the registry %s", async (_, env) => {
    await using other = await withTrusted(await startModels({ env }));
    for (const door of READS) expect((await read(other, door, "nobody")).status).toBe(403);
    expect(await change(other, "revoke m", "nobody")).toEqual(FORBIDDEN);
  });
});
