import { afterAll, beforeAll, expect, test } from "vitest";
import { configRows, loadConfig } from "../../../src/config.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { operationsPage } from "../../../src/ui/operations.ts";
import { keys } from "../../../src/storage/keys.ts";
import { type Browser, faultsOfPage, formsOf } from "../../support/browser.ts";
import { newViewer } from "../../support/viewers.ts";
import { type WholeRegistry, startWholeRegistry } from "../../support/whole-registry.ts";

let registry: WholeRegistry;
let operator: Browser;
let auditor: Browser;
let reader: Browser;
beforeAll(async () => {
  registry = await startWholeRegistry();
  reader = await newViewer(registry, "reader", "reader", "models");
  auditor = await newViewer(registry, "auditor", "auditor", "*");
  operator = await newViewer(registry, "operator", "operator", "*");
});
afterAll(() => registry.close());

function actsIn(text: string): string[] {
  return formsOf(text)
    .map(({ action }) => action)
    .filter((action) => action.startsWith("/ui/operations"));
}

test("operators see health, jobs, versions, quotas and configuration; auditors all but the configuration; others why not", async () => {
  const { text } = await operator.get("/ui/operations");
  expect(faultsOfPage(text)).toEqual([]);
  for (const words of ["It is ready", process.version, "No blob is damaged", "models"]) expect(text).toContain(words);
  expect(text).not.toContain("It is for operators.");
  expect(text).toContain("Room for uploads");
  const shownToAuditors = (await auditor.get("/ui/operations")).text;
  expect(shownToAuditors).toContain("It is for operators.");
  // The disk is the operator's business, as on the start page and at the metrics.
  expect(shownToAuditors).not.toContain("Room for uploads");
  const refused = await reader.get("/ui/operations");
  expect(refused.status).toBe(403);
  expect(refused.text).toContain("for auditors and operators");
});

test("a check of all bytes is started and ended as by the API, and shows how far it is", async () => {
  expect(actsIn((await auditor.get("/ui/operations")).text)).toEqual(["/ui/operations/verify"]);
  expect((await auditor.submit("/ui/operations", "/ui/operations/verify")).status).toBe(303);
  const { text } = await auditor.get("/ui/operations");
  expect(text).toContain('<progress value="0" max="100"');
  expect(text).toContain("administer:system");
  const token = formsOf(text)[0]?.fields["_csrf"] ?? "";
  expect((await auditor.post("/ui/operations/verify/cancel", { _csrf: token })).status).toBe(403);
  for (const path of ["/ui/operations/verify", "/ui/operations/verify/cancel"]) {
    expect((await operator.post(path, {})).status).toBe(403);
    const own = formsOf((await operator.get("/ui/")).text)[0]?.fields["_csrf"] ?? "";
    expect((await operator.post(path, { _csrf: own }, { Origin: "https://evil.example" })).status).toBe(403);
    const foreign = formsOf((await reader.get("/ui/")).text)[0]?.fields["_csrf"] ?? "";
    expect((await reader.post(path, { _csrf: foreign })).status).toBe(403);
  }
  expect((await operator.submit("/ui/operations", "/ui/operations/verify/cancel")).status).toBe(303);
  expect((await operator.get("/ui/operations")).text).toContain("The last check");
});

test("jobs are told by their leases, a collection by how far it has come", async () => {
  const now = registry.services.clock();
  const put = [
    { key: keys.lease("collect-garbage"), value: { v: 1, holder: "somebody", until: now + 30_000, dueAt: now + 60_000 } },
    { key: keys.job("collect-garbage"), value: { v: 1, phase: "files", after: `sha256:8${"0".repeat(63)}`, looked: 1_234 } },
    { key: keys.lease("expire-uploads"), value: { v: 1, holder: null, until: 0, dueAt: now + 60_000 } },
  ];
  await registry.change({ put });
  const { text } = await operator.get("/ui/operations");
  expect(faultsOfPage(text)).toEqual([]);
  expect(text).toContain('<progress value="75" max="100" aria-label="How far collect-garbage is">');
  expect(text).toContain("1,234 blobs looked at");
  expect(text).toContain("rests");
});

test("the configuration is shown by its names, and no setting of it is a secret's content", () => {
  const rows = new Map(configRows(loadConfig({ REGISTRY_DIR: "/var/lib/models", SERVICE_TOKEN_PATH: "/run/secrets/token" })));
  expect(rows.get("dataDirectory")).toBe("/var/lib/models");
  expect(rows.get("serviceTokenPath")).toBe("/run/secrets/token");
  expect(rows.get("tls")).toBe("not set");
  expect(rows.get("times.collectGrace")).toMatch(/^\d+$/);
});

test("the page stays within its bound at its worst", () => {
  const long = `"${"<".repeat(500)}`;
  const name = `n/${"r".repeat(253)}@${digestOf("x")}`;
  const text = operationsPage({
    condition: "unavailable",
    room: 1,
    jobs: Array.from({ length: 14 }, () => ({
      name: "follow-authorities",
      isRunning: true,
      dueAt: "2026-11-26T00:00:00.000Z",
      progress: { part: 0.5, blobs: 1e12 },
    })),
    check: { part: 0.3, blobs: 1e12, total: 1e12, damaged: 1e9 },
    lastCheck: { status: "failed", at: "2026-11-26T00:00:00.000Z", blobs: 1e12, damaged: 1e9, artifactsFailed: 1e9 },
    damaged: Array.from({ length: 5 }, () => ({ blob: digestOf("b"), artifacts: Array.from({ length: 5 }, () => name) })),
    versions: [["ai-model-registry", "0.1.0"]],
    configuration: Array.from({ length: 10 }, (_, at) => [`times.name${at}`, long] as const),
    namespaces: Array.from(
      { length: 20 },
      () => ({ name: "n".repeat(64), owner: "o".repeat(64), bytes: [1e15, null], artifacts: [1e9, 1e9], tags: [1e9, null] }) as const,
    ),
    nextNamespace: "n".repeat(64),
    hindrances: { start: "why", cancel: "why" },
    viewer: { name: "n", token: "t" },
  }).toString();
  expect(text.length).toBeLessThan(46_000);
});
