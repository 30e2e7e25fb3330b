import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError, loadConfig } from "../../../src/config.ts";
import { inspectorHere } from "../../support/inspector.ts";
import { type Asking, Models, type Said, inJson, sha256Of } from "../../support/models.ts";
import type { TestRegistryOptions } from "../../support/server.ts";

const FORBIDDEN = inJson(403, '{"error":"forbidden: invalid service token"}');
const DISABLED = inJson(
  403,
  '{"error":"no service token configured — mutating operations disabled (set INSECURE_DEV_MODE=true for development)"}',
);

async function start(options: TestRegistryOptions = {}): Promise<Models> {
  return Models.start({ ...options, around: (services) => ({ ...services, inspector: inspectorHere(services.inspector) }) });
}

/** The five doors that change something, each with a request that would. */
function changes(name: string): Readonly<Record<string, { readonly method: string; readonly path: string; readonly body?: unknown }>> {
  const body = { name, filename: `${name}.gguf`, sha256: sha256Of(name) };
  return {
    acquire: { method: "POST", path: "/v1/model/acquire", body },
    quarantine: { method: "POST", path: `/v1/model/quarantine?name=${name}` },
    promote: { method: "POST", path: "/v1/model/promote", body },
    revoke: { method: "POST", path: `/v1/model/revoke?name=${name}` },
    delete: { method: "DELETE", path: `/v1/model/delete?name=${name}` },
  };
}

const READS = ["GET /v1/models", "GET /v1/model?name=m", "GET /v1/model/path?name=m", "GET /v1/stats"] as const;
const CHANGES = Object.keys(changes("m"));

async function change(models: Models, which: string, name: string, as: Asking, headers: Readonly<Record<string, string>> = {}): Promise<Said> {
  const { method = "", path = "", body } = changes(name)[which] ?? {};
  return models.said(method, path, { as, body, headers });
}

async function read(models: Models, door: string, as: Asking, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  const [method = "", path = ""] = door.split(" ");
  return (await models.said(method, path, { as, headers })).status;
}

async function withModel(models: Models): Promise<Models> {
  await models.put("m.gguf", "m");
  const as = models.registry.credentials.serviceToken === "" ? "publisher" : "serviceToken";
  await models.acquire("m", "m.gguf", {}, as);
  await models.ask("POST", "/v1/artifacts/models/m:latest/promote", { as: "operator", body: {} });
  return models;
}

