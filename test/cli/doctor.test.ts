import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { type Answering, startAnswering } from "../support/answering.ts";
import { selfSigned } from "../support/certificate.ts";
import { COMPILED } from "../support/compiled.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

// A process takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const WRONG = "amr_0123456789abcdefghijABCDEFGHIJ012345";

let registry: TestRegistry;
let folder: string;
let other: Answering | undefined;
beforeAll(async () => {
  registry = await startTestRegistry();
  folder = await mkdtemp(join(tmpdir(), "securectl-doctor-"));
});
afterAll(async () => {
  await registry.stop();
  await rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  await other?.close();
  other = undefined;
});

function doctor(env: Readonly<Record<string, string>> = {}, args: readonly string[] = []): Promise<Ran> {
  return runSecurectl(["doctor", ...args], { HOME: folder, REGISTRY_URL: registry.url, REGISTRY_DIR: registry.directory, ...env });
}

const documentSchema = z.strictObject({
  healthy: z.boolean(),
  checks: z.array(z.strictObject({ name: z.string(), status: z.enum(["ok", "warn", "fail"]), message: z.string() })),
});

test("on the registry's machine everything is looked at, and each line says how it is", async () => {
  const { exit, out, err } = await doctor();
  const { version } = z.object({ version: z.string() }).parse(await (await registry.fetchAs("operator", "/v1/whoami")).json());
  const lines = out.trimEnd().split("\n");
  const file = (name: string): string => join(registry.directory, "credentials", name);
  expect([exit, err]).toEqual([0, ""]);
  expect(lines.slice(0, 6)).toEqual([
    `ok   server: ${registry.url} is up, version ${version}`,
    "ok   clock: the registry's clock and this machine's agree",
    `ok   credential: ${file("operator")} is of operator: operator everywhere`,
    expect.stringContaining(`ok   credential: ${file("service-token")} is of the service token`),
    `ok   credential: ${file("publisher")} is of publisher: owner in models`,
    `ok   credential: ${file("runtime")} is of runtime: reader everywhere`,
  ]);
  expect(lines.slice(6)).toEqual([
    expect.stringMatching(/^ok {3}content: no damage is known/),
    expect.stringMatching(new RegExp(`^(?:ok {3}|warn )disk: .* of ${registry.directory}$`)),
  ]);
});

test("as JSON it is one document", async () => {
  const { exit, out } = await doctor({}, ["--json"]);
  const { healthy, checks } = documentSchema.parse(JSON.parse(out));
  expect([exit, healthy, checks[0]?.name]).toEqual([0, true, "server"]);
});

test("without a credential it says so, and what programs of this machine may see", async () => {
  const { exit, out } = await doctor({ REGISTRY_DIR: "/nonexistent" });
  expect(exit).toBe(0);
  expect(out).toMatch(/^warn credential: none was found/m);
  expect(out).toMatch(/^ok {3}content: /m);
  expect(out).not.toContain("disk:");
});

test("a credential that is refused fails, and so does one that cannot be read as one", async () => {
  const refused = await doctor({ SECURECTL_TOKEN: WRONG });
  expect(refused.exit).toBe(3);
  expect(refused.out.match(/^FAIL credential: SECURECTL_TOKEN: /gm)).toHaveLength(1);
  expect(refused.out + refused.err).not.toContain(WRONG);
  const file = join(folder, "short");
  await writeFile(file, "short", { mode: 0o600 });
  const unusable = await doctor({}, ["--token-file", file]);
  expect(unusable.exit).toBe(3);
  expect(unusable.out.match(/^FAIL credential: /gm)).toHaveLength(1);
});

test("a registry that is away is told first, and exits as unavailable", async () => {
  const { exit, out } = await doctor({ REGISTRY_URL: "http://127.0.0.1:1" });
  expect(exit).toBe(8);
  expect(out).toMatch(/^FAIL server: the connection to http:\/\/127\.0\.0\.1:1 failed/);
});

/** A registry in this state. */
async function ailing(answers: Readonly<Record<string, unknown>>, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  other = await startAnswering((request, response) => {
    const body = answers[request.url ?? ""] ?? { status: "ok" };
    const status = request.url === "/readyz" && JSON.stringify(body).includes("unavailable") ? 503 : 200;
    response.writeHead(status, headers).end(JSON.stringify(body));
  });
  return other.url;
}

test("a registry that is up but cannot write fails, and one with the clock of another time too", async () => {
  const url = await ailing({ "/readyz": { status: "unavailable" } }, { Date: "Thu, 01 Jan 2026 00:00:00 GMT" });
  const { exit, out } = await doctor({ REGISTRY_URL: url, REGISTRY_DIR: "/nonexistent" });
  expect(exit).toBe(8);
  expect(out).toContain(`FAIL server: ${url} is up, but not ready: unavailable\n`);
  expect(out).toMatch(/^FAIL clock: the registry's clock is \d+ s behind this machine's$/m);
});

test("damaged content fails as an integrity failure, and the development mode is a warning", async () => {
  const url = await ailing({
    "/health": { status: "ok", insecure_dev_mode: true },
    "/v1/stats": { damaged_count: 2 },
    "/v1/models/verify-all": { current: null, last: { status: "failed", checked_at: "2026-11-25T12:00:00Z" } },
  });
  const { exit, out } = await doctor({ REGISTRY_URL: url, REGISTRY_DIR: "/nonexistent" });
  expect(exit).toBe(6);
  expect(out).toMatch(/^warn server: .* in the insecure development mode$/m);
  expect(out).toContain("FAIL content: 2 damaged blobs are out of service (last check of all bytes: failed, 2026-11-25T12:00:00Z)\n");
});

test("by https the end of the certificate is looked at", async () => {
  const pair = selfSigned("127.0.0.1");
  const ca = join(folder, "ca.pem");
  await writeFile(ca, pair.cert);
  const server = createServer({ cert: pair.cert, key: pair.key }, (_, response) => void response.end('{"status":"ok"}')).listen(
    0,
    "127.0.0.1",
  );
  await once(server, "listening");
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const run = (env: Record<string, string>): Promise<string> =>
    new Promise((resolve) => {
      execFile(
        process.execPath,
        [MAIN, "doctor"],
        { env: { HOME: folder, REGISTRY_URL: url, ...COMPILED, ...env }, cwd: folder },
        (_, out) => resolve(out),
      );
    });
  expect(await run({ NODE_EXTRA_CA_CERTS: ca })).toMatch(/^warn certificate: the registry's certificate is good for 0 more days /m);
  expect(await run({})).toMatch(/^FAIL server: .*its certificate is self-signed/);
  server.closeAllConnections();
  server.close();
});
