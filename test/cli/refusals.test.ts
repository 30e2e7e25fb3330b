import type { IncomingMessage, RequestListener } from "node:http";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Answering, startAnswering } from "../support/answering.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";

const TOKEN = "service-token-service-token-service-token";

let folder: string;
let registry: Answering | undefined;
let asked: Pick<IncomingMessage, "method" | "url" | "headers">[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "securectl-refusals-"));
  await mkdir(join(folder, "data/credentials"), { recursive: true });
  await writeFile(join(folder, "data/credentials/service-token"), TOKEN, { mode: 0o600 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(async () => {
  await registry?.close();
  registry = undefined;
});

/** Runs a command against something that answers everything so. */
async function against(listener: RequestListener, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  asked = [];
  registry = await startAnswering((request, response) => {
    asked.push({ method: request.method, url: request.url, headers: request.headers });
    listener(request, response);
  });
  return runSecurectl(args, { HOME: folder, REGISTRY_DIR: join(folder, "data"), REGISTRY_URL: registry.url, ...env });
}

function refusing(status: number, body: string): RequestListener {
  return (_, response) => response.writeHead(status).end(body);
}

const COMMANDS: readonly (readonly [string, ...string[]])[] = [
  ["list"],
  ["info", "Phi 3"],
  ["path", "Phi 3"],
  ["verify", "Phi 3"],
  ["verify-manifest", "Phi 3"],
  ["verify-all"],
  ["verify-all", "--detach"],
  ["verify-all", "--cancel"],
  ["acquire", "Phi 3", "phi.gguf"],
  ["revoke", "Phi 3"],
  ["delete", "Phi 3"],
  ["revoke", "Phi 3", "--reason", "bad"],
  ["delete", "Phi 3", "--reason", "bad"],
  ["promote", "Phi 3"],
  ["quarantine", "Phi 3"],
];

const REFUSALS: readonly (readonly [number, string, number])[] = [
  [403, '{"error":"no"}', 4],
  [403, '{"error":"forbidden: invalid service token"}', 3],
  [403, '{"error":"no service token configured — mutating operations disabled (set INSECURE_DEV_MODE=true for development)"}', 3],
  [404, "404 page not found\n", 5],
  [409, '{"error":"in the way"}', 7],
  [409, "in the way\n", 7],
  [413, "request too large\n", 1],
  [422, "promotion requires policy version and scanner evidence\n", 4],
  [500, "failed to save manifest\n", 1],
  [503, "registry unavailable\n", 8],
  [302, "", 1],
];

// What verifies takes a conflict for bytes that are wrong, and a check of all has an answer of its own by 409.
const OWN_CONFLICT = new Set(["verify-manifest", "verify-all"]);
const CASES = COMMANDS.flatMap((args) => REFUSALS.map(([status, body, exit]) => [args, status, body, exit] as const)).filter(
  ([[command], status]) => !(status === 409 && OWN_CONFLICT.has(command)),
);

test.each(CASES)("%j that is refused by %i %s prints nothing as a result and exits with %i", async (args, status, body, exit) => {
  const ran = await against(refusing(status, body), args);
  expect([ran.exit, ran.out]).toEqual([exit, ""]);
  expect(ran.err).toMatch(/^error: /m);
  expect(ran.err).not.toContain(TOKEN);
});

test.each([...COMMANDS, ["status"]])("%j of an answer by 200 that is none prints nothing as a result and fails", async (...args) => {
  for (const body of ["", "<html>hello</html>", '{"error":"by a proxy"}', "null", "{}"]) {
    const ran = await against(refusing(200, body), args);
    // The predecessor said null of a registry without models.
    const isEmptyList = args[0] === "list" && body === "null";
    expect([ran.exit, ran.out]).toEqual(isEmptyList ? [0, "No models in registry.\n"] : [1, ""]);
    await registry?.close();
  }
});

test("a refusal is told in the registry's words, without what a terminal would obey", async () => {
  const ran = await against(refusing(409, '{"error":"already \\u001b[31mdeleted"}'), ["revoke", "x"]);
  expect(ran.err).toContain("error: already \\u{1b}[31mdeleted (HTTP 409)\n");
});

test("the words for what is not trusted are kept apart from those for a refused token", async () => {
  const state = '{"error":"artifact \\"x\\" is in \\"acquired\\" state — only trusted artifacts can be loaded"}';
  expect((await against(refusing(403, state), ["path", "x"])).err).toContain('error: model "x" is not in trusted state\n');
  await registry?.close();
  const ran = await against(refusing(403, '{"error":"forbidden: invalid service token"}'), ["path", "x"]);
  expect([ran.exit, ran.err]).toEqual([3, expect.stringContaining("error: forbidden: invalid service token")]);
});

test("a redirect is not followed", async () => {
  const ran = await against((_, response) => response.writeHead(307, { Location: "/elsewhere" }).end(), ["info", "x"]);
  expect([ran.exit, ran.out, asked.length]).toEqual([1, "", 1]);
  expect(ran.err).toContain("redirect");
});

test("the registry's files are shown to it by what it knows, and nothing is shown on /health", async () => {
  await against(refusing(200, "[]"), ["list"]);
  expect(asked.map(({ method, url, headers }) => [method, url, headers.authorization])).toEqual([["GET", "/v1/models", `Bearer ${TOKEN}`]]);
  await registry?.close();
  await against(refusing(200, '{"status":"ok"}'), ["status"], { SECURECTL_TOKEN: TOKEN });
  expect(asked.map(({ url, headers }) => [url, headers.authorization])).toEqual([["/health", undefined]]);
});

test("a name is sent as a form has it, and a change has an empty body", async () => {
  await against(refusing(200, '{"name":"Phi-3 Mini (Q4)","status":"revoked"}'), ["revoke", "Phi-3 Mini (Q4)"]);
  expect(asked.map(({ method, url, headers }) => [method, url, headers["content-length"]])).toEqual([
    ["POST", "/v1/model/revoke?name=Phi-3+Mini+%28Q4%29", "2"],
  ]);
});

test.each([["list"], ["info", "x"], ["revoke", "x"]])("%j is not sent in plain text to another machine", async (...args) => {
  const env = { HOME: folder, REGISTRY_DIR: join(folder, "data"), REGISTRY_URL: "http://192.0.2.1:8470" };
  const ran = await runSecurectl(args, env);
  expect([ran.exit, ran.out]).toEqual([2, ""]);
  expect(ran.err).toContain("http is for the loopback interface only");
});

test("a list of more than a mebibyte is shown whole", async () => {
  const model = { format: "gguf", sha256: "ab".repeat(32), size_bytes: 1, promoted_at: "2026-11-25T12:00:00Z", state: "trusted" };
  const models = Array.from({ length: 10_000 }, (_, at) => ({ name: `model ${at}`, ...model }));
  const body = JSON.stringify(models);
  expect(body.length).toBeGreaterThan(1024 * 1024);
  const ran = await against(refusing(200, body), ["list"]);
  expect(ran.exit).toBe(0);
  const lines = ran.out.trimEnd().split("\n");
  expect([lines.length, lines.at(-1)]).toEqual([10_001, "model 9999  gguf    trusted  1 B   abababababab  2026-11-25T12:00:00Z"]);
});

test("a health that is not 200 is told as the predecessor did", async () => {
  const ran = await against(refusing(503, '{"status":"draining"}'), ["status"]);
  expect([ran.exit, ran.out]).toEqual([8, ""]);
  expect(ran.err).toBe("error: Registry unhealthy: HTTP 503\n");
});

// Root may read whatever it wants.
test.skipIf(process.getuid?.() === 0)("a token file that this user may not read is warned about, and not needed to look", async () => {
  const file = join(folder, "data/credentials/service-token");
  await chmod(file, 0);
  const ran = await against(refusing(200, "[]"), ["list"]);
  await chmod(file, 0o600);
  expect(ran).toMatchObject({ exit: 0, out: "No models in registry.\n" });
  expect(ran.err).toContain(`${file} may not be read by this user`);
  expect(asked[0]?.headers.authorization).toBeUndefined();
});
