import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findIdentity } from "../../src/registry/identities.ts";
import { createNamespace, listNamespaces } from "../../src/registry/namespaces.ts";
import { type Identities, type Known, startIdentities } from "../support/identities.ts";

let store: Identities;
let operator: Known;
let publisher: Known;
beforeEach(async () => {
  store = await startIdentities();
  operator = await store.identity("operator", [{ role: "operator", namespace: "*" }]);
  publisher = await store.identity("publisher", [{ role: "owner", namespace: "models" }]);
});
afterEach(async () => store.close());

const make = (name: string, owner = "publisher"): ReturnType<typeof createNamespace> =>
  createNamespace(store.services, operator.caller, { name, owner });
const denied = { code: "DENIED" };

describe("createNamespace", () => {
  test("gives its owner the role of an owner there, with one event", async () => {
    const before = (await store.events()).length;
    expect(await make("team-a")).toMatchObject({ name: "team-a", record: { owner: "publisher", createdBy: "operator" } });
    expect((await findIdentity(store.services, "publisher"))?.record.bindings).toContainEqual({ role: "owner", namespace: "team-a" });
    const events = (await store.events()).slice(before);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ type: "namespace.create", target: { name: "team-a" }, actor: { principal: "operator" } });
  });

  test("is for operators alone, by their own key", async () => {
    await expect(createNamespace(store.services, publisher.caller, { name: "mine", owner: "publisher" })).rejects.toMatchObject(denied);
    const token = { ...operator.caller, principal: { ...operator.caller.principal, access: [] } };
    await expect(createNamespace(store.services, token, { name: "mine", owner: "publisher" })).rejects.toMatchObject(denied);
  });

  test.each(["models", "m0dels", "mode-ls", "mode1s"])("refuses %s beside models, which it is or could be mistaken for", async (name) => {
    await expect(make(name)).rejects.toMatchObject({ code: "CONFLICT", message: expect.stringContaining("models") as string });
  });

  test.each(["v2", "auth", "health", "service-token"])("refuses the reserved name %s", async (name) => {
    await expect(make(name)).rejects.toMatchObject({ code: "CONFLICT" });
  });

  test.each(["", "A", "a/b", "sha256-abc", "-a", "a".repeat(65)])("refuses the malformed name %j", async (name) => {
    await expect(make(name)).rejects.toMatchObject({ code: "NAME_INVALID" });
  });

  test.each(["nobody", "No Body", ""])("refuses the owner %j, who is no identity", async (owner) => {
    await expect(make("team-a", owner)).rejects.toMatchObject({ code: "INVALID" });
  });

  test("refuses an operator as owner, who never pushes, and a disabled identity", async () => {
    await expect(make("team-a", "operator")).rejects.toMatchObject({ code: "CONFLICT" });
    await store.identity("gone", [], { disabled: true });
    await expect(make("team-a", "gone")).rejects.toMatchObject({ code: "CONFLICT" });
  });

  test("lets one of several look-alikes that are made at once through", async () => {
    const names = ["team-1", "team-l", "team1", "teaml", "team.1"];
    const outcomes = await Promise.allSettled(names.map((name) => make(name)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("keeps every namespace of an owner who is given several at once", async () => {
    const names = Array.from({ length: 10 }, (_, at) => `zone-${"abcdefghjk".charAt(at)}`);
    await Promise.all(names.map((name) => make(name)));
    const found = await findIdentity(store.services, "publisher");
    expect(found?.record.bindings.map(({ namespace }) => namespace).toSorted()).toEqual(["models", ...names]);
  });

  test("refuses an identity more roles than a request can look at", async () => {
    const bindings = Array.from({ length: 256 }, (_, at) => ({ role: "reader", namespace: `n${at}` }) as const);
    await store.identity("busy", bindings);
    await expect(make("team-a", "busy")).rejects.toMatchObject({ code: "CONFLICT" });
  });
});

describe("listNamespaces", () => {
  test("shows all to an operator, by pages", async () => {
    for (const name of ["alpha", "beta", "gamma"]) await make(name);
    const first = await listNamespaces(store.services, operator.caller, { limit: 2, after: undefined });
    expect(first.map(({ name }) => name)).toEqual(["alpha", "beta"]);
    const rest = await listNamespaces(store.services, operator.caller, { limit: 10, after: "beta" });
    expect(rest.map(({ name }) => name)).toEqual(["gamma", "models"]);
  });

  test("shows others those that a role of theirs names", async () => {
    await make("alpha");
    const other = await store.identity("other", [{ role: "reader", namespace: "*" }]);
    const seen = async ({ caller }: Known): Promise<string[]> =>
      (await listNamespaces(store.services, caller, { limit: 10, after: undefined })).map(({ name }) => name);
    expect(await seen(publisher)).toEqual(["models"]);
    expect(await seen(other)).toEqual([]);
  });
});
