import { afterAll, beforeAll, expect, test } from "vitest";
import { auditPageSchema, auditVerificationSchema, linkOf } from "../../src/api/audit.ts";
import { verify } from "../../src/audit/chain.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_EMPTY, OCI_IMAGE } from "../../src/oci/media-types.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

let registry: TestRegistry;
let digest: string;

beforeAll(async () => {
  registry = await startTestRegistry();
  const config = { mediaType: OCI_EMPTY, digest: digestOf("{}"), size: 2 };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    artifactType: "application/vnd.test",
    config,
    layers: [config],
  });
  digest = digestOf(manifest);
  await mustSucceed("publisher", `/v2/models/x/blobs/uploads/?digest=${digestOf("{}")}`, { method: "POST", body: "{}" });
  await mustSucceed("publisher", "/v2/models/x/manifests/v1", { method: "PUT", body: manifest, headers: { "Content-Type": OCI_IMAGE } });
  await mustSucceed("operator", `/v1/artifacts/models/x@${digest}/promote`, { method: "POST", body: "{}" });
});

async function mustSucceed(who: "publisher" | "operator", path: string, init: RequestInit): Promise<void> {
  const answer = await registry.fetchAs(who, path, init);
  if (!answer.ok) throw new Error(`${init.method ?? ""} ${path}: ${answer.status} ${await answer.text()}`);
}

afterAll(() => registry.stop());

async function page(query = ""): Promise<ReturnType<typeof auditPageSchema.parse>> {
  const answer = await registry.fetchAs("operator", `/v1/audit${query}`);
  expect(answer.status).toBe(200);
  return auditPageSchema.parse(await answer.json());
}

test("the audit is read in pages that prove the chain", async () => {
  const first = await page("?limit=3");
  expect(first.events).toHaveLength(3);
  const events = [...first.events];
  for (let next = first.next; next !== null;) {
    const more = await page(`?limit=3&after=${next}`);
    events.push(...more.events);
    next = more.next;
  }
  expect(verify(events.map(linkOf))).toMatchObject({ intact: true, head: { sequence: events.length } });
  expect(first.head).toMatchObject({ sequence: events.length, hash: events.at(-1)?.hash });
});

test.each(["/v1/artifacts?repository=&state=&cursor=&limit=", "/v1/audit?after=&limit=&actor=&artifact=&type=", "/v1/credentials?cursor="])(
  "%s asks for everything",
  async (path) => {
    const [empty, bare] = [await registry.fetchAs("operator", path), await registry.fetchAs("operator", path.split("?")[0] ?? "")];
    expect([empty.status, await empty.json()]).toEqual([200, await bare.json()]);
  },
);

test.each([
  ["?actor=operator", ["artifact.promote"]],
  [`?type=artifact&artifact=models/x`, ["artifact.promote"]],
  ["?actor=nobody-at-all", []],
])("%s filters", async (query, types) => {
  expect((await page(query)).events.map(({ type }) => type)).toEqual(types);
});

test("an event of an artifact names who did what to which digest", async () => {
  const { events } = await page(`?artifact=models/x@${digest}&type=artifact.promote`);
  expect(events).toMatchObject([
    { actor: { principal: "operator", kind: "service" }, outcome: "allow", target: { kind: "artifact", name: "models/x", digest } },
  ]);
});

test.each(["?limit=0", "?limit=1001", "?after=-1", "?after=x", "?unknown=1", `?type=${"x".repeat(65)}`])(
  "%s is refused as a problem",
  async (query) => {
    const answer = await registry.fetchAs("operator", `/v1/audit${query}`);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: "invalid", status: 400 });
  },
);

test.each([
  ["publisher", 403],
  ["runtime", 403],
  ["nobody", 401],
] as const)("%s may not read the audit", async (who, status) => {
  for (const path of ["/v1/audit", "/v1/audit/verify"]) expect((await registry.fetchAs(who, path)).status).toBe(status);
});

test("the service token without parameters gets the predecessor's plain array, which is of registered artifacts alone", async () => {
  const answer = await registry.fetchAs("serviceToken", "/v1/audit");
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("application/json");
  expect(await answer.json()).toEqual([]);
});

test("the service token with parameters gets pages, of artifacts only, whatever type it asks for", async () => {
  const answer = await registry.fetchAs("serviceToken", "/v1/audit?type=identity.create");
  expect(auditPageSchema.parse(await answer.json()).events.map(({ type }) => type)).toEqual(["artifact.promote"]);
});

test("the registry proves its own chain, also from the middle", async () => {
  for (const query of ["", "?after=3"]) {
    const proof = auditVerificationSchema.parse(await (await registry.fetchAs("operator", `/v1/audit/verify${query}`)).json());
    expect(proof).toMatchObject({ intact: true, next: null, broken: null });
    expect(proof.head).toEqual((await page()).head);
  }
});

test("a refused request is in the audit once it was flushed, however often it was made", async () => {
  for (let i = 0; i < 5; i += 1) expect((await registry.fetchAs("runtime", "/v1/audit")).status).toBe(403);
  await registry.services.refusals.flush();
  const { events } = await page("?type=auth.denied&actor=runtime");
  expect(events.length).toBeGreaterThan(0);
  expect(events.every(({ outcome }) => outcome === "deny")).toBe(true);
});
