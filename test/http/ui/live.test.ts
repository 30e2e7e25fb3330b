import { afterEach, beforeEach, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { lastEvent } from "../../../src/registry/page-moment.ts";
import { keys } from "../../../src/storage/keys.ts";
import { Browser } from "../../support/browser.ts";
import { type Artifact, PolicyRegistry } from "../../support/policy-registry.ts";
import { startWholeRegistry } from "../../support/whole-registry.ts";

const MINUTE = 60_000;

let world: PolicyRegistry;
let isDraining = false;
const open: Stream[] = [];
beforeEach(async () => {
  isDraining = false;
  world = await PolicyRegistry.start({ draining: () => isDraining });
}, 60_000);
afterEach(async () => {
  for (const stream of open.splice(0)) stream.leave();
  await world.registry.stop();
});

/** What a browser that follows a page is told. */
class Stream {
  readonly status: number;
  readonly type: string | null;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #text = "";

  constructor(answer: Response) {
    this.status = answer.status;
    this.type = answer.headers.get("content-type");
    this.#reader = answer.body?.getReader();
    open.push(this);
  }

  /** All that was said until it says these words, or until it ends. */
  async until(words?: string): Promise<string> {
    if (words !== undefined && this.#text.includes(words)) return this.#text;
    const { value } = (await this.#reader?.read()) ?? {};
    if (value === undefined) return this.#text;
    this.#text += Buffer.from(value).toString("utf8");
    return this.until(words);
  }

  leave(): void {
    this.#reader?.cancel().catch(() => undefined);
  }
}

/** Another manifest with the same files. */
function manifestOf({ mediaType }: Artifact, note: string): string {
  const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };
  return JSON.stringify({
    schemaVersion: 2,
    mediaType,
    artifactType: "application/vnd.test.model",
    config,
    layers: [],
    annotations: { note },
  });
}

async function signedIn(who: "operator" | "publisher" | "runtime"): Promise<Browser> {
  return Browser.signedIn(world.registry, who, world.registry.credentials[who]);
}

async function sinceOf(browser: Browser): Promise<string> {
  return /data-since="([^"]+)"/.exec((await browser.get("/ui/")).text)?.[1] ?? "";
}

async function follow(browser: Browser, about: string, since?: string): Promise<Stream> {
  const page = await browser.get("/ui/review");
  const seen = since ?? /data-since="([^"]+)"/.exec(page.text)?.[1] ?? "none";
  const path = `/ui/live?${new URLSearchParams({ about, since: seen }).toString()}`;
  return new Stream(await world.registry.fetchAs("nobody", path, { headers: browser.cookieHeader, redirect: "manual" }));
}

test("an open page is told of a change of its artifact, and not what it was", async () => {
  const artifact = await world.push("models/followed");
  const stream = await follow(await signedIn("operator"), `models/followed@${artifact.digest}`);
  expect([stream.status, stream.type]).toEqual([200, "text/event-stream"]);
  await world.act(artifact, "promote");
  const told = await stream.until("changed");
  expect(told).toContain("event: changed\ndata:\n\n");
  expect(told).not.toContain("followed");
});

test("what happened between the page and its stream is told at once", async () => {
  const artifact = await world.push("models/between");
  const browser = await signedIn("operator");
  const since = /data-since="([^"]+)"/.exec((await browser.get("/ui/")).text)?.[1];
  await world.act(artifact, "promote");
  const stream = await follow(browser, `models/between@${artifact.digest}`, since);
  expect(await stream.until("changed")).toContain("event: changed");
});

test("an artifact that the viewer may not see is followed as little as none", async () => {
  const artifact = await world.push("models/hidden");
  const runtime = await signedIn("runtime");
  const [hidden, absent] = [
    await follow(runtime, `models/hidden@${artifact.digest}`),
    await follow(runtime, `models/no-such-thing@${artifact.digest}`),
  ];
  expect([hidden.status, absent.status]).toEqual([404, 404]);
  expect(await hidden.until()).toBe(await absent.until());
});

test("who sees no untrusted content is not even told that something was pushed", async () => {
  const runtime = await follow(await signedIn("runtime"), "queue");
  const publisher = await follow(await signedIn("publisher"), "queue");
  await world.push("models/pushed");
  expect(await publisher.until("changed")).toContain("changed");
  isDraining = true;
  expect(await runtime.until()).not.toContain("changed");
});

test("who reads a trusted artifact is told when it is revoked, and not of pushes, refusals and decisions beside it that are hidden", async () => {
  const artifact = await world.push("models/read");
  await world.act(artifact, "promote");
  const runtime = await signedIn("runtime");
  const since = /data-since="([^"]+)"/.exec((await runtime.get("/ui/")).text)?.[1];
  await world.pushManifest("models/read", "next", manifestOf(artifact, "hidden"));
  const hidden = digestOf(manifestOf(artifact, "hidden"));
  await world.send("operator", `POST /v1/artifacts/models/read@${hidden}/quarantine`, JSON.stringify({ reason: "odd" }));
  await world.putPolicy(world.signedPolicy("signed", "models/**"));
  await world.act(artifact, "promote");
  await world.push("models/elsewhere");
  const stream = await follow(runtime, `models/read@${artifact.digest}`, since);
  await (await follow(await signedIn("operator"), `models/read@${artifact.digest}`, since)).until("changed");
  isDraining = true;
  expect(await stream.until()).not.toContain("changed");
  isDraining = false;
  const next = await follow(runtime, `models/read@${artifact.digest}`);
  await world.send("operator", `POST /v1/artifacts/models/read@${artifact.digest}/revoke`, JSON.stringify({ reason: "bad" }));
  expect(await next.until("changed")).toContain("changed");
});

