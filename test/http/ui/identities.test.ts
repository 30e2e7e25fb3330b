import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Browser, faultsOfPage, formsOf } from "../../support/browser.ts";
import { newViewer } from "../../support/viewers.ts";
import { type WholeRegistry, basic, startWholeRegistry } from "../../support/whole-registry.ts";

const KEY = /amr_[A-Za-z0-9_-]{20,}/;
const DAY = 86_400_000;

let registry: WholeRegistry;
let operator: Browser;
let owner: Browser;
let reader: Browser;
let auditor: Browser;
beforeEach(async () => {
  registry = await startWholeRegistry();
  operator = await newViewer(registry, "operator", "operator", "*");
  owner = await newViewer(registry, "owner", "owner", "models");
  reader = await newViewer(registry, "reader", "reader", "models");
  auditor = await newViewer(registry, "auditor", "auditor", "*");
});
afterEach(() => registry.close());

function namesIn(text: string): string[] {
  return [...text.matchAll(/href="\/ui\/identities\/([^"]+)"/g)].map(([, name = ""]) => name);
}

async function knows(name: string, secret: string): Promise<number> {
  return (await registry.ask("GET", "/v1/whoami", { as: basic(name, secret) })).status;
}

/** Makes an identity with a key by the form of the list; the page that shows it. */
async function make(browser: Browser, name: string, role = "publisher"): Promise<{ text: string; status: number; key: string }> {
  const { text, status } = await browser.submit("/ui/identities", "/ui/keys", { name, role, namespace: "models", days: "7" });
  return { text, status, key: KEY.exec(text)?.[0] ?? "" };
}

describe("a key", () => {
  test("is made for a new identity, works, and is shown once: in no address, no log, no other page, and nobody keeps the page", async () => {
    const answer = await operator.submit("/ui/identities", "/ui/keys", { name: "ci", role: "publisher", namespace: "models", days: "7" });
    expect(answer).toMatchObject({ status: 200, headers: { "cache-control": "no-store" } });
    expect(answer.headers.location).toBeUndefined();
    expect(faultsOfPage(answer.text)).toEqual([]);
    const key = KEY.exec(answer.text)?.[0] ?? "";
    expect(await knows("ci", key)).toBe(200);
    for (const page of ["/ui/identities", "/ui/identities/ci", "/ui/audit"]) expect((await operator.get(page)).text).not.toContain(key);
    expect(JSON.stringify([registry.edge.logged, registry.noted, await registry.events()])).not.toContain(key);
  });

  test("is made once, however often the same form is sent", async () => {
    const { fields } = await operator.form("/ui/identities", "/ui/keys");
    const sent = { ...fields, name: "ci", role: "publisher", namespace: "models", days: "7" };
    const [first, ...more] = [await operator.post("/ui/keys", sent), await operator.post("/ui/keys", sent)];
    expect([first.status, ...more.map(({ status }) => status)]).toEqual([200, 409]);
    const again = { ...(await operator.form("/ui/identities/ci", "/ui/keys")).fields, days: "1" };
    const answers = await Promise.all([1, 2, 3].map(() => operator.post("/ui/keys", again)));
    expect(answers.map(({ status }) => status).toSorted((one, other) => one - other)).toEqual([200, 409, 409]);
    const events = (await registry.events()).filter(({ type }) => type === "credential.create");
    expect(events).toHaveLength(2);
  });

  test("is rotated: the new one is shown once, the old one ends within a day, and the same form again makes no other one", async () => {
    const { key } = await make(operator, "ci");
    const { text } = await operator.get("/ui/identities/ci");
    const { action, fields } = formsOf(text).find((form) => form.action.endsWith("/rotate")) ?? { action: "none", fields: {} };
    const answer = await operator.post(action, fields);
    const next = KEY.exec(answer.text)?.[0] ?? "";
    expect([answer.status, await knows("ci", key), await knows("ci", next)]).toEqual([200, 200, 200]);
    expect((await operator.post(action, fields)).status).toBe(409);
    registry.pass(DAY);
    expect([await knows("ci", key), await knows("ci", next)]).toEqual([401, 200]);
  });

  test("is revoked, and opens nothing from then on", async () => {
    const { key } = await make(operator, "ci");
    const { text } = await operator.get("/ui/identities/ci");
    const { action, fields } = formsOf(text).find((form) => form.action.endsWith("/revoke")) ?? { action: "none", fields: {} };
    const answer = await operator.post(action, fields);
    expect(answer).toMatchObject({ status: 303, headers: { location: "/ui/identities/ci?done=revoke" } });
    expect(await knows("ci", key)).toBe(401);
    expect((await operator.get("/ui/identities/ci?done=revoke")).text).toContain("revoked</span>");
  });

  test("is told by words: never used, ending soon, expired, unused for too long", async () => {
    const { key } = await make(operator, "ci");
    const page = async (): Promise<string> => (await operator.get("/ui/identities/ci")).text;
    expect(await page()).toContain("never used");
    expect(await page()).toContain("ends soon");
    await knows("ci", key);
    expect(await page()).not.toContain("never used");
    await registry.key("ci", { idleMilliseconds: 1000, expiresAt: null });
    await registry.key("ci", { expiresAt: registry.services.clock() + 1000 });
    registry.pass(2000);
    expect(await page()).toContain("unused for too long");
    expect(await page()).toContain("expired");
  });
});

