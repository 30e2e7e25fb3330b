import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Binding, Role } from "../../src/identity/principal.ts";
import { createKey, revokeCredential, rotateKey } from "../../src/registry/credentials.ts";
import { findBySecret } from "../../src/registry/find-credential.ts";
import { findIdentity } from "../../src/registry/identities.ts";
import { listCredentials } from "../../src/registry/list-credentials.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { type Identities, type Known, START, startIdentities } from "../support/identities.ts";

const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;
const MONTH = 30 * 24 * 60 * 60;

let store: Identities;
let operator: Known;
let publisher: Known;
beforeEach(async () => {
  store = await startIdentities();
  operator = await store.identity("operator", [{ role: "operator", namespace: "*" }]);
  publisher = await store.identity("publisher", [{ role: "owner", namespace: "models" }]);
});
afterEach(async () => store.close());

const at = (role: Role, namespace = "models"): Binding => ({ role, namespace });
const make = (who: Known, name: string, binding = at("publisher")): ReturnType<typeof createKey> =>
  createKey(store.services, who.caller, { name, binding, lifetime: MONTH });
const rotate = (who: Known, id: string, overlap = 3600): ReturnType<typeof rotateKey> =>
  rotateKey(store.services, who.caller, id, { lifetime: MONTH, overlap });
const look = async (secret: string): Promise<string> => {
  const found = await findBySecret(store.services, "api-key", secret);
  return "refusal" in found ? found.refusal : found.identity.name;
};
const list = async ({ caller }: Known, limit = 100, after?: { identity: string; id: string }): Promise<string[]> =>
  (await listCredentials(store.services, caller, { limit, after })).map(({ record }) => record.identity);
const newEvents = async (since: number): Promise<string[]> => (await store.events()).slice(since).map(({ type }) => type);

describe("createKey", () => {
  test("makes an identity with exactly one role and a key that opens it, each with its event", async () => {
    const before = (await store.events()).length;
    const { record, secret } = await make(operator, "ci");
    expect((await findIdentity(store.services, "ci"))?.record).toMatchObject({
      kind: "service",
      bindings: [at("publisher")],
      createdBy: "operator",
      countsAs: "ci",
    });
    expect(record).toMatchObject({ identity: "ci", createdBy: "operator", expiresAt: START + 30 * DAY });
    expect(await look(secret)).toBe("ci");
    expect(await newEvents(before)).toEqual(["identity.create", "credential.create"]);
  });

  test("keeps the secret nowhere", async () => {
    const { secret } = await make(operator, "ci");
    const everything = await store.services.metadata.list({ start: ["a"], end: ["zzzz"], limit: 10_000 });
    expect(JSON.stringify(everything)).not.toContain(secret);
    expect(JSON.stringify(await store.events())).not.toContain(secret);
    expect(JSON.stringify(await store.events())).not.toContain(secret.slice(4, 30));
  });

  test("counts what an owner made as that owner", async () => {
    await make(publisher, "ci");
    expect((await findIdentity(store.services, "ci"))?.record).toMatchObject({ createdBy: "publisher", countsAs: "publisher" });
  });

  test("refuses an owner what only an operator grants", async () => {
    await expect(make(publisher, "rev", at("reviewer"))).rejects.toMatchObject({ code: "DENIED" });
    await expect(make(publisher, "x", at("reader", "other"))).rejects.toMatchObject({ code: "DENIED" });
    expect(await findIdentity(store.services, "rev")).toBeUndefined();
  });

  test("refuses a namespace that does not exist, since somebody else could be given it later", async () => {
    await expect(make(operator, "ci", at("publisher", "nowhere"))).rejects.toMatchObject({ code: "INVALID" });
  });

  test("refuses a name that is taken by another role, and makes another key for one with exactly this role", async () => {
    await make(operator, "ci");
    await expect(make(operator, "ci", at("reader"))).rejects.toMatchObject({ code: "INVALID" });
    const before = (await store.events()).length;
    expect(await look((await make(operator, "ci")).secret)).toBe("ci");
    expect(await newEvents(before)).toEqual(["credential.create"]);
  });

  test("refuses a disabled identity a key", async () => {
    await store.identity("ci", [at("publisher")], { disabled: true });
    await expect(make(operator, "ci")).rejects.toMatchObject({ code: "CONFLICT" });
  });

  test("makes one identity when two ask for the same name with different roles at once", async () => {
    const outcomes = await Promise.allSettled([make(operator, "ci"), make(operator, "ci", at("reader"))]);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await findIdentity(store.services, "ci"))?.record.bindings).toHaveLength(1);
  });

  test("refuses the twenty-first key that is in force", async () => {
    for (let made = 0; made < 20; made += 1) await make(operator, "ci");
    await expect(make(operator, "ci")).rejects.toMatchObject({ code: "CONFLICT" });
    store.pass(30 * DAY);
    await make(operator, "ci");
  });

  test("keeps the records of an identity few, however often a key is revoked and made", async () => {
    for (let made = 0; made < 60; made += 1)
      await revokeCredential(store.services, operator.caller, (await make(operator, "ci")).record.id);
    const last = await make(operator, "ci");
    const rows = await store.services.metadata.list(under(keys.identityCredentials("ci"), 1000));
    expect(rows.length).toBeLessThanOrEqual(51);
    expect(await look(last.secret)).toBe("ci");
  });
});

