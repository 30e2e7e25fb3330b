import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { Browser, faultsOfPage, formsOf } from "../../support/browser.ts";
import { type Artifact, PolicyRegistry, policyOf } from "../../support/policy-registry.ts";

const TABS = ["trust", "changes", "provenance", "timeline", "contents", "card", "referrers", "access", "raw"];

let world: PolicyRegistry;
let operator: Browser;
let reviewer: Browser;
let publisher: Browser;
let runtime: Browser;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  const { credentials } = world.registry;
  operator = await Browser.signedIn(world.registry, "operator", credentials.operator);
  publisher = await Browser.signedIn(world.registry, "publisher", credentials.publisher);
  runtime = await Browser.signedIn(world.registry, "runtime", credentials.runtime);
  reviewer = await Browser.signedIn(world.registry, "ann", await world.identity("ann", "reviewer"));
}, 60_000);
afterAll(() => world.registry.stop());

function pathOf({ repository, digest }: Pick<Artifact, "repository" | "digest">, below = ""): string {
  return `/ui/artifacts/${repository}@${digest}${below}`;
}

async function pull({ repository, digest }: Artifact): Promise<number> {
  return (await world.registry.fetchAs("runtime", `/v2/${repository}/manifests/${digest}`)).status;
}

/** The forms of the page of an artifact that change it. */
async function acts(browser: Browser, artifact: Artifact): Promise<string[]> {
  const { text } = await browser.get(pathOf(artifact));
  const own = formsOf(text).filter(({ action }) => action.startsWith("/ui/artifacts/"));
  return own.map(({ action }) => action.slice(action.lastIndexOf("/") + 1)).toSorted();
}

test("a reviewer finds what waits, reads why it is refused, approves it; it is promoted, pulled, revoked and denied", async () => {
  const people = { name: "people", evidence: { kind: "approvals", minimum: 1 } };
  await world.putPolicy(policyOf("story", "models/story", { require: [people] }));
  const artifact = await world.push("models/story");
  const queue = await reviewer.get("/ui/review");
  expect(queue.text).toContain(`href="${pathOf(artifact)}"`);

  const refused = await reviewer.get(pathOf(artifact));
  expect(refused.text).toContain("✘ Refused: 1 check fails");
  expect(refused.text).toContain("policy/story/people");
  expect(await acts(operator, artifact)).not.toContain("promote");
  const approved = await reviewer.submit(pathOf(artifact), pathOf(artifact, "/approve"), { reason: "I read the card" });
  expect(approved).toMatchObject({ status: 303, headers: { location: pathOf(artifact, "/trust?done=approve") } });
  const after = await reviewer.get(approved.headers.location ?? "");
  expect(after.text).toContain("Your approval is signed and counts.");
  expect(after.text).toContain("I read the card");

  expect(await pull(artifact)).toBe(404);
  expect((await runtime.get(pathOf(artifact))).status).toBe(404);
  expect((await operator.submit(pathOf(artifact), pathOf(artifact, "/promote"))).status).toBe(303);
  expect(await pull(artifact)).toBe(200);
  expect((await runtime.get(pathOf(artifact))).text).toContain("✔</span> trusted");

  const silent = await operator.submit(pathOf(artifact), pathOf(artifact, "/revoke"), { reason: "  " });
  expect([silent.status, await pull(artifact)]).toEqual([400, 200]);
  expect((await operator.submit(pathOf(artifact), pathOf(artifact, "/revoke"), { reason: "it leaks" })).status).toBe(303);
  expect(await pull(artifact)).toBe(403);
  const denied = await runtime.get(pathOf(artifact));
  expect(denied.status).toBe(200);
  expect(denied.text).toContain("it leaks");
  for (const tab of ["contents", "raw"]) {
    const { text } = await runtime.get(pathOf(artifact, `/${tab}`));
    expect(text).not.toContain("octet-stream");
  }
  const timeline = await runtime.get(pathOf(artifact, "/timeline"));
  expect([...timeline.text.matchAll(/<\/span> (acquired|trusted|revoked)<\/span>/g)].map(([, state]) => state)).toEqual([
    "revoked",
    "revoked",
    "trusted",
    "acquired",
  ]);
});

