import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { canonicalJson } from "../../src/oci/canonical-json.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

const INDEX = "application/vnd.oci.image.index.v1+json";
const EVIDENCE = {
  scan_results: { modelscan: "pass", yara: "pass" },
  scanner_versions: { modelscan: "0.8.5", yara: "4.5" },
  policy_version: "2026-03",
  source_revision: "main",
};
const NOTHING = { scan_results: {}, scanner_versions: {}, policy_version: "", source_revision: "" };
const SCAN_CHECKS = ["policy-version", "scan-results", "same-scanners", "scan-results-pass", "scanner-versions"];
const PREDECESSOR = { REGISTRY_PROMOTION_POLICY: "predecessor-evidence" };

const decisionSchema = z.looseObject({
  allowed: z.boolean(),
  policy: z.string(),
  digest: z.string(),
  checks: z.array(z.object({ id: z.string(), status: z.string(), message: z.string(), inputs: z.array(z.string()) })),
});
type Decision = z.infer<typeof decisionSchema>;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

async function post(registry: TestRegistry, path: string, body: unknown = {}): Promise<Answer> {
  const sent = typeof body === "string" ? body : JSON.stringify(body);
  const answer = await registry.fetchAs("operator", `/v1/artifacts/${path}`, { method: "POST", body: sent });
  const text = await answer.text();
  return { status: answer.status, text, json: JSON.parse(text) as Record<string, unknown> };
}

/** Pushes an artifact of its own; how the native API names it. */
async function push(registry: TestRegistry, name: string): Promise<{ readonly ref: string; readonly digest: Digest }> {
  const body = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [], annotations: { name } });
  const headers = { "Content-Type": INDEX };
  const { status } = await registry.fetchAs("publisher", `/v2/models/${name}/manifests/v1`, { method: "PUT", headers, body });
  expect(status).toBe(201);
  return { ref: `models/${name}:v1`, digest: digestOf(body) };
}

async function evaluate(registry: TestRegistry, ref: string, body: unknown = {}): Promise<Decision> {
  const { status, json } = await post(registry, `${ref}/evaluate`, body);
  expect(status).toBe(200);
  return decisionSchema.parse(json);
}

const saidByProto = (result: string): string =>
  `{"policy_version":"p","scan_results":{"__proto__":"${result}"},"scanner_versions":{"__proto__":"1"}}`;
const idsOf = (decision: Decision, status: string): string[] =>
  decision.checks.filter((check) => check.status === status).map(({ id }) => id);