describe("a key", () => {
  test("ends at its expiry, to the millisecond", async () => {
    const { secret } = await make(operator, "ci");
    store.pass(29 * DAY);
    expect(await look(secret)).toBe("ci");
    store.pass(DAY - 1);
    expect(await look(secret)).toBe("ci");
    store.pass(1);
    expect(await look(secret)).toBe("expired");
  });

  test("ends when nobody uses it for 30 days", async () => {
    const { secret } = await createKey(store.services, operator.caller, { name: "ci", binding: at("reader"), lifetime: 90 * 24 * 60 * 60 });
    store.pass(30 * DAY - 1);
    expect(await look(secret)).toBe("ci");
    store.pass(1);
    expect(await look(secret)).toBe("idle");
  });

  test("that was made at first start neither expires nor idles out", async () => {
    store.pass(1000 * DAY);
    expect(await look(publisher.secret)).toBe("publisher");
  });

  test("ends with its identity", async () => {
    const ci = await store.identity("ci", [at("publisher")], { disabled: true });
    expect(await look(ci.secret)).toBe("disabled");
  });

  test("is of its kind: no refresh token is one", async () => {
    const refresh = await store.key("publisher", { kind: "refresh-token", parent: publisher.id });
    expect(await look(refresh.secret)).toBe("unknown");
    expect(await findBySecret(store.services, "refresh-token", publisher.secret)).toEqual({ refusal: "unknown" });
    expect(await findBySecret(store.services, "refresh-token", refresh.secret)).toMatchObject({ identity: { name: "publisher" } });
  });
});

