import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { publicKeyList } from "../../src/api/keys.ts";
import { type Program, basicOf, runProgram, urlOf } from "../support/program.ts";
import { verified } from "../support/signed-statements.ts";

// The program starts several times.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const INDEX = "application/vnd.oci.image.index.v1+json";
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

let folder: string;
let program: Program | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-signing-"));
  await writeFile(at("private.pem"), privateKey.export({ type: "pkcs8", format: "pem" }));
  await writeFile(at("public.pem"), publicKey.export({ type: "spki", format: "pem" }));
  const text = `#!${process.execPath}
const { sign } = require("node:crypto");
const { existsSync, readFileSync } = require("node:fs");
const input = readFileSync(0);
if (existsSync(${JSON.stringify(at("out-of-order"))})) process.exit(1);
process.stdout.write(sign("sha256", input, readFileSync(${JSON.stringify(at("private.pem"))})));
`;
  await writeFile(at("sign"), text, { mode: 0o755 });
});
afterEach(async () => {
  await program?.stop();
  await rm(folder, { recursive: true, force: true });
});

const at = (name: string): string => join(folder, name);
const PLAIN = (): Record<string, string> => ({ BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: at("data"), WORKERS: "2" });
const COMMAND = (): Record<string, string> => ({
  ...PLAIN(),
  REGISTRY_SIGN_COMMAND: at("sign"),
  REGISTRY_SIGN_PUBLIC_KEY: at("public.pem"),
});

async function start(env: Readonly<Record<string, string>>): Promise<string> {
  program = runProgram(env);
  return urlOf(program);
}

async function push(url: string, tag: string): Promise<void> {
  const body = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [], annotations: { tag } });
  const headers = { ...(await basicOf(at("data"), "publisher")), "Content-Type": INDEX };
  expect((await fetch(`${url}/v2/models/m/manifests/${tag}`, { method: "PUT", headers, body })).status).toBe(201);
}

async function promote(url: string, tag: string): Promise<Response> {
  const headers = { ...(await basicOf(at("data"), "operator")), "Content-Type": "application/json" };
  return fetch(`${url}/v1/artifacts/models/m:${tag}/promote`, { method: "POST", headers, body: "{}" });
}

async function stateOf(url: string, tag: string): Promise<unknown> {
  const answer = await fetch(`${url}/v1/artifacts/models/m:${tag}`, { headers: await basicOf(at("data"), "publisher") });
  return ((await answer.json()) as Record<string, unknown>)["state"];
}

async function keysOf(url: string): Promise<ReturnType<typeof publicKeyList.parse>["keys"]> {
  const { keys } = publicKeyList.parse(await (await fetch(`${url}/v1/keys`)).json());
  return keys.filter(({ purpose }) => purpose === "attestation");
}

test("a transition is refused with 503 while the signing command fails, changes nothing, and goes through afterwards", async () => {
  const url = await start(COMMAND());
  for (const tag of ["one", "two"]) await push(url, tag);
  expect((await promote(url, "one")).status).toBe(200);
  await writeFile(at("out-of-order"), "");
  const refused = await promote(url, "two");
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
  expect(await refused.json()).toMatchObject({ code: "unavailable", detail: expect.stringContaining("cannot sign") as string });
  expect(await stateOf(url, "two")).toBe("acquired");
  // What needs no statement goes on.
  await push(url, "three");
  await rm(at("out-of-order"));
  expect((await promote(url, "two")).status).toBe(200);
  expect(await stateOf(url, "two")).toBe("trusted");
});

test("a registry changes over to the key of a command, which its own key names, and back", async () => {
  const own = await keysOf(await start(PLAIN()));
  await program?.stop();
  const both = await keysOf(await start(COMMAND()));
  expect(both).toHaveLength(2);
  expect(both[1]?.pem).toBe(publicKey.export({ type: "spki", format: "pem" }));
  const known = own.map(({ id, pem }) => ({ id, pem, validFrom: 0, validUntil: null }));
  expect(verified(both[1]?.statement, known).statement.predicate["signedBy"]).toBe(own[0]?.id);
  const headers = { ...(await basicOf(at("data"), "operator")), "Content-Type": "application/json" };
  const url = await urlOf(program as Program);
  expect((await fetch(`${url}/v1/keys/rotate`, { method: "POST", headers, body: "{}" })).status).toBe(409);
  await program?.stop();
  // Without the command nobody can sign for its key any more: the next one stands alone.
  const again = await keysOf(await start(PLAIN()));
  expect(again).toHaveLength(3);
  expect(again[2]?.id).not.toBe(own[0]?.id);
});

test.each([
  ["does not work", async () => writeFile(at("out-of-order"), ""), "the signing command ended with 1"],
  ["has a public key of another kind", async () => writeFile(at("public.pem"), "nonsense"), "ECDSA public key on P-256"],
  ["has no public key", async () => rm(at("public.pem")), "must hold the public key"],
])("a registry whose signing command %s does not start, and says why", async (_, spoil, reason) => {
  await spoil();
  const refused = runProgram(COMMAND());
  expect(await refused.ended).toBe(1);
  expect(refused.err()).toContain(reason);
  expect(refused.err()).not.toMatch(/^ +at /m);
});