test("what a viewer may not do cannot be sent, and the page says why", async () => {
  const artifact = await world.push("models/roles");
  expect(await acts(publisher, artifact)).toEqual(["delete", "quarantine", "revoke"]);
  expect(await acts(reviewer, artifact)).toEqual(["approve", "promote", "quarantine", "revoke"]);
  expect(await acts(operator, artifact)).toEqual(["delete", "promote", "quarantine", "revoke"]);
  const { text } = await publisher.get(pathOf(artifact));
  expect(text).toContain("approving needs the permission approve on this repository");
  expect(text).toContain("promoting needs the permission promote on this repository");
  await world.act(artifact, "promote");
  expect(await acts(runtime, artifact)).toEqual([]);
  expect(await acts(operator, artifact)).toEqual(["delete", "promote", "revoke"]);
  expect((await operator.get(pathOf(artifact))).text).toContain("a trusted artifact cannot be quarantined");
});

test("a form that somebody makes by hand is judged as the API judges it", async () => {
  const artifact = await world.push("models/by-hand");
  const [form] = formsOf((await publisher.get(pathOf(artifact))).text);
  const ground = formsOf((await publisher.get(pathOf(artifact))).text).at(-1)?.fields["ground"] ?? "";
  const fields = { _csrf: form?.fields["_csrf"] ?? "", ground, reason: "x", expected: digestOf("x") };
  for (const act of ["approve", "withdraw"]) expect((await publisher.post(pathOf(artifact, `/${act}`), fields)).status).toBe(403);
  expect((await publisher.post(pathOf(artifact, "/promote"), fields)).status).toBe(403);
  const unseen = formsOf((await runtime.get("/ui/")).text)[0]?.fields["_csrf"] ?? "";
  for (const act of ["approve", "promote", "revoke", "delete", "quarantine"]) {
    const hidden = await runtime.post(pathOf(artifact, `/${act}`), { ...fields, _csrf: unseen });
    const absent = await runtime.post(pathOf({ ...artifact, digest: digestOf("nothing") }, `/${act}`), { ...fields, _csrf: unseen });
    expect([act, hidden.status, hidden.text]).toEqual([act, 404, absent.text]);
  }
  expect(await world.stateOf(artifact)).toBe("acquired");
});

describe("a form that is sent again", () => {
  test("approves nothing that was taken back meanwhile", async () => {
    const artifact = await world.push("models/again");
    const form = await reviewer.form(pathOf(artifact), pathOf(artifact, "/approve"));
    expect((await reviewer.post(form.action, form.fields)).status).toBe(303);
    expect((await reviewer.submit(pathOf(artifact), pathOf(artifact, "/withdraw"), { reason: "no" })).status).toBe(303);
    const again = await reviewer.post(form.action, form.fields);
    expect(again.status).toBe(409);
    expect(again.text).toContain("has changed since the page was shown");
    expect((await reviewer.get(pathOf(artifact))).text).toContain("Nobody has approved it.");
  });

  test("promotes nothing that was revoked meanwhile, nor what rests on another decision", async () => {
    const artifact = await world.push("models/stale");
    const [promote, revoke] = [pathOf(artifact, "/promote"), pathOf(artifact, "/revoke")];
    const [toPromote, toRevoke] = [await operator.form(pathOf(artifact), promote), await operator.form(pathOf(artifact), revoke)];
    const outdated = await operator.post(promote, { ...toPromote.fields, expected: digestOf("another decision") });
    expect(outdated.headers.location).toContain("?done=outdated");
    expect(await world.stateOf(artifact)).toBe("acquired");
    expect((await operator.post(promote, { ...toPromote.fields, expected: "" })).status).toBe(400);
    expect((await operator.post(promote, toPromote.fields)).status).toBe(303);
    expect((await operator.post(revoke, { ...toRevoke.fields, reason: "x" })).status).toBe(409);
    expect((await operator.submit(pathOf(artifact), revoke, { reason: "bad" })).status).toBe(303);
    expect((await operator.post(promote, toPromote.fields)).status).toBe(409);
    expect(await world.stateOf(artifact)).toBe("revoked");
  });
});

