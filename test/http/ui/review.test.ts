import { afterAll, beforeAll, expect, test } from "vitest";
import { indexArtifacts } from "../../../src/jobs/index-artifacts.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { keys, under } from "../../../src/storage/keys.ts";
import type { Entry } from "../../../src/storage/metadata-store.ts";
import { Browser, faultsOfPage } from "../../support/browser.ts";
import { type Artifact, PolicyRegistry } from "../../support/policy-registry.ts";

const INDEX = "application/vnd.oci.image.index.v1+json";
/** More than two pages hold. */
const MANY = 65;

let world: PolicyRegistry;
let operator: Browser;
let reviewer: Browser;
const pushed: Artifact[] = [];
beforeAll(async () => {
  world = await PolicyRegistry.start();
  operator = await Browser.signedIn(world.registry, "operator", world.registry.credentials.operator);
  await world.send("operator", "POST /v1/namespaces", JSON.stringify({ name: "labs", owner: "publisher" }));
  reviewer = await Browser.signedIn(world.registry, "ann", await world.identity("ann", "reviewer"));
  for (let at = 0; at < MANY; at += 1) pushed.push(await world.push(`${at % 5 === 0 ? "labs" : "models"}/waits-${MANY - at}`));
}, 60_000);
afterAll(() => world.registry.stop());

async function indexed(): Promise<Entry[]> {
  const { metadata } = world.registry.services;
  return [...(await metadata.list(under(["waiting"], 10_000))), ...(await metadata.list(under(["artifact-format"], 10_000)))];
}

function texts(entries: readonly Entry[]): string[] {
  return entries.map(({ key }) => JSON.stringify(key)).toSorted();
}

/** The digests of all pages, in order, and how many pages there are. */
async function queue(browser: Browser): Promise<{ digests: string[]; pages: number }> {
  const digests: string[] = [];
  let pages = 0;
  for (let path: string | undefined = "/ui/review"; path !== undefined; pages += 1) {
    const { text, status } = await browser.get(path);
    expect(status).toBe(200);
    expect(faultsOfPage(text)).toEqual([]);
    digests.push(
      ...[...text.matchAll(/<td[^>]*><a href="\/ui\/artifacts\/[^"@]+@(sha256:[0-9a-f]{64})"/g)].map(([, digest = ""]) => digest),
    );
    path = /rel="next" href="([^"]+)"/.exec(text)?.[1]?.replaceAll("&amp;", "&");
  }
  return { digests, pages };
}

test("everything that waits is found, the longest waiting first, a page at a time, each once", async () => {
  expect(await queue(operator)).toEqual({ digests: pushed.map(({ digest }) => digest), pages: 4 });
});

test("whoever reviews one namespace finds what waits there, and no page tells of others", async () => {
  const own = pushed.filter(({ repository }) => repository.startsWith("models/"));
  expect(await queue(reviewer)).toEqual({ digests: own.map(({ digest }) => digest), pages: 3 });
});

test("what is quarantined keeps its place, and what is promoted, revoked or deleted leaves the queue", async () => {
  const [first, second, third, fourth] = [1, 2, 3, 4].map((at) => pushed[at] as Artifact);
  if (first === undefined || second === undefined || third === undefined || fourth === undefined) throw new TypeError("there are more");
  const before = (await queue(operator)).digests;
  await world.send("operator", `POST /v1/artifacts/${first.ref}/quarantine`, "{}");
  expect((await world.act(second, "promote")).status).toBe(200);
  await world.send("operator", `POST /v1/artifacts/${third.ref}/revoke`, JSON.stringify({ reason: "bad" }));
  await world.send("operator", `DELETE /v1/artifacts/${fourth.ref}`);
  const gone = new Set([second, third, fourth].map(({ digest }) => digest));
  expect((await queue(operator)).digests).toEqual(before.filter((digest) => !gone.has(digest)));
});

test("what is part of another artifact waits with that one", async () => {
  const part = await world.push("models/part");
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [{ mediaType: part.mediaType, digest: part.digest, size: part.size }],
  });
  const { status } = await world.send("publisher", "PUT /v2/models/part/manifests/all", index, INDEX);
  expect(status).toBe(201);
  const { digests } = await queue(operator);
  expect(digests).toContain(digestOf(index));
  expect(digests).not.toContain(part.digest);
});

test("the start page says how long the first one waits, and a cursor that is none is refused in words", async () => {
  expect((await operator.get("/ui/")).text).toContain("is how long the first of them waits");
  for (const cursor of ["x", "1/models/x@y", `99999999999999999/models/x@${digestOf("x")}`])
    expect((await operator.get(`/ui/review?cursor=${encodeURIComponent(cursor)}`)).status).toBe(400);
  expect((await operator.get(`/ui/review?cursor=${encodeURIComponent(`${Date.now() + 1e9}/models/x@${digestOf("x")}`)}`)).text).toContain(
    "That was the last one.",
  );
});

test("a store of an earlier version is indexed once, also when artifacts change meanwhile", async () => {
  const { metadata } = world.registry.services;
  const all = await indexed();
  const forget = async (): Promise<void> => {
    await metadata.commit({ expect: [], put: [], remove: [...all.map(({ key }) => key), keys.job("index-artifacts")], audit: [] });
  };
  await forget();
  let changes = 0;
  const racing = {
    ...metadata,
    get: (key: Parameters<typeof metadata.get>[0]) => metadata.get(key),
    list: async (range: Parameters<typeof metadata.list>[0]) => {
      const rows = await metadata.list(range);
      if (changes < 2 && range.start[0] === "manifest") {
        changes += 1;
        await world.send("operator", `POST /v1/artifacts/${pushed[10 + changes]?.ref}/revoke`, JSON.stringify({ reason: "bad" }));
      }
      return rows;
    },
    commit: (change: Parameters<typeof metadata.commit>[0]) => metadata.commit(change),
    close: () => metadata.close(),
  };
  expect(await indexArtifacts({ metadata: racing })).toBe(true);
  const gone = new Set([11, 12].map((at) => pushed[at]?.digest));
  const left = all.filter(({ key }) => key[0] !== "waiting" || !gone.has(String(key[4])));
  expect(texts(await indexed())).toEqual(texts(left));
  expect(changes).toBe(2);
  await metadata.commit({ expect: [], put: [], remove: all.map(({ key }) => key), audit: [] });
  expect(await indexArtifacts({ metadata })).toBe(true);
  expect(await indexed()).toEqual([]);
});
