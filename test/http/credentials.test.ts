import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createCredentialRequest, credentialView } from "../../src/api/credentials.ts";
import { ROLES } from "../../src/identity/principal.ts";
import type { Known } from "../support/identities.ts";
import { type Answer, SERVICE_TOKEN, type WholeRegistry, basic, bearer, startWholeRegistry } from "../support/whole-registry.ts";

const DAY = 24 * 60 * 60 * 1000;

let registry: WholeRegistry;
let operator: Known;
let publisher: Known;
beforeEach(async () => {
  registry = await startWholeRegistry({ serviceToken: SERVICE_TOKEN });
  operator = await registry.identity("operator", [{ role: "operator", namespace: "*" }]);
  publisher = await registry.identity("publisher", [{ role: "owner", namespace: "models" }]);
});
afterEach(async () => registry.close());

const CI = { name: "ci", role: "publisher", namespace: "models" };
const post = (path: string, body: unknown, who = operator): Promise<Answer> =>
  registry.ask("POST", path, { as: bearer(who.secret), body: JSON.stringify(body) });
const works = async (name: string, key: unknown): Promise<boolean> =>
  (await registry.ask("GET", "/v2/", { as: basic(name, String(key)) })).status === 200;

describe("POST /v1/credentials", () => {
  test("answers the secret once, never to be stored, and it opens the doors", async () => {
    const answer = await post("/v1/credentials", CI);
    expect(answer.status).toBe(201);
    expect(answer.headers["cache-control"]).toBe("no-store");
    expect(Object.keys(answer.json).toSorted()).toEqual(["expires_at", "id", "key", "name"]);
    expect(answer.json["name"]).toBe("ci");
    expect(Date.parse(String(answer.json["expires_at"]))).toBe(registry.services.clock() + 30 * DAY);
    expect(await works("ci", answer.json["key"])).toBe(true);
    const { text } = await registry.ask("GET", "/v1/credentials", { as: bearer(operator.secret) });
    expect(text).not.toContain(answer.json["key"]);
  });

  test("takes an expiry of a minute to 90 days", async () => {
    expect((await post("/v1/credentials", { ...CI, expires_in: 90 * 24 * 60 * 60 })).status).toBe(201);
    for (const expiry of [90 * 24 * 60 * 60 + 1, 59, 0, -1, 1.5, "60", null]) {
      expect((await post("/v1/credentials", { ...CI, expires_in: expiry })).status).toBe(400);
    }
  });

  test.each([
    {},
    { ...CI, extra: 1 },
    { ...CI, role: "root" },
    { ...CI, name: "" },
    { ...CI, name: "a".repeat(65) },
    { ...CI, namespace: "" },
    { name: "ci", role: "publisher" },
    [CI],
  ])("refuses the body %j", async (body) => {
    expect(await post("/v1/credentials", body)).toMatchObject({ status: 400, code: "invalid" });
  });

  test("refuses who may not grant that", async () => {
    const answer = await post("/v1/credentials", { ...CI, role: "reviewer" }, publisher);
    expect(answer).toMatchObject({ status: 403, code: "denied" });
    expect(answer.message).toContain("operator");
    const token = await registry.token("operator", operator.secret);
    expect((await registry.ask("POST", "/v1/credentials", { as: bearer(token), body: JSON.stringify(CI) })).status).toBe(403);
    expect((await registry.ask("POST", "/v1/credentials", { as: bearer(SERVICE_TOKEN), body: JSON.stringify(CI) })).status).toBe(403);
  });

  test("knows every role that there is", () => {
    expect(createCredentialRequest.shape.role.options).toEqual([...ROLES]);
  });
});

describe("POST /v1/credentials/<id>/rotate", () => {
  test("answers a successor, and the old key works for the overlap", async () => {
    const { json: old } = await post("/v1/credentials", CI);
    const { status, json } = await post(`/v1/credentials/${String(old["id"])}/rotate`, { overlap: 60 });
    expect(status).toBe(201);
    expect(json["name"]).toBe("ci");
    expect(json["key"]).not.toBe(old["key"]);
    expect([await works("ci", json["key"]), await works("ci", old["key"])]).toEqual([true, true]);
    registry.pass(60_000);
    expect([await works("ci", json["key"]), await works("ci", old["key"])]).toEqual([true, false]);
  });

  test("needs no body, and allows no overlap of more than a day", async () => {
    const { json } = await post("/v1/credentials", CI);
    const path = `/v1/credentials/${String(json["id"])}/rotate`;
    expect((await post(path, { overlap: 86_401 })).status).toBe(400);
    expect((await registry.ask("POST", path, { as: bearer(operator.secret) })).status).toBe(201);
  });

  test("is 404 for what there is not, and for what is not one's own", async () => {
    expect((await post(`/v1/credentials/${operator.id}/rotate`, {}, publisher)).status).toBe(404);
    expect((await post("/v1/credentials/none/rotate", {})).status).toBe(404);
  });
});

test("DELETE /v1/credentials/<id> ends a key at once", async () => {
  const { json } = await post("/v1/credentials", CI);
  const answer = await registry.ask("DELETE", `/v1/credentials/${String(json["id"])}`, { as: bearer(operator.secret) });
  expect(answer.status).toBe(200);
  expect(answer.json["status"]).toBe("revoked");
  expect(await works("ci", json["key"])).toBe(false);
});

describe("GET /v1/credentials", () => {
  test("shows what its schema says, page by page", async () => {
    await post("/v1/credentials", CI);
    await works("publisher", publisher.secret);
    const names: string[] = [];
    let cursor = "";
    for (;;) {
      const { json } = await registry.ask("GET", `/v1/credentials?limit=1${cursor}`, { as: bearer(operator.secret) });
      const page = credentialView.array().parse(json["credentials"]);
      names.push(...page.map(({ name }) => name));
      if (json["next"] === null) break;
      cursor = `&cursor=${encodeURIComponent(json["next"] as string)}`;
    }
    expect(names).toEqual(["ci", "operator", "publisher"]);
  });

  test.each(["limit=0", "limit=1001", "limit=x", "cursor=nonsense", "unknown=1"])("refuses the query %s", async (query) => {
    expect((await registry.ask("GET", `/v1/credentials?${query}`, { as: bearer(operator.secret) })).status).toBe(400);
  });

  test("shows others only their own", async () => {
    const { json } = await registry.ask("GET", "/v1/credentials", { as: bearer(publisher.secret) });
    expect(json["credentials"]).toMatchObject([{ name: "publisher", last_used_from: "127.0.0.1", status: "live", expires_at: null }]);
  });
});
