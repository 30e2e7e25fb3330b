import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Subject, doMainJob } from "./main-job-story.ts";
import { type Ran, run } from "./run-program.ts";

/** Settings under which everything that a server does by itself happens while the scenario runs. */
export const BUSY: Readonly<Record<string, string>> = {
  REGISTRY_GC_INTERVAL: "2s",
  REGISTRY_GC_GRACE: "60s",
  REGISTRY_UPLOAD_EXPIRY: "10s",
  REGISTRY_VERIFY_INTERVAL: "5s",
  REGISTRY_WORKER_TIMEOUT: "30s",
};

const REPOSITORY = "models/scenario";
const MEGABYTE = 1024 * 1024;
const POLL_MS = 50;
const TRIES = 100;

function must(held: boolean, complaint: string): asserts held {
  if (!held) throw new Error(complaint);
}

async function securectl(subject: Subject, who: string, ...args: readonly string[]): Promise<Ran> {
  const env = { REGISTRY_URL: subject.url, SECURECTL_TOKEN: await subject.key(who) };
  return run(process.execPath, ["src/cli/main.ts", ...args], { env });
}

async function mustSucceed(ran: Promise<Ran>): Promise<string> {
  const { code, out, err } = await ran;
  must(code === 0, `exit code ${code}\n${out}${err}`);
  return out;
}

async function ask(subject: Subject, path: string, init: RequestInit & { readonly as?: string } = {}): Promise<Response> {
  const { as = "publisher", ...rest } = init;
  const headers = new Headers(rest.headers);
  headers.set("authorization", `Basic ${Buffer.from(`${as}:${await subject.key(as)}`).toString("base64")}`);
  return fetch(new URL(path, subject.url), { ...rest, headers, redirect: "manual" });
}

function expectStatus(answer: Response, status: number): Response {
  must(answer.status === status, `${answer.url} answered ${answer.status} instead of ${status}`);
  return answer;
}

const digestOf = (algorithm: "sha256" | "sha512", bytes: Uint8Array): string =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;

/** A safetensors file with one small tensor, and random metadata so that it is unlike any before. */
function safetensors(): Buffer {
  const header = Buffer.from(
    JSON.stringify({ __metadata__: { run: randomBytes(8).toString("hex") }, w: { dtype: "F32", shape: [4], data_offsets: [0, 16] } }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, randomBytes(16)]);
}

/** Files of the data directory are taken in, promoted, found, verified, revoked and deleted by the predecessor's doors. */
async function useModels(subject: Subject): Promise<void> {
  const [name, file] = ["Scenario model", "scenario.safetensors"];
  await writeFile(join(subject.dataDirectory, file), safetensors());
  await chmod(join(subject.dataDirectory, file), 0o644);
  await mustSucceed(securectl(subject, "service-token", "acquire", name, file));
  await mustSucceed(securectl(subject, "service-token", "promote", name, "--reason", "scenario"));
  for (const command of ["path", "info", "verify", "verify-manifest"])
    await mustSucceed(securectl(subject, "service-token", command, name));
  await mustSucceed(securectl(subject, "operator", "verify-all"));
  await mustSucceed(securectl(subject, "service-token", "revoke", name, "--reason", "scenario", "--yes"));
  await mustSucceed(securectl(subject, "operator", "delete", name, "--reason", "scenario", "--yes"));
}

/** An upload that its client leaves in the middle of a chunk is gone on with from where the server has it. */
async function useUploads(subject: Subject): Promise<void> {
  const bytes = randomBytes(3 * MEGABYTE);
  const begun = expectStatus(await ask(subject, `/v2/${REPOSITORY}/blobs/uploads/`, { method: "POST" }), 202);
  const location = begun.headers.get("location") ?? "";
  const digest = digestOf("sha512", bytes);
  await sendHalf(subject, location, bytes.subarray(0, 2 * MEGABYTE));
  await finish(subject, { location, bytes, digest });
  const mount = `/v2/models/scenario-2/blobs/uploads/?mount=${digest}&from=${REPOSITORY}`;
  expectStatus(await ask(subject, mount, { method: "POST" }), 201);
  const part = expectStatus(await ask(subject, `/v2/${REPOSITORY}/blobs/${digest}`, { headers: { range: "bytes=10-19" } }), 206);
  must(bytes.subarray(10, 20).equals(Buffer.from(await part.arrayBuffer())), "a range came back with other bytes");
  expectStatus(await ask(subject, `/v2/models/scenario-2/blobs/${digest}`, { method: "DELETE" }), 202);
  const left = expectStatus(await ask(subject, `/v2/${REPOSITORY}/blobs/uploads/`, { method: "POST" }), 202);
  expectStatus(await ask(subject, left.headers.get("location") ?? "", { method: "DELETE" }), 204);
}

