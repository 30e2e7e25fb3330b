import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { replayPage } from "../../src/api/policy-replay.ts";
import { replayPolicy } from "../../src/registry/replay-policy.ts";
import type { DoorServices } from "../../src/http/doors.ts";
import { callerWith } from "../support/callers.ts";
import { type Artifact, CI, PolicyRegistry, type Who, policyOf } from "../support/policy-registry.ts";
import { statementOf } from "../support/private-sigstore.ts";
import { allRows } from "../support/rows.ts";
import { imageOf, nested } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** Reads of the metadata, by what they ask for. */
const read: string[] = [];
let world: PolicyRegistry;
beforeAll(async () => {
  world = await PolicyRegistry.start({ around: counting });
});
afterAll(() => world.registry.stop());

function counting(services: DoorServices): DoorServices {
  const { metadata } = services;
  return {
    ...services,
    metadata: {
      get: (key) => {
        read.push(JSON.stringify(key));
        return metadata.get(key);
      },
      list: (range) => {
        read.push(JSON.stringify(range.start));
        return metadata.list(range);
      },
      commit: (change) => metadata.commit(change),
      close: () => metadata.close(),
    },
  };
}

type Page = z.infer<typeof replayPage>;

async function replay(name: string, body: object = {}, who: Who = "operator"): Promise<Page> {
  const { status, json, text } = await world.send(who, `POST /v1/policies/${name}/replay`, JSON.stringify(body));
  if (status !== 200) throw new Error(`${status} ${text}`);
  return replayPage.parse(json);
}

/** All pages, and how many there were. */
async function replayAll(name: string, body: object): Promise<Page & { readonly pages: number }> {
  const artifacts: Page["artifacts"] = [];
  const examined = { trusted: 0, others: 0 };
  let [pages, cursor]: [number, string | undefined] = [0, undefined];
  for (;;) {
    const page: Page = await replay(name, { ...body, cursor });
    pages += 1;
    artifacts.push(...page.artifacts);
    examined.trusted += page.examined.trusted;
    examined.others += page.examined.others;
    if (page.next === null) return { ...page, artifacts, examined, pages };
    cursor = page.next;
  }
}

async function sign(artifact: Artifact): Promise<string> {
  return world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
}

async function promoted(repository: string, body: object = {}): Promise<Artifact> {
  const artifact = await world.push(repository);
  expect(await world.act(artifact, "promote", body)).toMatchObject({ status: 200 });
  return artifact;
}

const signedText = (name: string, repositories: string): string => JSON.stringify(world.signedPolicy(name, repositories));

const scanned = (...scanners: readonly string[]): string =>
  JSON.stringify(policyOf("two", "models/two/*", { require: [{ name: "scan", evidence: { kind: "scan-results", scanners } }] }));