describe("rotateKey", () => {
  test("makes a successor, and lets the old key live on for the overlap", async () => {
    const old = await make(operator, "ci");
    const before = (await store.events()).length;
    const { record, secret } = await rotate(operator, old.record.id);
    expect(record).toMatchObject({ identity: "ci", parent: old.record.id, expiresAt: START + 30 * DAY });
    expect(await newEvents(before)).toEqual(["credential.rotate"]);
    store.pass(HOUR - 1);
    expect(await look(old.secret)).toBe("ci");
    store.pass(1);
    expect(await look(old.secret)).toBe("expired");
    expect(await look(secret)).toBe("ci");
  });

  test("never lengthens the life of the old key", async () => {
    const old = await make(operator, "ci");
    store.pass(30 * DAY - HOUR);
    await rotate(operator, old.record.id, 24 * 60 * 60);
    store.pass(HOUR);
    expect(await look(old.secret)).toBe("expired");
  });

  test("is everybody's right with their own key", async () => {
    const { secret } = await rotate(publisher, publisher.id);
    expect(await look(secret)).toBe("publisher");
  });

  test("shows who may not do it no difference between a key of others and none", async () => {
    for (const id of [operator.id, "no-such-id", "x".repeat(100)]) {
      await expect(rotate(publisher, id)).rejects.toMatchObject({ code: "NOT_FOUND" });
      await expect(revokeCredential(store.services, publisher.caller, id)).rejects.toMatchObject({ code: "NOT_FOUND" });
    }
  });

  test("is for an owner over what it made, and not over what counts as another person", async () => {
    const own = await make(publisher, "ci");
    const other = await make(operator, "ci2");
    expect((await rotate(publisher, own.record.id)).record.identity).toBe("ci");
    await expect(rotate(publisher, other.record.id)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("refuses a key that has ended, and a refresh token", async () => {
    const { record } = await make(operator, "ci");
    await revokeCredential(store.services, operator.caller, record.id);
    await expect(rotate(operator, record.id)).rejects.toMatchObject({ code: "CONFLICT" });
    const refresh = await store.key("publisher", { kind: "refresh-token", parent: publisher.id });
    await expect(rotate(publisher, refresh.id)).rejects.toMatchObject({ code: "CONFLICT" });
  });

  test("is not for an access token", async () => {
    const caller = { ...publisher.caller, principal: { ...publisher.caller.principal, access: [] } };
    await expect(rotateKey(store.services, caller, publisher.id, { lifetime: MONTH, overlap: 0 })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });
});

describe("revokeCredential", () => {
  test("ends a key from the next look on, once, and with one event", async () => {
    const { record, secret } = await make(operator, "ci");
    const before = (await store.events()).length;
    expect((await revokeCredential(store.services, operator.caller, record.id)).revokedAt).toBe(START);
    store.pass(1000);
    expect((await revokeCredential(store.services, operator.caller, record.id)).revokedAt).toBe(START);
    expect(await look(secret)).toBe("revoked");
    expect(await newEvents(before)).toEqual(["credential.revoke"]);
  });

  test("ends the refresh tokens that were given for the key", async () => {
    const { record } = await make(operator, "ci");
    const refresh = await store.key("ci", { kind: "refresh-token", parent: record.id });
    await revokeCredential(store.services, operator.caller, record.id);
    expect(await findBySecret(store.services, "refresh-token", refresh.secret)).toEqual({ refusal: "revoked" });
  });
});

describe("listCredentials", () => {
  test("shows an operator all, an owner its own and what it made, and everybody their own", async () => {
    await make(publisher, "ci");
    await make(operator, "other");
    const ci = await store.identity("stranger", [at("maintainer")]);
    expect(await list(operator)).toEqual(["ci", "operator", "other", "publisher", "stranger"]);
    expect(await list(publisher)).toEqual(["ci", "publisher"]);
    expect(await list(ci)).toEqual(["stranger"]);
  });

  test("shows nothing to an access token", async () => {
    const caller = { ...operator.caller, principal: { ...operator.caller.principal, access: [] } };
    expect(await listCredentials(store.services, caller, { limit: 10, after: undefined })).toEqual([]);
  });

  test.each(["operator", "publisher"])("gives %s every credential once, by pages of any size", async (who) => {
    for (const name of ["ci", "cj"]) for (let made = 0; made < 3; made += 1) await make(publisher, name);
    const known = who === "operator" ? operator : publisher;
    const whole = await listCredentials(store.services, known.caller, { limit: 100, after: undefined });
    for (const limit of [1, 2, 5]) {
      const seen: string[] = [];
      let after: { identity: string; id: string } | undefined;
      for (;;) {
        const page = await listCredentials(store.services, known.caller, { limit, after });
        seen.push(...page.map(({ record }) => record.id));
        const last = page.at(-1)?.record;
        if (last === undefined) break;
        after = { identity: last.identity, id: last.id };
      }
      expect(seen).toEqual(whole.map(({ record }) => record.id));
    }
  });
});