const HOSTILE = [
  `"><script>alert(1)</script>`,
  `' onmouseover='alert(1)`,
  "</td></table><form action=https://evil.example>",
  "javascript:alert(1)",
  "<img src=x onerror=alert(1)>",
  "safe\u202Egpj.exe\u2066\u200B\u0000",
  "&lt;b&gt; &amp; ${1}",
  "x".repeat(5000),
  "ﷺ".repeat(500),
];

test("names, annotations, types and reasons from others stay text, however they are written", async () => {
  const repository = "models/hostile";
  for (const blob of ["{}", "weights"]) await world.pushBlob(repository, blob);
  const layer = { mediaType: "text/html;x=<script>", digest: digestOf("weights"), size: 7 };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: "application/<script>alert(1)</script>",
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
    layers: HOSTILE.map((text) => ({ ...layer, annotations: { "org.opencontainers.image.title": text } })),
    annotations: Object.fromEntries(HOSTILE.map((text) => [text.slice(0, 900), text])),
  });
  await world.pushManifest(repository, "v1", manifest);
  const artifact = { repository, digest: digestOf(manifest) };
  const evidence = JSON.stringify({
    ...(JSON.parse(manifest) as object),
    subject: { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: artifact.digest, size: manifest.length },
    annotations: { "org.opencontainers.image.description": HOSTILE.slice(0, 6).join(" ") },
  });
  await world.pushManifest(repository, digestOf(evidence), evidence);
  expect((await reviewer.submit(pathOf(artifact), pathOf(artifact, "/approve"), { reason: HOSTILE.slice(0, 7).join(" ") })).status).toBe(
    303,
  );
  const revoked = await operator.submit(pathOf(artifact), pathOf(artifact, "/revoke"), { reason: HOSTILE.slice(0, 7).join(" ") });
  expect(revoked.status).toBe(303);
  const query = encodeURIComponent(HOSTILE.join(" ").slice(0, 1000));
  const paths = [
    ...TABS.map((tab) => pathOf(artifact, `/${tab}?done=${query}`)),
    `/ui/explore?name=${query}&digest=${query}&type=${query}&state=${query}`,
    "/ui/explore?name=models/hostile",
    `/ui/explore?cursor=${query}`,
    `/ui/artifacts/${query}`,
    pathOf(artifact, `/referrers?last=${query}`),
    pathOf(artifact, `/contents?from=${query}`),
    "/ui/",
    "/ui/review",
    "/ui/audit?type=artifact",
    `/ui/audit?actor=${query}&type=${query}&artifact=${query}&before=${query}`,
  ];
  for (const path of paths) {
    const { text } = await operator.get(path);
    expect({ path, faults: faultsOfPage(text) }).toEqual({ path, faults: [] });
    expect({ path, deceiving: /.{0,60}[\p{Cc}\p{Cf}]/u.exec(text.replaceAll("\n", ""))?.[0] }).toEqual({ path, deceiving: undefined });
  }
  expect((await operator.get(pathOf(artifact, "/contents"))).text).toContain("safe[U+202E]gpj.exe[U+2066][U+200B][U+0000]");
});

test("ten thousand files are shown a page at a time", async () => {
  const repository = "models/many-files";
  for (const blob of ["{}", "weights"]) await world.pushBlob(repository, blob);
  const title = "org.opencontainers.image.title";
  const layers = Array.from({ length: 10_000 }, (_, at) => ({
    mediaType: "application/octet-stream",
    digest: digestOf("weights"),
    size: 7,
    annotations: { [title]: `part-${at}` },
  }));
  const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: "a/b",
    config,
    layers,
  });
  await world.pushManifest(repository, "v1", manifest);
  const artifact = { repository, digest: digestOf(manifest) };
  for (const tab of TABS) expect(faultsOfPage((await operator.get(pathOf(artifact, `/${tab}`))).text)).toEqual([]);
  const first = await operator.get(pathOf(artifact, "/contents"));
  expect(first.text).toContain("Entries 1 to 60 of 10001");
  const next = /rel="next" href="([^"]+)"/.exec(first.text)?.[1] ?? "";
  expect((await operator.get(next)).text).toContain(">part-59<");
});

