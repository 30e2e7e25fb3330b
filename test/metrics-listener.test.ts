import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { METRICS } from "../src/metrics/definitions.ts";
import { digestOf } from "../src/oci/digest.ts";
import { type Program, basicOf, runProgram, urlOf } from "./support/program.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const TOKEN = "metrics-token-of-the-operators-0001";

let directory: string;
const programs: Program[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-metrics-"));
});
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
  await rm(directory, { recursive: true, force: true });
});

function start(env: Readonly<Record<string, string>> = {}): Program {
  const fixed = { BIND_ADDR: "127.0.0.1:0", REGISTRY_METRICS_ADDR: "127.0.0.1:0", REGISTRY_DIR: join(directory, "data"), WORKERS: "2" };
  const program = runProgram({ ...fixed, ...env });
  programs.push(program);
  return program;
}

async function metricsUrl(program: Program): Promise<string> {
  return `http://127.0.0.1:${String((await program.logged("metrics are served"))["port"])}/metrics`;
}

/** The sum of a metric's series whose labels have all of these texts. */
async function valueOf(url: string, name: string, ...labels: readonly string[]): Promise<number> {
  const lines = (await (await fetch(url)).text()).split("\n");
  const wanted = lines.filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return wanted
    .filter((line) => labels.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

async function asked(url: string, headers: Record<string, string> = {}, method = "GET"): Promise<number> {
  return (await fetch(url, { headers, method })).status;
}

async function push(url: string, repository: string, content: string): Promise<number> {
  const headers = await basicOf(join(directory, "data"), "publisher");
  const upload = `${url}/v2/${repository}/blobs/uploads/?digest=${digestOf(content)}`;
  return (await fetch(upload, { method: "POST", headers, body: content })).status;
}

describe("the metrics listener", () => {
  test("sums what all workers counted, by patterns of paths and never by names", async () => {
    const program = start();
    const url = await urlOf(program);
    const metrics = await metricsUrl(program);
    for (let n = 0; n < 6; n += 1) expect(await push(url, "models/secret-name", `content ${n}`)).toBe(201);
    await fetch(`${url}/v2/models/secret-name/blobs/${digestOf("content 0")}`, {
      headers: await basicOf(join(directory, "data"), "publisher"),
    });
    await fetch(`${url}/v2/`, { headers: { authorization: "Bearer amr_wrong" } });
    expect(await valueOf(metrics, "oci_uploads_total", 'result="finished"')).toBe(6);
    expect(await valueOf(metrics, "oci_upload_bytes_total")).toBe(6 * "content 0".length);
    expect(await valueOf(metrics, "oci_blob_bytes_served_total")).toBe("content 0".length);
    const labels = ['http_request_method="POST"', 'http_route="/v2/:name/blobs/uploads/"', 'http_response_status_code="201"'];
    expect(await valueOf(metrics, "http_server_request_duration_seconds_count", ...labels)).toBe(6);
    expect(await valueOf(metrics, "registry_auth_attempts_total", 'method="bearer"', 'outcome="refused"')).toBe(1);
    expect(await valueOf(metrics, "registry_audit_events_total", 'type="blob.push"')).toBe(6);
    expect(await valueOf(metrics, "registry_artifacts", 'state="trusted"')).toBe(0);
    expect(await valueOf(metrics, "oci_storage_bytes")).toBeGreaterThan(0);
    expect(await valueOf(metrics, "registry_workers")).toBe(2);
    expect(await valueOf(metrics, "http_server_active_requests")).toBe(0);
    expect(await (await fetch(metrics)).text()).not.toContain("secret-name");
    expect(await program.stop()).toBe(0);
  });

  test("names every metric from the start, counts transitions by the states that they lead between, and refusals by what they asked for", async () => {
    const program = start({ WORKERS: "1", REGISTRY_PROMOTION_POLICY: "predecessor-evidence" });
    const url = await urlOf(program);
    const metrics = await metricsUrl(program);
    const first = await (await fetch(metrics)).text();
    for (const name of Object.keys(METRICS)) expect(first).toContain(`# TYPE ${name} `);
    expect(first).toContain("\nregistry_integrity_failures_total 0\n");
    const mediaType = "application/vnd.oci.image.index.v1+json";
    const [publisher, operator] = [await basicOf(join(directory, "data"), "publisher"), await basicOf(join(directory, "data"), "operator")];
    const pushIndex = async (): Promise<number> =>
      (
        await fetch(`${url}/v2/models/a/manifests/v1`, {
          method: "PUT",
          headers: { ...publisher, "content-type": mediaType },
          body: JSON.stringify({ schemaVersion: 2, mediaType, manifests: [] }),
        })
      ).status;
    const act = async (verb: string, body: object = {}): Promise<number> =>
      (await fetch(`${url}/v1/artifacts/models/a:v1/${verb}`, { method: "POST", headers: operator, body: JSON.stringify(body) })).status;
    expect([await pushIndex(), await pushIndex(), await act("quarantine"), await act("promote")]).toEqual([201, 201, 200, 422]);
    const evidence = { policy_version: "1", scan_results: { a: "pass" }, scanner_versions: { a: "1" } };
    expect([await act("promote", evidence), await act("revoke")]).toEqual([200, 200]);
    const counted = (...labels: readonly string[]): Promise<number> => valueOf(metrics, "registry_transitions_total", ...labels);
    expect(await counted('from="none"', 'to="acquired"', 'outcome="allow"')).toBe(1);
    expect(await counted('from="acquired"', 'to="quarantined"')).toBe(1);
    expect(await counted('from="quarantined"', 'to="trusted"', 'outcome="deny"')).toBe(1);
    expect(await counted('from="quarantined"', 'to="trusted"', 'outcome="allow"')).toBe(1);
    expect(await counted('from="trusted"', 'to="revoked"')).toBe(1);
    expect(await counted()).toBe(5);
  });

  test("forgets nothing that a worker counted before it crashed, as far as it was asked", async () => {
    const program = start({ WORKERS: "1" });
    const url = await urlOf(program);
    const metrics = await metricsUrl(program);
    await push(url, "models/a", "before");
    expect(await valueOf(metrics, "oci_uploads_total")).toBe(1);
    process.kill(Number((await program.logged("worker serves"))["worker"]), "SIGKILL");
    await program.logged("worker serves", 2);
    await push(url, "models/a", "after");
    expect(await valueOf(metrics, "oci_uploads_total")).toBe(2);
  });

  test("asks for its token where it has one, and answers nothing but metrics", async () => {
    await writeFile(join(directory, "token"), `${TOKEN}\n`, { mode: 0o600 });
    const program = start({ WORKERS: "1", REGISTRY_METRICS_TOKEN_PATH: join(directory, "token") });
    const metrics = await metricsUrl(program);
    await urlOf(program);
    expect(await asked(metrics)).toBe(401);
    expect(await asked(metrics, { authorization: "Bearer wrong" })).toBe(401);
    expect(await asked(metrics, { authorization: `Bearer ${TOKEN}` })).toBe(200);
    expect(await asked(metrics, { authorization: `Bearer ${TOKEN}` }, "POST")).toBe(405);
    expect(await asked(metrics.replace("/metrics", "/v2/"))).toBe(404);
    expect(program.out()).not.toContain(TOKEN);
  });

  test.each([
    ["without its token file", { REGISTRY_METRICS_TOKEN_PATH: "/nowhere/token" }, /REGISTRY_METRICS_TOKEN_PATH/],
    ["off loopback without a token", { REGISTRY_METRICS_ADDR: "0.0.0.0:0" }, /REGISTRY_METRICS_ADDR/],
  ])("is no reason to start %s", async (_, env, words) => {
    const program = start({ WORKERS: "1", ...env });
    expect(await program.ended).toBe(1);
    expect(program.err()).toMatch(words);
  });

  test("on a port in use is told, and nothing serves", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const program = start({ WORKERS: "1", REGISTRY_METRICS_ADDR: `127.0.0.1:${typeof address === "object" ? address?.port : ""}` });
    expect(await program.ended).toBe(1);
    expect(program.err()).toMatch(/REGISTRY_METRICS_ADDR.*EADDRINUSE/);
    other.close();
  });
});
