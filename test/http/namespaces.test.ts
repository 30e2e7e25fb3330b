import { createPublicKey } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { publicKeyView } from "../../src/api/keys.ts";
import { namespaceView } from "../../src/api/namespaces.ts";
import type { Known } from "../support/identities.ts";
import { type Answer, type WholeRegistry, bearer, startWholeRegistry } from "../support/whole-registry.ts";

let registry: WholeRegistry;
let operator: Known;
let publisher: Known;
beforeEach(async () => {
  registry = await startWholeRegistry();
  operator = await registry.identity("operator", [{ role: "operator", namespace: "*" }]);
  publisher = await registry.identity("publisher", [{ role: "owner", namespace: "models" }]);
});
afterEach(async () => registry.close());

const create = (body: unknown, who = operator): Promise<Answer> =>
  registry.ask("POST", "/v1/namespaces", { as: bearer(who.secret), body: JSON.stringify(body) });
const push = async (): Promise<number> =>
  (await registry.ask("POST", "/v2/team/a/blobs/uploads/", { as: bearer(publisher.secret) })).status;
const TEAM = { name: "team", owner: "publisher" };

describe("POST /v1/namespaces", () => {
  test("opens a namespace to its owner, who could not push there before", async () => {
    expect(await push()).toBe(403);
    const answer = await create(TEAM);
    expect(answer.status).toBe(201);
    expect(namespaceView.parse(answer.json)).toMatchObject({ name: "team", owner: "publisher", created_by: "operator" });
    expect(await push()).toBe(202);
  });

  test("is for operators", async () => {
    expect(await create(TEAM, publisher)).toMatchObject({ status: 403, code: "denied" });
    const token = await registry.token("operator", operator.secret);
    expect((await registry.ask("POST", "/v1/namespaces", { as: bearer(token), body: JSON.stringify(TEAM) })).status).toBe(403);
  });

  test.each([
    [409, { ...TEAM, name: "models" }],
    [409, { ...TEAM, name: "m0dels" }],
    [409, { ...TEAM, name: "v2" }],
    [400, { ...TEAM, name: "A" }],
    [400, { ...TEAM, owner: "nobody" }],
    [400, { ...TEAM, extra: 1 }],
    [400, { name: "team" }],
  ])("answers %i to %j", async (status, body) => {
    expect((await create(body)).status).toBe(status);
  });
});

describe("GET /v1/namespaces", () => {
  test("shows what its schema says, page by page, each caller its own", async () => {
    await create(TEAM);
    const all = await registry.ask("GET", "/v1/namespaces?limit=1", { as: bearer(operator.secret) });
    expect(
      namespaceView
        .array()
        .parse(all.json["namespaces"])
        .map(({ name }) => name),
    ).toEqual(["models"]);
    expect(all.json["next"]).toBe("models");
    const rest = await registry.ask("GET", "/v1/namespaces?cursor=models", { as: bearer(operator.secret) });
    expect(rest.json).toMatchObject({ namespaces: [{ name: "team" }], next: null });
    const other = await registry.identity("other", [{ role: "reader", namespace: "team" }]);
    const own = await registry.ask("GET", "/v1/namespaces", { as: bearer(other.secret) });
    expect(own.json).toMatchObject({ namespaces: [{ name: "team" }] });
  });

  test.each(["limit=0", "limit=1001", "other=1"])("refuses the query %s", async (query) => {
    expect((await registry.ask("GET", `/v1/namespaces?${query}`, { as: bearer(operator.secret) })).status).toBe(400);
  });
});

describe("GET /v1/keys", () => {
  test("shows anyone the public keys, with what they are for and from when to when", async () => {
    await registry.token("publisher", publisher.secret);
    const { status, json } = await registry.ask("GET", "/v1/keys");
    expect(status).toBe(200);
    const keys = publicKeyView.array().parse(json["keys"]);
    expect(keys.map(({ purpose }) => purpose)).toEqual(["attestation", "token"]);
    expect(keys[0]).toMatchObject({ algorithm: "PKIX_ECDSA_P256_SHA_256", valid_from: "1970-01-01T00:00:00.000Z", valid_until: null });
    const [, key] = keys;
    expect(key).toMatchObject({ purpose: "token", algorithm: "ES256", valid_from: "2026-11-25T12:00:00.000Z" });
    expect(createPublicKey(key?.pem ?? "").type).toBe("public");
  });
});