test("what becomes of the same manifest in a repository of others is told to who sees that one", async () => {
  const artifact = await world.push("models/shared");
  const authorization = `Basic ${Buffer.from(`maker:${await world.identity("maker", "publisher")}`).toString("base64")}`;
  await world.send("operator", "POST /v1/namespaces", JSON.stringify({ name: "secret", owner: "maker" }));
  const stream = await follow(await signedIn("publisher"), `models/shared@${artifact.digest}`);
  const operator = await follow(await signedIn("operator"), `models/shared@${artifact.digest}`);
  const bytes = await (await world.registry.fetchAs("publisher", `/v2/models/shared/manifests/${artifact.digest}`)).text();
  const headers = { authorization, "content-type": artifact.mediaType };
  const pushed = await world.registry.fetchAs("nobody", `/v2/secret/shared/manifests/v1`, { method: "PUT", headers, body: bytes });
  expect(pushed.status).toBe(201);
  await operator.until("changed");
  isDraining = true;
  expect(await stream.until()).not.toContain("changed");
});

test("one more stream of a session than it may have ends its oldest, and no other session's", async () => {
  const [operator, publisher] = [await signedIn("operator"), await signedIn("publisher")];
  const others = await follow(publisher, "queue");
  const streams: Stream[] = [];
  for (let left = 5; left > 0; left -= 1) streams.push(await follow(operator, "queue"));
  expect(await streams[0]?.until()).not.toContain("changed");
  await world.push("models/pushed");
  for (const stream of [others, ...streams.slice(1)]) expect(await stream.until("changed")).toContain("changed");
});

test("one more stream of a person than it may have ends its oldest, in whichever of its sessions, and nobody else's", async () => {
  const others = await follow(await signedIn("publisher"), "queue");
  const streams: Stream[] = [];
  for (let sessions = 4; sessions > 0; sessions -= 1) {
    const operator = await signedIn("operator");
    for (let left = 4; left > 0; left -= 1) streams.push(await follow(operator, "queue"));
  }
  streams.push(await follow(await signedIn("operator"), "queue"));
  expect(await streams[0]?.until()).not.toContain("changed");
  await world.push("models/pushed");
  for (const stream of [others, ...streams.slice(1)]) expect(await stream.until("changed")).toContain("changed");
});

test("the page of operations is told that a job has moved, though no event says so, and nobody who may not see it is", async () => {
  const { metadata } = world.registry.services;
  const put = async (after: string): Promise<void> => {
    const lease = { v: 1, holder: "a worker", until: Date.now() + 600_000, dueAt: Date.now() };
    const job = { v: 1, phase: "records", after: `sha256:${after}${"0".repeat(63)}`, looked: 7 };
    const rows = [
      { key: keys.lease("collect-garbage"), value: lease },
      { key: keys.job("collect-garbage"), value: job },
    ];
    await metadata.commit({ expect: [], put: rows, remove: [], audit: [] });
  };
  await put("4");
  const operator = await signedIn("operator");
  const since = /data-since="([^"]+)"/.exec((await operator.get("/ui/operations")).text)?.[1];
  const [fresh, other] = [await follow(operator, "jobs", since), await follow(operator, "jobs")];
  // What knows nothing of the jobs is told in any case, and so knows that they were looked at for all.
  await other.until("changed");
  isDraining = true;
  expect(await fresh.until()).not.toContain("changed");
  isDraining = false;
  const next = await follow(operator, "jobs", since);
  const events = await lastEvent(world.registry.services);
  await put("8");
  expect(await next.until("changed")).toContain("event: changed\ndata:\n\n");
  expect(await lastEvent(world.registry.services)).toBe(events);
  expect((await follow(await signedIn("publisher"), "jobs")).status).toBe(404);
});

test("a stream ends with its session, and with the process", async () => {
  const browser = await signedIn("operator");
  const [ended, drained] = [await follow(browser, "queue"), await follow(await signedIn("publisher"), "queue")];
  await browser.submit("/ui/sessions", "/ui/sessions/end-all");
  await ended.until();
  isDraining = true;
  await drained.until();
  expect((await follow(browser, "queue", "0")).status).toBe(303);
});

test("a page that asks by itself keeps no session from ending", async () => {
  const registry = await startWholeRegistry();
  try {
    const { secret } = await registry.identity("operator", [{ role: "operator", namespace: "*" }]);
    const browser = Browser.at(registry);
    await browser.signIn("operator", secret);
    registry.pass(29 * MINUTE);
    const headers = { ...browser.cookieHeader, "X-Refresh": "1" };
    expect((await registry.ask("GET", "/ui/review", { headers })).status).toBe(200);
    registry.pass(2 * MINUTE);
    expect((await browser.get("/ui/review")).status).toBe(303);
  } finally {
    await registry.close();
  }
});

test.each(["", "0", "x", "A".repeat(48), "A".repeat(1_000)])("%j is nothing to go on from", async (since) => {
  expect((await follow(await signedIn("operator"), "queue", since)).status).toBe(400);
});

test("a page tells no reader how much happens, not even by texts that are alike, and what it carries is of its session alone", async () => {
  const [runtime, publisher] = [await signedIn("runtime"), await signedIn("publisher")];
  const [first, second] = [await sinceOf(runtime), await sinceOf(runtime)];
  expect(first).toMatch(/^[\w-]{48}$/);
  expect(second).not.toBe(first);
  expect((await follow(runtime, "queue", first)).status).toBe(200);
  expect((await follow(publisher, "queue", first)).status).toBe(400);
});
