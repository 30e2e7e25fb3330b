import { afterEach, beforeEach, expect, test } from "vitest";
import { takeStock } from "../../src/jobs/take-stock.ts";
import { MetricSet, type Snapshot } from "../../src/metrics/metric-set.ts";
import { measure } from "../../src/registry/measure.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const HERE = repository("models/here");
const HOUR = 3_600_000;

let registry: TestRegistry;
let at: Transitions;
beforeEach(async () => {
  registry = await startTestRegistry();
  at = Transitions.over(registry.directory, registry.services);
});
afterEach(async () => {
  await registry.stop();
});

/** What is shown an hour later, or more. */
async function measured(hours = 1): Promise<Snapshot> {
  const services = { ...registry.services, clock: () => registry.services.clock() + hours * HOUR };
  await takeStock(services);
  const metrics = new MetricSet();
  await measure(services, metrics);
  return metrics.snapshot();
}

async function push(content: string, over: object = {}): Promise<ReturnType<typeof digestIn>> {
  for (const blob of ["{}", content]) await at.blob(publisher, HERE, blob);
  const manifest = imageOf([content], over);
  await at.manifest(publisher, HERE, manifest);
  return digestIn(manifest);
}

const valueOf = (snapshot: Snapshot, name: string, ...labels: string[]): number | undefined =>
  snapshot[name]?.find((series) => series.labels.join() === labels.join())?.value;

test("the oldest artifact that waits for a decision is told by its age, and what is decided or only evidence does not wait", async () => {
  expect(valueOf(await measured(), "registry_review_queue_age_seconds")).toBe(0);
  const model = await push("weights");
  await push("signature", { subject: { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: model, size: 1 } });
  const age = valueOf(await measured(), "registry_review_queue_age_seconds") ?? 0;
  expect(age).toBeGreaterThanOrEqual(3600);
  expect(age).toBeLessThan(7200);
  await at.promote(operator, HERE, model);
  expect(valueOf(await measured(), "registry_review_queue_age_seconds")).toBe(0);
});

async function create(name: string, left: number): Promise<void> {
  const body = { name, role: "reader", namespace: "models", expires_in: left / 1000 };
  const headers = { "content-type": "application/json" };
  const answer = await registry.fetchAs("operator", "/v1/credentials", { method: "POST", headers, body: JSON.stringify(body) });
  expect([answer.status, answer.ok ? "" : await answer.text()]).toEqual([201, ""]);
  await answer.body?.cancel();
}

async function counts(hours: number): Promise<readonly (number | undefined)[]> {
  const snapshot = await measured(hours);
  return ["1d", "7d", "30d"].map((window) => valueOf(snapshot, "registry_credentials_expiring", "api-key", window));
}

test("keys that end soon are counted by how soon, those that have ended or never end are not", async () => {
  const days = 24 * HOUR;
  await create("soon", 5 * days);
  await create("later", 20 * days);
  expect(await counts(0)).toEqual([0, 1, 2]);
  expect(await counts(4.5 * 24)).toEqual([1, 1, 2]);
  expect(await counts(6 * 24)).toEqual([0, 0, 1]);
});

test("uploads under way and repositories are counted", async () => {
  await push("weights");
  const begun = await registry.fetchAs("publisher", `/v2/${HERE}/blobs/uploads/`, { method: "POST" });
  expect(begun.status).toBe(202);
  const snapshot = await measured();
  expect([valueOf(snapshot, "oci_upload_sessions"), valueOf(snapshot, "oci_repositories")]).toEqual([1, 1]);
});

test("the checks of a promotion and denials are counted by what they were, without a name of what is kept", async () => {
  const model = await push("weights");
  await at.promote(operator, HERE, model);
  const hidden = await push("hidden");
  for (const [who, path, status] of [
    ["runtime", `/v2/${HERE}/manifests/${hidden}`, 404],
    ["publisher", "/v1/audit?limit=1", 403],
    ["amr_unknown0unknown0unknown0unknown0unkn", `/v2/${HERE}/manifests/${model}`, 401],
  ] as const) {
    const answer = await registry.fetchAs(who, path);
    await answer.body?.cancel();
    expect(answer.status).toBe(status);
  }
  const snapshot = registry.services.metrics.snapshot();
  expect(valueOf(snapshot, "registry_policy_checks_total", "closure-complete", "pass")).toBe(1);
  expect(valueOf(snapshot, "registry_authz_denials_total", "pull", "hidden")).toBe(1);
  expect(valueOf(snapshot, "registry_authz_denials_total", "audit", "permission")).toBe(1);
  expect(valueOf(snapshot, "registry_authz_denials_total", "login", "unknown")).toBe(1);
});