/** Sends a part of a body whose length was promised to be more, and goes away when the server has some of it. */
async function sendHalf(subject: Subject, location: string, part: Buffer): Promise<void> {
  const authorization = `Basic ${Buffer.from(`publisher:${await subject.key("publisher")}`).toString("base64")}`;
  const headers = { authorization, "content-length": String(part.length * 2) };
  const outgoing = request(new URL(location, subject.url), { method: "PATCH", headers });
  const closed = new Promise<void>((resolve) => {
    outgoing.once("close", resolve).on("error", () => undefined);
  });
  outgoing.write(part);
  while ((await standOf(subject, location)).offset === 0) await sleep(POLL_MS);
  outgoing.destroy();
  await closed;
}

/** How many bytes of an upload the server has, and where to go on with it. */
async function standOf(subject: Subject, location: string): Promise<{ readonly offset: number; readonly next: string }> {
  const stand = expectStatus(await ask(subject, location), 204);
  const last = Number((stand.headers.get("range") ?? "").split("-")[1]);
  // Nothing and one byte are told alike.
  return { offset: last > 0 ? last + 1 : 0, next: stand.headers.get("location") ?? location };
}

interface Rest {
  readonly location: string;
  readonly bytes: Buffer;
  readonly digest: string;
}

/** Sends what is missing, as soon as the server has let go of the connection that was cut. */
async function finish(subject: Subject, { location, bytes, digest }: Rest): Promise<void> {
  for (let left = TRIES; ; left -= 1) {
    const { offset, next } = await standOf(subject, location);
    const end = new URL(next, subject.url);
    end.searchParams.set("digest", digest);
    const answer = await ask(subject, `${end.pathname}${end.search}`, { method: "PUT", body: bytes.subarray(offset) });
    if (answer.status === 201) return;
    must(left > 0, `the end of an upload was answered by ${answer.status} ${await answer.text()}`);
    await sleep(POLL_MS);
  }
}

/** Namespaces, keys, policies, signing keys and the audit log. */
async function administer(subject: Subject, folder: string): Promise<void> {
  await mustSucceed(securectl(subject, "operator", "namespace", "create", "scenario", "--owner", "publisher"));
  await mustSucceed(
    securectl(subject, "operator", "key", "create", "scenario-reader", "--role", "reader", "--namespace", "scenario", "--json"),
  );
  const policy = join(folder, "policy.yaml");
  await writeFile(policy, POLICY);
  await mustSucceed(securectl(subject, "operator", "policy", "apply", policy));
  await writeFile(join(folder, "weights.gguf"), randomBytes(64 * 1024));
  await mustSucceed(securectl(subject, "publisher", "push", "scenario/model:v1", join(folder, "weights.gguf")));
  const refused = await securectl(subject, "operator", "promote", "scenario/model:v1");
  must(refused.code === 4, `a promotion without the approval that the policy asks for ended with ${refused.code}\n${refused.err}`);
  await mustSucceed(securectl(subject, "operator", "policy", "delete", "scenario", "--yes"));
  await mustSucceed(securectl(subject, "operator", "promote", "scenario/model:v1", "--reason", "scenario"));
  await mustSucceed(securectl(subject, "operator", "signing-key", "rotate", "--reason", "scenario"));
  await mustSucceed(securectl(subject, "operator", "audit", "verify"));
  for (const who of ["publisher", "operator"]) expectStatus(await ask(subject, "/v2/_catalog", { as: who }), 200);
}

const POLICY = `apiVersion: trust.ai-model-registry.dev/v1
kind: TrustPolicy
metadata: { name: scenario }
spec:
  match: { repositories: ["scenario/**"] }
  authorities: []
  require:
    - name: reviewed
      evidence: { kind: approvals, minimum: 1 }
`;

/**
 * Does everything that a server can be asked for from outside, in a fixed order, and prints a line a part; answers whether all of it went
 * as it must. What a server does by itself happens meanwhile under the settings `BUSY`.
 */
export async function doEverything(subject: Subject, restart: () => Promise<Subject>): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-scenario-"));
  const parts: readonly (readonly [string, (registry: Subject) => Promise<void>])[] = [
    ["files are taken in, promoted, verified, revoked and deleted by name", useModels],
    ["uploads are cut, gone on with, mounted, read in parts and removed", useUploads],
    ["namespaces, keys, policies, signing keys and audit", (registry) => administer(registry, folder)],
  ];
  let registry = subject;
  try {
    if (!(await doMainJob(subject, async () => (registry = await restart())))) return false;
    for (const [title, part] of parts) {
      try {
        await part(registry);
      } catch (error) {
        process.stdout.write(`FAILED ${title}\n${String(error)}\n--- the server's last words ---\n${registry.output().slice(-4000)}\n`);
        return false;
      }
      process.stdout.write(`ok     ${title}\n`);
    }
    return true;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