describe("a replay", () => {
  test("tells which trusted artifacts would fail and why, and which others would pass, refused before or not", async () => {
    await world.putPolicy(world.scannedPolicy("one", "models/one/**"));
    const [refused, fresh] = [await world.push("models/one/refused"), await world.push("models/one/fresh")];
    const refusal = await world.act(refused, "promote");
    expect(refusal.status).toBe(422);
    await world.push("models/one/unsigned");
    await world.send("operator", "DELETE /v1/policies/one");
    const bare = await promoted("models/one/bare");
    const good = await world.push("models/one/good");
    for (const artifact of [refused, fresh, good]) await sign(artifact);
    expect(await world.act(good, "promote")).toMatchObject({ status: 200 });
    await world.attach(bare, await world.sigstore.keyless("https://git.corp.example/other", statementOf(bare.digest)));

    const { artifacts, examined, policy, next } = await replay("one", { policy: signedText("one", "models/one/**") });
    expect({ policy, next }).toMatchObject({ policy: { name: "one", version: 2 }, next: null });
    // The signatures are artifacts, too, and signed by nobody.
    expect(examined).toEqual({ trusted: 2, others: 3 + 4 });
    expect(artifacts).toEqual([
      {
        repository: bare.repository,
        digest: bare.digest,
        state: "trusted",
        outcome: "would-fail",
        failed: [
          { id: "policy/one/publisher", message: expect.stringContaining("0 of 1 signers") as string, codes: ["identity-mismatch"] },
        ],
        failed_more: 0,
        refused: null,
      },
      { ...passing(fresh), refused: null },
      { ...passing(refused), refused: { decision: refusal.decision.digest, at: expect.any(String) as string } },
    ]);
    for (const { repository, digest, failed } of artifacts) {
      const artifact = { repository, ref: `${repository}@${digest}`, digest, size: 0, mediaType: "" };
      const { decision } = await world.act(artifact, "evaluate", { policy: signedText("one", "models/one/**") });
      const fails = decision.checks.filter(({ status }) => status === "fail");
      expect(failed.map(({ id, message }) => ({ id, message }))).toEqual(fails.map(({ id, message }) => ({ id, message })));
    }
  });

  test("decides on the scan results of the last decision, and asks what the other policies in force ask", async () => {
    const scans = { scan_results: { yara: "pass" }, scanner_versions: { yara: "4" }, policy_version: "1", source_revision: "main" };
    await promoted("models/two/scanned", scans);
    const unscanned = await promoted("models/two/unscanned");
    expect((await replay("two", { policy: scanned() })).artifacts).toMatchObject([{ digest: unscanned.digest, outcome: "would-fail" }]);
    expect((await replay("two", { policy: scanned("yara") })).artifacts).toHaveLength(1);
    expect((await replay("two", { policy: scanned("clamav") })).artifacts).toHaveLength(2);
    await world.push("models/two/new");
    const lax = JSON.stringify(
      policyOf("two", "models/two/*", { mode: "warn", require: [{ name: "scan", evidence: { kind: "scan-results" } }] }),
    );
    expect((await replay("two", { policy: lax })).artifacts).toMatchObject([{ repository: "models/two/new", outcome: "would-pass" }]);
    await world.putPolicy(world.signedPolicy("two-signed", "models/two/new"));
    expect((await replay("two", { policy: lax })).artifacts).toEqual([]);
    await world.send("operator", "DELETE /v1/policies/two-signed");
  });

  test("of a name is one of the policy in force, or of a version of it", async () => {
    const artifact = await promoted("models/three");
    await world.putPolicy(world.signedPolicy("three", "models/three"));
    await world.putPolicy(
      policyOf("three", "models/three", { mode: "warn", require: [{ name: "people", evidence: { kind: "approvals", minimum: 1 } }] }),
    );
    expect(await replay("three")).toMatchObject({ policy: { version: 2 }, artifacts: [] });
    expect(await replay("three", { version: 1 })).toMatchObject({ policy: { version: 1 }, artifacts: [{ digest: artifact.digest }] });
    expect(await world.send("operator", "POST /v1/policies/three/replay", '{"version":3}')).toMatchObject({ status: 404 });
    const other = JSON.stringify({ policy: signedText("another", "models/three") });
    expect(await world.send("operator", "POST /v1/policies/three/replay", other)).toMatchObject({ status: 400 });
    await world.send("operator", "DELETE /v1/policies/three");
  });

  test("goes through all pages and each artifact once, leaves one event behind and changes nothing else", async () => {
    const names = ["a", "b", "b/c", "d"].map((name) => `models/pages/${name}`);
    for (const name of names) await promoted(name);
    const before = await allRows(world.registry.services.metadata);
    const body = { policy: signedText("pages", "models/pages/**"), limit: 1 };
    const { artifacts, examined, pages } = await replayAll("pages", body);
    expect(artifacts.map(({ repository }) => repository)).toEqual(names);
    expect({ examined, pages: pages >= 4 }).toEqual({ examined: { trusted: 4, others: 0 }, pages: true });
    const after = await allRows(world.registry.services.metadata);
    const differing = [...after].filter(([key, value]) => before.get(key) !== value).map(([key]) => JSON.parse(key) as [string]);
    expect(differing.map(([family]) => family).toSorted()).toEqual(["audit", "audit-head"]);
    expect([...before.keys()].filter((key) => !after.has(key))).toEqual([]);
    const { json } = await world.send("operator", "GET /v1/audit?type=policy.replay&limit=1000");
    const { events } = z.object({ events: z.array(z.looseObject({})) }).parse(json);
    const told = { type: "policy.replay", target: { kind: "policy", name: "pages" }, after: { version: 1, repositories: "**" } };
    expect(events.at(-1)).toMatchObject(told);
  });

  test("takes up where a page ended for whoever had that page, of the same policy and repositories", async () => {
    for (const name of ["a", "b"]) await promoted(`models/cursor/${name}`);
    const policy = signedText("cursor", "models/cursor/*");
    const { next } = await replay("cursor", { policy, limit: 1 });
    const refused = async (body: object, who: Who = "operator"): Promise<number> =>
      (await world.send(who, "POST /v1/policies/cursor/replay", JSON.stringify({ policy, cursor: next, ...body }))).status;
    expect(await refused({ policy: signedText("cursor", "models/cursor/**") })).toBe(400);
    expect(await refused({ repository: "models/**" })).toBe(400);
    expect(await refused({ cursor: `${next ?? ""}x` })).toBe(400);
    expect(await refused({ cursor: "models/cursor/a" })).toBe(400);
    const { key } = z
      .object({ key: z.string() })
      .parse((await world.send("operator", "POST /v1/credentials", '{"name":"second","role":"operator","namespace":"*"}')).json);
    expect(await refused({}, key as `amr_${string}`)).toBe(400);
    expect((await replay("cursor", { policy, cursor: next })).artifacts).toMatchObject([{ repository: "models/cursor/b" }]);
  });

  test("goes on behind what is nested deeper than any artifact may be", async () => {
    await world.pushAll("models/deep/a", nested(imageOf([]), 9));
    const last = await promoted("models/deep/b");
    const { artifacts, examined } = await replayAll("deep", { policy: signedText("deep", "models/deep/*") });
    expect(artifacts).toMatchObject([{ repository: last.repository, outcome: "would-fail" }]);
    expect(examined).toEqual({ trusted: 1, others: 10 });
  });

  test("looks at the repositories alone that are asked for, and reads of no artifact elsewhere", async () => {
    for (const name of ["models/some/x/a", "models/some/y/a", "models/elsewhere"]) await promoted(name);
    const policy = signedText("some", "models/some/*/a");
    expect((await replay("some", { policy, repository: "**/y/*" })).artifacts).toMatchObject([{ repository: "models/some/y/a" }]);
    expect((await replay("some", { policy, repository: "models/some/x/a" })).artifacts).toMatchObject([{ repository: "models/some/x/a" }]);
    expect(await replay("some", { policy, repository: "others/**" })).toMatchObject({ examined: { trusted: 0 }, artifacts: [] });
    read.length = 0;
    expect((await replay("some", { policy })).artifacts).toHaveLength(2);
    expect(read.filter((key) => key.includes("models/elsewhere") || key.includes("models/pages"))).toEqual([]);
  });

  test("costs the same for an artifact, however many others there are", async () => {
    await promoted("models/cost/a");
    const body = { policy: signedText("cost", "models/cost/a") };
    const cost = async (): Promise<number> => {
      read.length = 0;
      expect((await replay("cost", body)).artifacts).toHaveLength(1);
      return read.length;
    };
    const few = await cost();
    for (let more = 0; more < 40; more += 1) await world.push(`models/cost/b${more}`);
    expect(await cost()).toBe(few);
  });

  test("ends a page when nobody waits for it any more, or when it takes long, and comes further by each", async () => {
    const names = ["a", "b", "c"].map((name) => `models/slow/${name}`);
    for (const name of names) await promoted(name);
    const { services } = world.registry;
    const asked = { name: "slow", document: signedText("slow", "models/slow/*"), version: undefined, repositories: undefined, limit: 100 };
    let hours = 0;
    const slow = { ...services, clock: () => Date.now() + (hours += 1) * 3_600_000 };
    for (const [needs, signal] of [
      [services, AbortSignal.abort()],
      [slow, new AbortController().signal],
    ] as const) {
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await replayPolicy(needs, callerWith(["operator@*"]), { ...asked, cursor, signal });
        expect(page.examined.trusted).toBeLessThanOrEqual(1);
        seen.push(...page.artifacts.map(({ repository }) => repository));
        cursor = page.next ?? undefined;
      } while (cursor !== undefined);
      expect(seen).toEqual(names);
    }
  });

  test("is for those who administer policies", async () => {
    for (const who of ["publisher", "runtime", "serviceToken"] as const) {
      expect(await world.send(who, "POST /v1/policies/one/replay", "{}")).toMatchObject({ status: 403 });
    }
    const { json } = await world.send("operator", "POST /v1/credentials", '{"name":"anna","role":"auditor","namespace":"*"}');
    const { key } = z.object({ key: z.string() }).parse(json);
    expect(await world.send(key as `amr_${string}`, "POST /v1/policies/one/replay", "{}")).toMatchObject({ status: 403 });
    expect(await world.send("nobody", "POST /v1/policies/one/replay", "{}")).toMatchObject({ status: 401 });
  });
});

