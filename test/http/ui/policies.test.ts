import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Browser, faultsOfPage, formsOf } from "../../support/browser.ts";
import { PolicyRegistry, policyOf } from "../../support/policy-registry.ts";
import { parsePolicy } from "../../../src/policy/document.ts";
import { FIRST_POLICY } from "../../../src/ui/policies.ts";

const TRY = "/ui/policies/try";
const PEOPLE = { name: "people", evidence: { kind: "approvals", minimum: 1 } };
const SCANS = { name: "scans", evidence: { kind: "scan-results" } };

let world: PolicyRegistry;
let operator: Browser;
let reviewer: Browser;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  operator = await Browser.signedIn(world.registry, "operator", world.registry.credentials.operator);
  reviewer = await Browser.signedIn(world.registry, "ann", await world.identity("ann", "reviewer"));
}, 60_000);
afterAll(() => world.registry.stop());

/** The fields of the form of a page that was answered to another form. */
function fieldsOf(text: string, action = TRY): Record<string, string> {
  return { ...formsOf(text).find((form) => form.action === action)?.fields };
}

async function tried(document: string): Promise<{ text: string; status: number; fields: Record<string, string> }> {
  const { text, status } = await operator.submit("/ui/policies", TRY, { document });
  expect(faultsOfPage(text)).toEqual([]);
  return { text, status, fields: { ...fieldsOf(text), document } };
}

async function inForce(): Promise<string[]> {
  const { json } = await world.send("operator", "GET /v1/policies");
  return (json as { policies: { name: string }[] }).policies.map(({ name }) => name);
}