test("an index shows what it holds with its states, and what is attached is told from what was covered", async () => {
  const repository = "models/index";
  const child = await world.push(repository);
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ mediaType: child.mediaType, digest: child.digest, size: child.size }],
  });
  expect(
    (await world.send("publisher", `PUT /v2/${repository}/manifests/all`, index, "application/vnd.oci.image.index.v1+json")).status,
  ).toBe(201);
  const root = { ...child, digest: digestOf(index), ref: `${repository}:all` };
  const before = await world.attach(child, '{"before":1}');
  await world.act(root, "promote");
  const late = await world.attach(child, '{"late":1}');
  const { text } = await operator.get(pathOf(root, "/contents"));
  expect(text).toContain(`href="${pathOf(child)}"`);
  expect(text).toMatch(/manifest\s+<span class="state wait">/);
  await world.act(child, "promote", { expected: undefined });
  const standing = async (browser: Browser): Promise<string> => (await browser.get(pathOf(child, "/referrers"))).text;
  expect(await standing(operator)).toContain(pathOf({ ...child, digest: before }));
  expect(await standing(operator)).toContain(pathOf({ ...child, digest: late }));
  expect(await standing(operator)).toContain("the registry&#39;s statement");
  // Promoting the child itself covered what was there by then.
  const later = await world.attach(child, '{"later":1}');
  expect(await standing(operator)).toContain("attached later");
  expect(await standing(runtime)).not.toContain(later);
});

test("a tag leads to the digest that it means to the viewer", async () => {
  const artifact = await world.push("models/tagged");
  expect(await publisher.get("/ui/artifacts/models/tagged:v1/raw")).toMatchObject({
    status: 303,
    headers: { location: pathOf(artifact, "/raw") },
  });
  expect((await runtime.get("/ui/artifacts/models/tagged:v1")).status).toBe(404);
  expect((await publisher.get(pathOf(artifact, "/raw"))).text).toContain("oras manifest fetch 127.0.0.1:");
});

/** What a search finds, page by page. */
async function found(browser: Browser, query: string): Promise<string[]> {
  const digests: string[] = [];
  for (let path: string | undefined = `/ui/explore?${query}`; path !== undefined;) {
    const { status, text } = await browser.get(path);
    expect(status).toBe(200);
    digests.push(...[...text.matchAll(/href="\/ui\/artifacts\/([^"]+)"/g)].map(([, ref = ""]) => ref));
    path = /href="(\/ui\/explore\?[^"]+)" rel="next"/.exec(text)?.[1]?.replaceAll("&amp;", "&");
  }
  return digests;
}

describe("exploring", () => {
  test("finds by the beginning of a name or a digest, by state and by type, page by page, what the viewer may see", async () => {
    const pushed: Artifact[] = [];
    for (let at = 0; at < 45; at += 1) pushed.push(await world.push(`models/search-${at % 3}/m${String(at).padStart(2, "0")}`));
    const refs = pushed.map(({ repository, digest }) => `${repository}@${digest}`).toSorted();
    expect(await found(operator, "name=models/search-")).toEqual(refs);
    expect(await found(operator, "name=models/search-1")).toEqual(refs.filter((ref) => ref.startsWith("models/search-1")));
    expect(await found(runtime, "name=models/search-")).toEqual([]);
    const [one] = pushed;
    if (one === undefined) throw new Error("something was pushed");
    await world.act(one, "promote");
    const ref = `${one.repository}@${one.digest}`;
    expect(await found(runtime, "name=models/search-")).toEqual([ref]);
    expect(await found(operator, "name=models/search-&state=trusted")).toEqual([ref]);
    expect(await found(operator, `digest=${one.digest.slice(0, 20)}`)).toEqual([ref]);
    expect(await found(operator, `digest=${one.digest.slice(7, 17)}&state=revoked`)).toEqual([]);
    expect(await found(runtime, `digest=${pushed[1]?.digest.slice(7, 17)}`)).toEqual([]);
    expect(await found(operator, "name=models/search-2&type=vnd.test")).toHaveLength(15);
    expect(await found(operator, "name=models/search-&type=no-such-type")).toEqual([]);
  }, 60_000);

  test("says what is wrong with what cannot be looked for, and what to do where nothing is found", async () => {
    const short = await operator.get("/ui/explore?digest=abc");
    expect(short.status).toBe(400);
    expect(short.text).toContain("first 6 hexadecimal digits or more");
    expect((await operator.get("/ui/explore?name=no/such/name")).text).toContain("show everything");
  });
});