function passing({ repository, digest }: Artifact): object {
  return { repository, digest, state: "acquired", outcome: "would-pass", failed: [], failed_more: 0 };
}

test("a refusal is forgotten when the artifact becomes trusted, and says nothing of one that was pushed anew", async () => {
  await world.putPolicy(world.scannedPolicy("anew", "models/anew"));
  const artifact = await world.push("models/anew");
  expect(await world.act(artifact, "promote")).toMatchObject({ status: 422 });
  const lax = JSON.stringify(
    policyOf("anew", "models/anew", { mode: "warn", require: [{ name: "p", evidence: { kind: "approvals", minimum: 1 } }] }),
  );
  expect((await replay("anew", { policy: lax })).artifacts).toMatchObject([{ refused: { at: expect.any(String) as string } }]);
  const at = `/v1/artifacts/${artifact.repository}@${artifact.digest}`;
  expect(await world.send("operator", `DELETE ${at}`)).toMatchObject({ status: 200 });
  await world.push("models/anew");
  expect((await replay("anew", { policy: lax })).artifacts).toMatchObject([{ refused: null }]);
  await world.send("operator", "DELETE /v1/policies/anew");
  expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
  await world.send("operator", `POST ${at}/revoke`, '{"reason":"x"}');
  expect(await replay("anew", { policy: lax })).toMatchObject({ examined: { trusted: 0, others: 0 }, artifacts: [] });
});