describe("a policy", () => {
  test("is tried first, which tells what it would stop and let pass, with links, and changes nothing; then it comes into force once", async () => {
    const stopped = await world.push("models/tried-stopped");
    expect((await world.act(stopped, "promote")).status).toBe(200);
    await world.push("models/tried-other");
    const document = JSON.stringify(policyOf("tried", "models/tried-*", { require: [PEOPLE] }));
    const { text, fields } = await tried(document);
    expect(text).toContain("It would stop 1 trusted artifact, and let 0 others pass, of 1 trusted and 1 others");
    expect(text).toContain(`href="/ui/artifacts/models/tried-stopped@${stopped.digest}"`);
    expect(text).toContain("There is no version in force");
    expect(await inForce()).not.toContain("tried");
    const saved = await operator.post(TRY, { ...fields, act: "save" });
    expect(saved).toMatchObject({ status: 303, headers: { location: "/ui/policies/tried?done=saved" } });
    expect(await inForce()).toContain("tried");
    expect(await world.stateOf(stopped)).toBe("trusted");
    expect((await operator.post(TRY, { ...fields, act: "save" })).status).toBe(409);
    const page = await operator.get("/ui/policies/tried?done=saved");
    expect(faultsOfPage(page.text)).toEqual([]);
    for (const words of ["in force</span>", "models/tried-other", "It is in force, from the next promotion on."])
      expect(page.text).toContain(words);
  });

  test("tells which that were refused would pass, and how it differs from what is in force", async () => {
    await world.putPolicy(policyOf("looser", "models/looser", { require: [PEOPLE, { ...PEOPLE, name: "more" }] }));
    const refused = await world.push("models/looser");
    expect((await world.act(refused, "promote")).status).toBe(422);
    await world.send("operator", `POST /v1/artifacts/${refused.ref}/approve`, "{}");
    await reviewer.submit(`/ui/artifacts/models/looser@${refused.digest}`, `/ui/artifacts/models/looser@${refused.digest}/approve`);
    const { text } = await tried(JSON.stringify(policyOf("looser", "models/looser", { require: [PEOPLE] })));
    expect(text).toContain("It would stop 0 trusted artifacts, and let 1 others pass");
    expect(text).toContain("not trusted, would pass");
    expect(text).toContain("Together it is looser");
  });

  test("is tried a page at a time, and the pages add up", async () => {
    for (let at = 0; at < 15; at += 1) await world.push(`models/paged-${String(at).padStart(2, "0")}`);
    const first = await tried(JSON.stringify(policyOf("paged", "models/paged-*", { require: [PEOPLE] })));
    expect(first.text).toContain("of 0 trusted and 12 others");
    const { text } = await operator.post(TRY, { ...first.fields, act: "further" });
    expect(text).toContain("of 0 trusted and 15 others");
    expect(text).toContain("all of those that it decides about");
    const replays = (await world.send("operator", "GET /v1/audit")).text.match(/"policy\.replay"/g) ?? [];
    expect(replays.length).toBeGreaterThan(0);
  });

  test("does not come into force as another document than was tried, nor after another version", async () => {
    const one = policyOf("rests", "models/rests", { require: [PEOPLE] });
    const { fields } = await tried(JSON.stringify(one));
    const other = JSON.stringify(policyOf("rests", "models/rests", { require: [SCANS] }));
    expect((await operator.post(TRY, { ...fields, document: other, act: "save" })).status).toBe(409);
    await world.putPolicy(policyOf("rests", "models/rests", { require: [PEOPLE, SCANS] }));
    expect((await operator.post(TRY, { ...fields, act: "save" })).status).toBe(409);
    const { tried: _, ...without } = fields;
    expect((await operator.post(TRY, { ...without, act: "save" })).status).toBe(400);
  });

  test("that is none shows every fault with its place, and keeps the text", async () => {
    const bad = policyOf("bad", "models/BAD", {
      mode: "never",
      require: [{ name: "People", evidence: { kind: "approvals", minimum: 0 } }],
    });
    const { text, status } = await tried(JSON.stringify(bad));
    expect(status).toBe(400);
    for (const place of ["spec.match.repositories[0]", "spec.mode", "spec.require[0].name", "spec.require[0].evidence.minimum"])
      expect(text).toContain(`<bdi>${place}`);
    expect(text).toContain("models/BAD");
    const yaml = await tried("apiVersion: x\nkind: [\n</textarea><script>alert(1)</script>");
    expect(yaml.text).toContain("line ");
    expect(yaml.text).toContain("&lt;/textarea&gt;&lt;script&gt;");
    const rootless = await tried(
      JSON.stringify({
        ...world.signedPolicy("rootless", "models/x"),
        spec: { ...world.signedPolicy("rootless", "models/x").spec, trustRoots: { corp: { name: "nowhere", digest: world.root } } },
      }),
    );
    expect(rootless).toMatchObject({ status: 400 });
    expect(rootless.text).toContain("spec.trustRoots.corp");
    const long = await tried(`"${'"'.repeat(15_000)}`);
    expect(long).toMatchObject({ status: 400 });
  });

  test("is ended with a reason, which the audit keeps, and only as it was shown", async () => {
    await world.putPolicy(policyOf("ended", "models/ended", { require: [PEOPLE] }));
    const form = await operator.form("/ui/policies/ended", "/ui/policies/ended/end");
    await world.putPolicy(policyOf("ended", "models/ended", { require: [SCANS] }));
    expect((await operator.post(form.action, { ...form.fields, reason: "not needed" })).status).toBe(409);
    expect((await operator.submit("/ui/policies/ended", form.action, { reason: " " })).status).toBe(400);
    expect((await operator.submit("/ui/policies/ended", form.action, { reason: "nobody needs it" })).status).toBe(303);
    expect(await inForce()).not.toContain("ended");
    expect((await world.send("operator", "GET /v1/audit")).text).toContain("nobody needs it");
    const page = await operator.get("/ui/policies/ended");
    expect(page.text).toContain("not in force</span>");
    expect((await operator.get("/ui/policies")).text).toContain('href="/ui/policies/ended"');
  });

  test("shows its versions, and any two of them compared", async () => {
    for (let minimum = 1; minimum <= 3; minimum += 1)
      await world.putPolicy(policyOf("grows", "models/grows", { require: [{ name: "people", evidence: { kind: "approvals", minimum } }] }));
    const { text } = await operator.get("/ui/policies/grows?version=2");
    expect(text).toContain("version 2</h1>");
    expect(text).toContain('href="/ui/policies/grows/difference?from=2&amp;to=3"');
    const difference = await reviewer.get("/ui/policies/grows/difference?from=1&to=3");
    expect(difference.status).toBe(200);
    expect(faultsOfPage(difference.text)).toEqual([]);
    expect(difference.text).toContain("Together it is tighter");
    for (const path of [
      "/ui/policies/grows/difference?from=1&to=9",
      "/ui/policies/grows/difference",
      "/ui/policies/grows?version=9",
      "/ui/policies/none",
    ])
      expect((await operator.get(path)).status).toBe(404);
  });
});