describe("with a service token", () => {
  let models: Models;
  beforeAll(async () => {
    models = await withModel(await start());
  });
  afterAll(() => models[Symbol.asyncDispose]());

  test.each(CHANGES)("%s without a credential is 403 in the predecessor's words", async (which) => {
    expect(await change(models, which, "m", "nobody")).toEqual(FORBIDDEN);
  });

  test.each<[string, Asking]>([
    ["a wrong token", "Bearer wrong-wrong-wrong-wrong-wrong-wrong"],
    ["no token behind Bearer", "Bearer "],
    ["an unknown API key", `Bearer amr_${"x".repeat(40)}`],
    ["a key under another name", `Basic ${Buffer.from("operator:wrong").toString("base64")}`],
    ["something that is no token of ours", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcGVyYXRvciJ9."],
  ])("%s is 403 in the predecessor's words, on reads too", async (_, as) => {
    // A registry of its own: who fails so often has to wait.
    await using other = await start();
    expect(await change(other, "acquire", "m", as)).toEqual(FORBIDDEN);
    expect(await change(other, "delete", "m", as)).toEqual(FORBIDDEN);
    expect(await other.said("GET", "/v1/models", { as })).toEqual(FORBIDDEN);
  });

  test("reads need no credential on this machine, and take any that is valid", async () => {
    for (const as of ["nobody", "serviceToken", "operator", "publisher", "runtime"] as const) {
      for (const door of READS) expect({ as, door, status: await read(models, door, as) }).toEqual({ as, door, status: 200 });
    }
  });

  test("the token opens the five changes, and nothing on /v2", async () => {
    await models.put("t.gguf", "t");
    const statuses: number[] = [];
    for (const which of CHANGES) statuses.push((await change(models, which, "t", "serviceToken")).status);
    expect(statuses).toEqual([201, 200, 201, 200, 200]);
    expect((await models.said("GET", "/v2/", { as: "serviceToken" })).status).toBe(401);
    expect((await models.said("GET", "/v2/models/m/tags/list", { as: "serviceToken" })).status).toBe(401);
  });

  test("/health says that a credential is needed", async () => {
    expect(JSON.parse((await models.said("GET", "/health", { as: "nobody" })).text)).toMatchObject({ auth_required: true });
  });
});

describe("by its role a key", () => {
  let models: Models;
  const keys = new Map<string, Asking>();
  const ROLES = ["reader", "publisher", "maintainer", "owner", "scanner", "reviewer", "auditor", "operator"] as const;
  beforeAll(async () => {
    models = await start();
    for (const role of ROLES) {
      const namespace = role === "auditor" || role === "operator" ? "*" : "models";
      const body = { name: `the-${role}`, role, namespace, expires_in: 3600 };
      const made = await models.ask("POST", "/v1/credentials", { as: "operator", body });
      keys.set(role, `Bearer ${(made.json() as { key: string }).key}`);
    }
  });
  afterAll(() => models[Symbol.asyncDispose]());

  // Of what somebody else has acquired; 404 where the caller may not know of it, and 403 where it may know but not do this.
  const MAY: Readonly<Record<(typeof ROLES)[number], readonly number[]>> = {
    reader: [403, 404, 403, 404, 404],
    publisher: [201, 200, 403, 403, 403],
    maintainer: [201, 200, 403, 403, 200],
    owner: [201, 200, 403, 200, 200],
    scanner: [403, 200, 403, 403, 403],
    reviewer: [403, 200, 201, 200, 403],
    auditor: [403, 403, 403, 403, 403],
    operator: [403, 200, 201, 200, 200],
  };

  test.each(ROLES)("of a %s does what the role may", async (role) => {
    const statuses: number[] = [];
    for (const which of CHANGES) {
      const name = `${role}-${which}`;
      await models.put(`${name}.gguf`, name);
      if (which !== "acquire") await models.acquire(name, `${name}.gguf`);
      statuses.push((await change(models, which, name, keys.get(role) ?? "nobody")).status);
    }
    expect(statuses).toEqual(MAY[role]);
  });

  test("of a publisher deletes what it has acquired itself, while that was never trusted", async () => {
    const as = keys.get("publisher") ?? "nobody";
    for (const name of ["own", "own-trusted"]) {
      await models.put(`${name}.gguf`, name);
      await models.acquire(name, `${name}.gguf`, {}, as);
    }
    expect((await change(models, "delete", "own", as)).status).toBe(200);
    await models.promote("own-trusted", "own-trusted.gguf", sha256Of("own-trusted"));
    expect((await change(models, "delete", "own-trusted", as)).status).toBe(403);
  });

  test("as an access token does no more than its scopes say", async () => {
    await models.put("scoped.gguf", "scoped");
    await models.acquire("scoped", "scoped.gguf");
    const token = async (scope: string): Promise<Asking> => {
      const answer = await models.ask("GET", `/auth/token?scope=${encodeURIComponent(scope)}`, { as: "publisher" });
      return `Bearer ${(answer.json() as { token: string }).token}`;
    };
    const statuses = async (as: Asking): Promise<number[]> => [
      await read(models, "GET /v1/model?name=scoped", as),
      (await change(models, "quarantine", "scoped", as)).status,
      (await change(models, "acquire", "scoped", as)).status,
    ];
    expect(await statuses(await token("repository:models/scoped:pull"))).toEqual([200, 403, 403]);
    expect(await statuses(await token("repository:models/other:pull,push"))).toEqual([404, 404, 403]);
  });
});

describe("without a token file", () => {
  let models: Models;
  beforeAll(async () => {
    models = await withModel(await start({ env: { SERVICE_TOKEN_PATH: "/nowhere/at/all/service-token" } }));
  });
  afterAll(() => models[Symbol.asyncDispose]());

  test.each(CHANGES)("%s is 403 and says so", async (which) => {
    expect(await change(models, which, "m", "nobody")).toEqual(DISABLED);
  });

  test("whatever token comes is a wrong one, reads work, and so do API keys", async () => {
    for (const which of CHANGES) expect(await change(models, which, "m", "Bearer any-token-at-all-that-is-long-enough")).toEqual(FORBIDDEN);
    for (const door of READS) expect(await read(models, door, "nobody")).toBe(200);
    await models.put("k.gguf", "k");
    expect((await change(models, "acquire", "k", "publisher")).status).toBe(201);
  });

  test("/health says that a credential is needed all the same", async () => {
    expect(JSON.parse((await models.said("GET", "/health", { as: "nobody" })).text)).toMatchObject({ auth_required: true });
  });
});

/** What tells that a request does not come from a program of this machine that speaks for itself. */
const FOREIGN: readonly [string, Readonly<Record<string, string>>][] = [
  ["a proxy, by Forwarded", { Forwarded: "for=192.0.2.1" }],
  ["a proxy, by X-Forwarded-For", { "X-Forwarded-For": "127.0.0.1" }],
  ["a proxy, by X-Forwarded-Host", { "X-Forwarded-Host": "127.0.0.1" }],
  ["a proxy, by Via", { Via: "1.1 proxy" }],
  ["a page whose name was bound to loopback", { Host: "evil.example:8470" }],
  ["a page of another origin", { Origin: "https://evil.example" }],
  ["a page without one", { Origin: "null" }],
  ["a page of another site", { "Sec-Fetch-Site": "cross-site" }],
  ["a page of the same site", { "Sec-Fetch-Site": "same-site" }],
];

describe("in the development mode without a token", () => {
  let models: Models;
  beforeAll(async () => {
    models = await start({ env: { INSECURE_DEV_MODE: "true" } });
  });
  afterAll(() => models[Symbol.asyncDispose]());

  test("the first start makes no service token, and /health tells of the mode and that no credential is needed", async () => {
    expect((await readdir(models.at("credentials"))).toSorted()).toEqual(["operator", "publisher", "runtime"]);
    const health: unknown = JSON.parse((await models.said("GET", "/health", { as: "nobody" })).text);
    expect(health).toMatchObject({ insecure_dev_mode: true, auth_required: false });
  });

  test("the five changes need no credential on this machine, in the predecessor's order", async () => {
    await models.put("m.gguf", "m");
    const statuses: number[] = [];
    for (const which of CHANGES) statuses.push((await change(models, which, "m", "nobody")).status);
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
    for (const which of CHANGES) expect(await change(models, which, "n", "nobody", headers)).toEqual(DISABLED);
  });

  test("a wrong credential is refused though none is needed", async () => {
    expect(await change(models, "delete", "n", "Bearer any-token-at-all-that-is-long-enough")).toEqual(FORBIDDEN);
  });
});

describe("in the development mode with a token", () => {
  let models: Models;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "amr-dev-"));
    const before = await start({ directory: folder });
    await before[Symbol.asyncDispose]();
    models = await withModel(await start({ directory: folder, env: { INSECURE_DEV_MODE: "true" } }));
  });
  afterAll(async () => {
    await models[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  test("the token is demanded still", async () => {
    expect((await stat(models.at("credentials/service-token"))).isFile()).toBe(true);
    for (const which of CHANGES) expect(await change(models, which, "m", "nobody")).toEqual(FORBIDDEN);
    expect((await change(models, "revoke", "m", "serviceToken")).status).toBe(200);
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
    models = await withModel(await start());
  });
  afterAll(() => models[Symbol.asyncDispose]());

  test.each(FOREIGN)("is not %s", async (_, headers) => {
    for (const door of READS) {
      const [method = "", path = ""] = door.split(" ");
      expect(await models.said(method, path, { as: "nobody", headers })).toEqual(FORBIDDEN);
      // A credential does it, wherever it comes from.
      expect(await read(models, door, "serviceToken", headers)).toBe(200);
    }
  });

  test.each<[string, Readonly<Record<string, string>>]>([
    ["is called something else", { PUBLIC_URL: "https://models.example" }],
    ["stands behind a proxy", { TLS_TERMINATED_BY_PROXY: "true" }],
    ["stands behind one in the predecessor's words", { ALLOW_REMOTE_BIND: "true" }],
  ])("is nobody where the registry %s", async (_, env) => {
    await using other = await withModel(await start({ env }));
    for (const door of READS) expect(await read(other, door, "nobody")).toBe(403);
    expect(await change(other, "revoke", "m", "nobody")).toEqual(FORBIDDEN);
  });
});
