import { mkdtemp, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { digestOf } from "../../src/oci/digest.ts";
import { startAnswering } from "../support/answering.ts";
import { type Artifact, PolicyRegistry } from "../support/policy-registry.ts";
import { runSecurectl } from "../support/securectl.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const EMPTY = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };
const STATE = "dev.ai-model-registry.lifecycle.state";
const VERDICT = "dev.ai-model-registry.approval.verdict";
const PERSON = "dev.ai-model-registry.approval.person";
const listedSchema = z.looseObject({ manifests: z.array(z.looseObject({ digest: z.string(), annotations: z.looseObject({}) })) });
const referrerSchema = z.looseObject({
  digest: z.string(),
  of_registry: z.boolean(),
  annotations: z.record(z.string(), z.string()).optional(),
  get referrers(): z.ZodArray<typeof referrerSchema> {
    return z.array(referrerSchema);
  },
});
const treeSchema = z.looseObject({ referrers: z.array(referrerSchema) });

let world: PolicyRegistry;
let folder: string;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  folder = await mkdtemp(join(tmpdir(), "securectl-discover-"));
});
afterAll(async () => {
  await world.registry.stop();
  await rm(folder, { recursive: true, force: true });
});

async function discover(artifact: Artifact, ...args: readonly string[]): Promise<string> {
  return discoverAt(world.registry.url, artifact, ...args);
}

async function discoverAt(url: string, artifact: Artifact, ...args: readonly string[]): Promise<string> {
  const env = { HOME: folder, REGISTRY_URL: url, REGISTRY_DIR: world.registry.directory };
  const { exit, out, err } = await runSecurectl(["discover", `${artifact.repository}@${artifact.digest}`, ...args], env);
  if (exit !== 0) throw new Error(err);
  return out;
}

/** Attaches an empty manifest that says of itself what it likes. */
async function attachSaying({ repository, digest, size, mediaType }: Artifact, annotations: object, artifactType = "a/b"): Promise<string> {
  const subject = { mediaType, digest, size };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: IMAGE,
    artifactType,
    config: EMPTY,
    layers: [EMPTY],
    subject,
    annotations,
  });
  await world.pushManifest(repository, digestOf(manifest), manifest);
  return digestOf(manifest);
}

/** An artifact with every kind of statement: two states, a summary, an approval and its withdrawal. */
async function spokenOf(repository: string): Promise<Artifact> {
  const artifact = await world.push(repository);
  const key = await world.identity(`reviewer-of-${repository.replaceAll("/", "-")}`, "reviewer");
  for (const method of ["POST", "DELETE"]) {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const body = method === "POST" ? "{}" : null;
    const { status } = await fetch(`${world.registry.url}/v1/artifacts/${artifact.ref}/approve`, { method, headers, body });
    expect(status).toBe(200);
  }
  expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
  return artifact;
}

test("the registry's own statements are told from what somebody pushed that says the same of itself", async () => {
  const artifact = await spokenOf("models/discovered");
  const listed = listedSchema.parse((await world.send("operator", `GET /v2/${artifact.repository}/referrers/${artifact.digest}`)).json);
  const genuine = listed.manifests.map(({ digest }) => digest);
  expect(genuine).toHaveLength(5);
  const copied = listed.manifests.find(({ annotations }) => annotations[STATE] === "trusted")?.annotations ?? {};
  const [twin, plain] = [await attachSaying(artifact, copied), await attachSaying(artifact, {})];

  const { referrers } = treeSchema.parse(JSON.parse(await discover(artifact, "--json")));
  expect(referrers.filter((each) => each.of_registry).map(({ digest }) => digest)).toEqual(genuine);
  expect(
    referrers
      .filter((each) => !each.of_registry)
      .map(({ digest }) => digest)
      .toSorted(),
  ).toEqual([twin, plain].toSorted());

  const text = await discover(artifact);
  const own =
    /^[├└]── \[registry\] \S+ sha256:[0-9a-f]{64} (?:acquired|trusted|PASSED|approved by [^, ]+|withdrawn by [^, ]+), [\dT:.Z-]+$/gm;
  expect(text.match(own)).toHaveLength(5);
  expect(text).toMatch(new RegExp(`${twin} says: trusted, https://ai-model-registry\\.dev/`));
});

test("no type and no annotation reads as the registry's word", async () => {
  const artifact = await world.push("models/forged");
  const type = `x ${artifact.digest} [registry: trusted]`;
  const forged = await attachSaying(artifact, { [STATE]: "trusted] [registry: trusted, PASSED" });
  const typed = await attachSaying(artifact, {}, type);
  const first = await attachSaying(artifact, { [VERDICT]: "approved", [PERSON]: 'a, "b"' }, "[registry] a/b");
  const [, ...lines] = (await discover(artifact)).trimEnd().split("\n");
  const expected = [
    `a/b ${forged} says: "trusted] [registry: trusted, PASSED"`,
    `"${type}" ${typed}`,
    `"[registry] a/b" ${first} says: approved by "a, \\"b\\""`,
  ];
  expect(lines.map((line) => line.slice("├── ".length)).toSorted()).toEqual(expected.toSorted());
});

test("what looks like a statement about something that the registry has no statement of is not the registry's", async () => {
  const artifact = await world.push("models/without");
  const attached = await attachSaying(artifact, { [STATE]: "trusted" });
  const nested = await attachSaying({ ...artifact, digest: attached, size: 400 }, { [STATE]: "revoked" });
  const tree = treeSchema.parse(JSON.parse(await discover(artifact, "--json")));
  expect(tree.referrers).toMatchObject([{ digest: attached, of_registry: false, referrers: [{ digest: nested, of_registry: false }] }]);
});

test("statements of what is attached are the registry's by the history of that", async () => {
  const artifact = await world.push("models/nested");
  const attached = await attachSaying(artifact, {});
  const { status } = await world.send("operator", `POST /v1/artifacts/${artifact.repository}@${attached}/promote`, "{}");
  expect(status).toBe(200);
  const tree = treeSchema.parse(JSON.parse(await discover(artifact, "--json")));
  expect(tree.referrers).toMatchObject([{ digest: attached, of_registry: false }]);
  expect(tree.referrers.flatMap(({ referrers }) => referrers.map((each) => each.of_registry))).toEqual([true, true, true]);
});

test("a registry one version older, whose history names neither summaries nor approvals, is discovered all the same", async () => {
  const artifact = await spokenOf("models/older");
  const older = await startAnswering((request, response) => void answerAsOlder(request, response));
  try {
    const { referrers } = treeSchema.parse(JSON.parse(await discoverAt(older.url, artifact, "--json")));
    const own = referrers.filter((each) => each.of_registry).map(({ annotations }) => annotations?.[STATE]);
    expect(referrers).toHaveLength(5);
    expect(new Set(own)).toEqual(new Set(["acquired", "trusted"]));
  } finally {
    await older.close();
  }
});

/** Answers as the registry does, except for what its history did not have before. */
async function answerAsOlder({ method = "GET", url = "/", headers }: IncomingMessage, response: ServerResponse): Promise<void> {
  const { authorization = "" } = headers;
  const answer = await fetch(world.registry.url + url, { method, headers: { authorization } });
  const text = await answer.text();
  response.writeHead(
    answer.status,
    Object.fromEntries([...answer.headers].filter(([name]) => /^(?:content-type|docker-|link|oci-)/.test(name))),
  );
  response.end(
    url.endsWith("/history")
      ? JSON.stringify(JSON.parse(text), (name, value: unknown) => (/^(?:summary|approvals)$/.test(name) ? undefined : value))
      : text,
  );
}
