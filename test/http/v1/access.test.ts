import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHANGES, FORBIDDEN, READS, change, read, startModels, withTrusted } from "../../support/model-doors.ts";
import { type Asking, type Models, sha256Of } from "../../support/models.ts";

describe("with a service token", () => {
  let models: Models;
  beforeAll(async () => {
    models = await withTrusted(await startModels());
  });
  afterAll(() => models[Symbol.asyncDispose]());

  test.each(CHANGES)("%s without a credential is 403 in the predecessor's words", async (which) => {
    expect(await change(models, `${which} m`, "nobody")).toEqual(FORBIDDEN);
  });

  test.each<[string, Asking]>([
    ["a wrong token", "Bearer wrong-wrong-wrong-wrong-wrong-wrong"],
    ["no token behind Bearer", "Bearer "],
    ["an unknown API key", `Bearer amr_${"x".repeat(40)}`],
    ["a key under another name", `Basic ${Buffer.from("operator:wrong").toString("base64")}`],
    ["something that is no token of ours", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcGVyYXRvciJ9."],
  ])("%s is 403 in the predecessor's words, on reads too", async (_, as) => {
    // A registry of its own: who fails so often has to wait.
    await using other = await startModels();
    expect(await change(other, "acquire m", as)).toEqual(FORBIDDEN);
    expect(await change(other, "delete m", as)).toEqual(FORBIDDEN);
    expect(await other.said("GET", "/v1/models", { as })).toEqual(FORBIDDEN);
  });

  test("reads need no credential on this machine, and take any that is valid", async () => {
    for (const as of ["nobody", "serviceToken", "operator", "publisher", "runtime"] as const) {
      for (const door of READS) expect({ as, door, status: (await read(models, door, as)).status }).toEqual({ as, door, status: 200 });
    }
  });

  test("the token opens the five changes, and nothing on /v2", async () => {
    await models.put("t.gguf", "t");
    const statuses: number[] = [];
    for (const which of CHANGES) statuses.push((await change(models, `${which} t`, "serviceToken")).status);
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
    models = await startModels();
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
      statuses.push((await change(models, `${which} ${name}`, keys.get(role) ?? "nobody")).status);
    }
    expect(statuses).toEqual(MAY[role]);
  });

  test("of a publisher deletes what it has acquired itself, while that was never trusted", async () => {
    const as = keys.get("publisher") ?? "nobody";
    for (const name of ["own", "own-trusted"]) {
      await models.put(`${name}.gguf`, name);
      await models.acquire(name, `${name}.gguf`, {}, as);
    }
    expect((await change(models, "delete own", as)).status).toBe(200);
    await models.promote("own-trusted", "own-trusted.gguf", sha256Of("own-trusted"));
    expect((await change(models, "delete own-trusted", as)).status).toBe(403);
  });

  test("as an access token does no more than its scopes say", async () => {
    await models.put("scoped.gguf", "scoped");
    await models.acquire("scoped", "scoped.gguf");
    const token = async (scope: string): Promise<Asking> => {
      const answer = await models.ask("GET", `/auth/token?scope=${encodeURIComponent(scope)}`, { as: "publisher" });
      return `Bearer ${(answer.json() as { token: string }).token}`;
    };
    const statuses = async (as: Asking): Promise<number[]> => [
      (await read(models, "GET /v1/model?name=scoped", as)).status,
      (await change(models, "quarantine scoped", as)).status,
      (await change(models, "acquire scoped", as)).status,
    ];
    expect(await statuses(await token("repository:models/scoped:pull"))).toEqual([200, 403, 403]);
    expect(await statuses(await token("repository:models/other:pull,push"))).toEqual([404, 404, 403]);
  });
});