describe("identities", () => {
  test("are all shown to operators and auditors, to an owner those that count as its own, to others themselves", async () => {
    await make(owner, "by-owner");
    await make(operator, "by-operator");
    expect(namesIn((await operator.get("/ui/identities")).text)).toEqual([
      "auditor",
      "by-operator",
      "by-owner",
      "operator",
      "owner",
      "reader",
    ]);
    expect(namesIn((await auditor.get("/ui/identities")).text)).toHaveLength(6);
    expect(namesIn((await owner.get("/ui/identities")).text)).toEqual(["by-owner", "owner"]);
    expect(namesIn((await reader.get("/ui/identities")).text)).toEqual(["reader"]);
    expect((await owner.get("/ui/identities/by-operator")).text).toBe((await owner.get("/ui/identities/by-operator")).text);
    expect((await owner.get("/ui/identities/by-operator")).status).toBe(404);
    expect((await owner.get("/ui/identities/nobody")).status).toBe(404);
  });

  test("are listed a page at a time, each once, within the bound of a page", async () => {
    for (let at = 0; at < 90; at += 1)
      await registry.identity(`${"n".repeat(60)}-${String(at).padStart(2, "0")}`, [{ role: "reader", namespace: "m".repeat(64) }]);
    const names: string[] = [];
    for (let path: string | undefined = "/ui/identities"; path !== undefined;) {
      const { text } = await operator.get(path);
      expect(faultsOfPage(text)).toEqual([]);
      names.push(...namesIn(text));
      path = /rel="next" href="([^"]+)"/.exec(text)?.[1];
    }
    expect(names).toEqual([...new Set(names)].toSorted());
    expect(names).toHaveLength(94);
  });

  test("show their roles with what these give and why; the keys are for who administers them", async () => {
    const made = await operator.submit("/ui/identities/reader", "/ui/identities/reader/namespaces", { namespace: "labs" });
    expect(made).toMatchObject({ status: 303, headers: { location: "/ui/identities/reader?done=namespace" } });
    const { text } = await auditor.get("/ui/identities/reader");
    expect(text).toContain("operator made the namespace for it");
    expect(text).toContain("administer:members");
    expect(text).toContain("Its keys are for who administers them");
    expect(formsOf(text).filter(({ action }) => action !== "/ui/sign-out")).toEqual([]);
  });

  test("are disabled with a reason: key, token and session end at once; enabled again, the key counts", async () => {
    const { secret } = await registry.identity("ci", [{ role: "reader", namespace: "models" }]);
    const session = Browser.at(registry);
    await session.signIn("ci", secret);
    expect((await operator.submit("/ui/identities/ci", "/ui/identities/ci/disable", { reason: " " })).status).toBe(400);
    await operator.submit("/ui/identities/ci", "/ui/identities/ci/disable", { reason: "it leaked" });
    expect([await knows("ci", secret), (await session.get("/ui/")).status]).toEqual([401, 303]);
    await operator.submit("/ui/identities/ci", "/ui/identities/ci/enable", { reason: "it did not" });
    expect([await knows("ci", secret), (await session.get("/ui/")).status]).toEqual([200, 303]);
    const told = (await registry.events()).filter(({ type }) => /^identity\.(?:dis|en)able$/.test(type));
    expect(told.map(({ type, reason, actor }) => [type, reason, actor.principal])).toEqual([
      ["identity.disable", "it leaked", "operator"],
      ["identity.enable", "it did not", "operator"],
    ]);
  });
});

test("whoever may not make, disable or grant reads why in place of the form, and is refused when it sends one all the same", async () => {
  const list = await reader.get("/ui/identities");
  expect(list.text).toContain("owners of a namespace grant roles in it");
  const own = await operator.get("/ui/identities/operator");
  expect(own.text).toContain("nobody disables itself");
  expect((await reader.get("/ui/identities/reader")).text).toContain("operators alone disable");
  const token = formsOf(list.text)[0]?.fields["_csrf"] ?? "";
  const sent = { _csrf: token, reason: "because", name: "ci", role: "reader", namespace: "models", days: "1", version: "1" };
  const answers = await Promise.all(
    ["/ui/keys", "/ui/identities/operator/disable", "/ui/identities/reader/disable", "/ui/identities/reader/namespaces"].map((path) =>
      reader.post(path, sent),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual([403, 404, 403, 403]);
  expect(
    (await operator.post("/ui/identities/operator/disable", { ...sent, _csrf: formsOf(own.text)[0]?.fields["_csrf"] ?? "" })).status,
  ).toBe(403);
});

test("nothing changes by a form without its token or from another origin", async () => {
  const { secret, id } = await registry.identity("ci", [{ role: "reader", namespace: "models" }]);
  const fields = { name: "other", role: "reader", namespace: "models", days: "1", version: "1", reason: "because" };
  const paths = [
    "/ui/keys",
    `/ui/keys/${id}/rotate`,
    `/ui/keys/${id}/revoke`,
    "/ui/identities/ci/disable",
    "/ui/identities/ci/enable",
    "/ui/identities/ci/namespaces",
  ];
  const before = (await registry.events()).length;
  const token = formsOf((await operator.get("/ui/")).text)[0]?.fields["_csrf"] ?? "";
  for (const path of paths) {
    expect((await operator.post(path, fields)).status).toBe(403);
    expect((await operator.post(path, { ...fields, _csrf: token }, { Origin: "https://evil.example" })).status).toBe(403);
  }
  expect(await knows("ci", secret)).toBe(200);
  expect((await registry.events()).slice(before).filter(({ outcome }) => outcome === "allow")).toEqual([]);
});