describe("under the policy predecessor-evidence", () => {
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startTestRegistry({ env: PREDECESSOR });
  });
  afterAll(async () => registry.stop());

  test("evaluate shows each check of the evidence, and nothing changes", async () => {
    const { ref } = await push(registry, "shown");
    const refused = await evaluate(registry, ref);
    expect(refused).toMatchObject({ allowed: false, policy: "built-in/predecessor-evidence@1", scan: NOTHING });
    expect(idsOf(refused, "fail")).toEqual(["policy-version", "scan-results"]);
    const allowed = await evaluate(registry, ref, EVIDENCE);
    expect(allowed).toMatchObject({ allowed: true, policy: "built-in/predecessor-evidence@1", scan: EVIDENCE });
    expect(idsOf(allowed, "pass")).toEqual(expect.arrayContaining(SCAN_CHECKS));
    for (const { inputs } of allowed.checks.slice(-5)) expect(inputs).toEqual([digestOf(canonicalJson(EVIDENCE))]);
    const shown = await registry.fetchAs("operator", `/v1/artifacts/${ref}`);
    expect(await shown.json()).toMatchObject({ state: "acquired", decision: null });
  });

  test.each([
    ["nothing is said", {}, ["policy-version", "scan-results"]],
    ["the policy version is missing", { ...EVIDENCE, policy_version: "" }, ["policy-version"]],
    ["a scanner said fail", { ...EVIDENCE, scan_results: { modelscan: "fail", yara: "pass" } }, ["scan-results-pass"]],
    ["a scanner has no version", { ...EVIDENCE, scanner_versions: { yara: "4.5" } }, ["same-scanners", "scanner-versions"]],
    ["a version is of no scanner", { ...EVIDENCE, scan_results: { yara: "pass" } }, ["same-scanners"]],
  ])("promote refuses by 422 with the decision when %s, and the artifact stays hidden", async (why, body, failed) => {
    const { ref, digest } = await push(registry, `refused-${why.replaceAll(" ", "-")}`);
    const { status, json } = await post(registry, `${ref}/promote`, body);
    expect([status, json["code"]]).toEqual([422, "refused"]);
    expect(idsOf(decisionSchema.parse(json["decision"]), "fail")).toEqual(failed);
    expect((await registry.fetchAs("runtime", `/v2/${ref.replace(":v1", "")}/manifests/${digest}`)).status).toBe(404);
  });

  test("promote takes evidence that passes, and the record shows the decision with it", async () => {
    const { ref, digest } = await push(registry, "passed");
    const { status, json } = await post(registry, `${ref}/promote`, EVIDENCE);
    expect(status).toBe(200);
    expect(json).toMatchObject({ state: "trusted", policy: "built-in/predecessor-evidence@1", decision: { scan: EVIDENCE } });
    const { digest: named, ...rest } = decisionSchema.parse(json["decision"]);
    expect(digestOf(canonicalJson(rest))).toBe(named);
    const pulled = await registry.fetchAs("runtime", `/v2/models/passed/manifests/${digest}`);
    await pulled.body?.cancel();
    expect(pulled.status).toBe(200);
  });

  test("promote by an expected decision wants the evidence that it was shown for", async () => {
    const { ref } = await push(registry, "expected");
    const { digest: expected } = await evaluate(registry, ref, EVIDENCE);
    const others = [{}, { ...EVIDENCE, source_revision: "other" }, { ...EVIDENCE, scanner_versions: { modelscan: "0.8.6", yara: "4.5" } }];
    for (const body of others) {
      const { status, json } = await post(registry, `${ref}/promote`, { ...body, expected });
      expect([status, json["code"]]).toEqual([409, "conflict"]);
      expect(decisionSchema.parse(json["decision"]).digest).not.toBe(expected);
    }
    const { json } = await post(registry, `${ref}/promote`, { ...EVIDENCE, expected });
    expect(json).toMatchObject({ state: "trusted", decision: { digest: expected } });
  });

  test("a scanner that is called __proto__ passes and fails like any other", async () => {
    const { ref } = await push(registry, "proto");
    const failed = await post(registry, `${ref}/promote`, saidByProto("fail"));
    expect(failed.status).toBe(422);
    const passed = await post(registry, `${ref}/promote`, saidByProto("pass"));
    expect(passed.status).toBe(200);
    expect(passed.text).toContain('"scan_results":{"__proto__":"pass"}');
    const { digest, ...rest } = decisionSchema.parse(passed.json["decision"]);
    expect(digestOf(canonicalJson(rest))).toBe(digest);
  });

  test("evidence out of its bounds is a 400 that does not repeat it", async () => {
    const { ref } = await push(registry, "bounds");
    for (const action of ["evaluate", "promote"]) {
      const { status, text } = await post(registry, `${ref}/${action}`, { ...EVIDENCE, scan_results: { modelscan: "line\nfeed" } });
      expect(status).toBe(400);
      expect(text).toContain("/scan_results");
      expect(text).not.toContain("feed");
    }
  });
});

describe("under the policy closure", () => {
  let registry: TestRegistry;
  beforeAll(async () => {
    registry = await startTestRegistry();
  });
  afterAll(async () => registry.stop());

  test("evidence is recorded with the decision and not demanded", async () => {
    const silent = await push(registry, "silent");
    const said = await push(registry, "said");
    expect((await post(registry, `${silent.ref}/promote`)).json).toMatchObject({
      state: "trusted",
      policy: "built-in/closure@1",
      decision: { scan: NOTHING },
    });
    const failed = { ...EVIDENCE, scan_results: { modelscan: "fail" } };
    const { json } = await post(registry, `${said.ref}/promote`, failed);
    expect(json).toMatchObject({ state: "trusted", policy: "built-in/closure@1", decision: { scan: failed } });
    const ids = decisionSchema.parse(json["decision"]).checks.map(({ id }) => id);
    expect(ids.filter((id) => SCAN_CHECKS.includes(id))).toEqual([]);
  });

  test("a decision rests on the evidence all the same", async () => {
    const { ref } = await push(registry, "rests");
    const { digest: expected } = await evaluate(registry, ref, EVIDENCE);
    expect((await post(registry, `${ref}/promote`, { expected })).status).toBe(409);
    expect((await post(registry, `${ref}/promote`, { ...EVIDENCE, expected })).status).toBe(200);
  });
});

test("a decision that was shown under one policy does not hold once the operator has turned the other on", async () => {
  const directory = await mkdtemp(join(tmpdir(), "amr-policy-"));
  try {
    const before = await startTestRegistry({ directory });
    const { ref } = await push(before, "turned");
    const { digest: expected } = await evaluate(before, ref, EVIDENCE);
    await before.stop();
    const after = await startTestRegistry({ directory, env: PREDECESSOR });
    const { status, json } = await post(after, `${ref}/promote`, { ...EVIDENCE, expected });
    await after.stop();
    expect(status).toBe(409);
    expect(json).toMatchObject({ decision: { policy: "built-in/predecessor-evidence@1", allowed: true } });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