test("whoever may not change policies reads them, why the forms are not there, and no names of repositories; and is refused", async () => {
  await world.putPolicy(policyOf("read-only", "models/*", { require: [PEOPLE] }));
  const { text } = await reviewer.get("/ui/policies/read-only");
  expect(text).toContain("administer:policy");
  expect(text).toContain("Which of them match is for auditors and operators");
  expect(
    formsOf(text)
      .filter(({ method }) => method === "post")
      .map(({ action }) => action),
  ).toEqual(["/ui/sign-out"]);
  const token = formsOf(text)[0]?.fields["_csrf"] ?? "";
  const sent = {
    _csrf: token,
    document: "{}",
    reason: "because",
    "in-force": "none",
    name: "corp-root",
    digest: world.root,
    statement: world.root,
    type: "key",
  };
  for (const path of [TRY, "/ui/policies/read-only/end", "/ui/trust/roots/end", "/ui/trust/revoke", "/ui/trust/lift"]) {
    expect((await reviewer.post(path, sent)).status).toBe(403);
    const own = formsOf((await operator.get("/ui/")).text)[0]?.fields["_csrf"] ?? "";
    expect((await operator.post(path, { ...sent, _csrf: "x" })).status).toBe(403);
    expect((await operator.post(path, { ...sent, _csrf: own }, { Origin: "https://evil.example" })).status).toBe(403);
  }
  expect(await inForce()).toContain("read-only");
});

test("a publisher is revoked and lifted with a reason, and what is neither key nor identity is refused in words", async () => {
  const page = await operator.get("/ui/trust");
  expect(faultsOfPage(page.text)).toEqual([]);
  expect(page.text).toContain("corp-root");
  expect(page.text).toContain("comes with the registry");
  const identity = { type: "identity", issuer: "https://issuer.example", subject: "https://ci.example/**", reason: "the job leaked" };
  expect((await operator.submit("/ui/trust", "/ui/trust/revoke", { ...identity, reason: "" })).status).toBe(400);
  expect((await operator.submit("/ui/trust", "/ui/trust/revoke", { ...identity, type: "key", digest: "sha256:12" })).status).toBe(400);
  expect((await operator.submit("/ui/trust", "/ui/trust/revoke", { ...identity, from: "yesterday" })).status).toBe(400);
  expect((await operator.submit("/ui/trust", "/ui/trust/revoke", identity)).headers.location).toBe("/ui/trust?done=revoked");
  const revoked = await reviewer.get("/ui/trust");
  expect(revoked.text).toContain("https://ci.example/**, by https://issuer.example");
  const lift = await operator.form("/ui/trust", "/ui/trust/lift");
  expect((await operator.post(lift.action, { ...lift.fields, reason: "it did not" })).status).toBe(303);
  expect((await operator.post(lift.action, { ...lift.fields, reason: "it did not" })).status).toBe(404);
  expect((await operator.get("/ui/trust")).text).toContain("Nobody is.");
  const ended = await operator.submit("/ui/trust", "/ui/trust/roots/end");
  expect(ended).toMatchObject({ status: 303, headers: { location: "/ui/trust?done=ended" } });
});

test("what the form for a new policy begins with is a policy", () => {
  expect(parsePolicy(Buffer.from(FIRST_POLICY), "yaml").metadata.name).toBe("reviewed");
});
