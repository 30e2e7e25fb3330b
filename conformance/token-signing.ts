import { type ExecFileException, execFile } from "node:child_process";
import { createPublicKey, verify } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { preAuthEncoding } from "../src/lifecycle/dsse.ts";
import { type RunningRegistry, startRegistry } from "./registry-process.ts";

/**
 * Has a registry sign with a key in a real PKCS #11 token: SoftHSM, reached by OpenSC's tool, both of which are installed by apt where they
 * are missing. What is signed is checked with the public key that the token gives, by nothing of the registry's.
 */

const PROGRAMS = ["softhsm2-util", "pkcs11-tool"];
const PACKAGES = ["softhsm2", "opensc"];
const INSTALL_LIMIT_MS = 300_000;
const LIMIT_MS = 30_000;
const MODULES = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/libsofthsm2.so"];
const [LABEL, KEY_ID, PIN, SO_PIN] = ["registry", "0a01", "4321-user", "8765-officer"];
const INDEX = "application/vnd.oci.image.index.v1+json";
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";

interface Ran {
  readonly code: number;
  readonly output: Buffer;
  readonly said: string;
}

function run(file: string, args: readonly string[], limit: number, env: NodeJS.ProcessEnv = process.env): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(file, args, { timeout: limit, encoding: "buffer", env }, (error: ExecFileException | null, output, said) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
      resolve({ code, output, said: said.toString("utf8") });
    });
  });
}

async function mustRun(...asked: Parameters<typeof run>): Promise<Buffer> {
  const { code, output, said } = await run(...asked);
  if (code !== 0) throw new Error(`${asked[0]} ${asked[1].join(" ")} ended with ${code}:\n${output.toString("utf8")}${said}`);
  return output;
}

async function isThere(program: string): Promise<boolean> {
  return (await run("sh", ["-c", `command -v ${program}`], LIMIT_MS)).code === 0;
}

async function install(): Promise<void> {
  const there = await Promise.all(PROGRAMS.map(isThere));
  if (there.every(Boolean)) return;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await mustRun("apt-get", ["update", "-qq"], INSTALL_LIMIT_MS, env);
  await mustRun("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...PACKAGES], INSTALL_LIMIT_MS, env);
}

/** A token with one key pair, and how a registry is told of it. */
interface Token {
  readonly folder: string;
  readonly settings: Readonly<Record<string, string>>;
  /** SPKI, in DER, as the token gives it. */
  readonly publicKey: Buffer;
}

async function makeToken(folder: string): Promise<Token> {
  const module = MODULES.find((path) => existsSync(path));
  if (module === undefined) throw new Error(`SoftHSM's module is at none of ${MODULES.join(", ")}`);
  const tokens = join(folder, "tokens");
  const conf = join(folder, "softhsm2.conf");
  await mkdir(tokens);
  await writeFile(conf, `directories.tokendir = ${tokens}\nlog.level = ERROR\n`);
  await writeFile(join(folder, "pin"), `${PIN}\n`, { mode: 0o600 });
  await writeFile(join(folder, "wrong-pin"), "9999-wrong\n", { mode: 0o600 });
  const env = { ...process.env, SOFTHSM2_CONF: conf };
  await mustRun("softhsm2-util", ["--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", SO_PIN], LIMIT_MS, env);
  const at = ["--module", module, "--token-label", LABEL];
  const pair = ["--keypairgen", "--key-type", "EC:prime256v1", "--id", KEY_ID, "--label", "statements"];
  await mustRun("pkcs11-tool", [...at, "--login", "--pin", PIN, ...pair], LIMIT_MS, env);
  const publicKey = await mustRun("pkcs11-tool", [...at, "--read-object", "--type", "pubkey", "--id", KEY_ID], LIMIT_MS, env);
  const settings = {
    SOFTHSM2_CONF: conf,
    REGISTRY_SIGN_TOKEN_MODULE: module,
    REGISTRY_SIGN_TOKEN_LABEL: LABEL,
    REGISTRY_SIGN_TOKEN_KEY_ID: KEY_ID,
    REGISTRY_SIGN_TOKEN_PIN_PATH: join(folder, "pin"),
  };
  return { folder: tokens, settings, publicKey };
}

async function ask(registry: RunningRegistry, who: string, what: string, body?: object): Promise<{ status: number; json: unknown }> {
  const [method = "", path = ""] = what.split(" ");
  const headers = {
    authorization: `Bearer ${await registry.key(who)}`,
    "content-type": path.includes("/manifests/") ? INDEX : "application/json",
  };
  const answer = await fetch(registry.url + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
  const text = await answer.text();
  return { status: answer.status, json: text.startsWith("{") ? JSON.parse(text) : undefined };
}

/** Pushes an artifact of its own under a tag and promotes it; the status of the promotion. */
async function promote(registry: RunningRegistry, tag: string): Promise<number> {
  const manifest = { schemaVersion: 2, mediaType: INDEX, manifests: [], annotations: { tag } };
  await ask(registry, "publisher", `PUT /v2/models/m/manifests/${tag}`, manifest);
  return (await ask(registry, "operator", `POST /v1/artifacts/models/m:${tag}/promote`, {})).status;
}

const referrers = z.object({ manifests: z.array(z.object({ digest: z.string() })) });
const manifestOf = z.object({ layers: z.array(z.object({ digest: z.string() })) });
const bundleOf = z.object({
  dsseEnvelope: z.object({ payload: z.string(), signatures: z.array(z.object({ sig: z.string() })) }),
});

/** How many of the registry's statements about an artifact there are, and how many of them a key verifies. */
async function statements(registry: RunningRegistry, tag: string, publicKey: Buffer): Promise<readonly [number, number]> {
  const key = createPublicKey({ key: publicKey, format: "der", type: "spki" });
  const record = z.looseObject({ digest: z.string() }).parse((await ask(registry, "runtime", `GET /v1/artifacts/models/m:${tag}`)).json);
  const list = await ask(registry, "runtime", `GET /v2/models/m/referrers/${record.digest}?artifactType=${encodeURIComponent(BUNDLE)}`);
  const found = referrers.parse(list.json).manifests;
  let verified = 0;
  for (const { digest } of found) {
    const { layers } = manifestOf.parse((await ask(registry, "runtime", `GET /v2/models/m/manifests/${digest}`)).json);
    const { dsseEnvelope } = bundleOf.parse((await ask(registry, "runtime", `GET /v2/models/m/blobs/${layers[0]?.digest ?? ""}`)).json);
    const payload = Buffer.from(dsseEnvelope.payload, "base64").toString("utf8");
    const signature = Buffer.from(dsseEnvelope.signatures[0]?.sig ?? "", "base64");
    verified += Number(verify("sha256", preAuthEncoding(payload), key, signature));
  }
  return [found.length, verified];
}

function told(title: string, isTrue: boolean): boolean {
  process.stdout.write(`${isTrue ? "ok    " : "FAILED"} ${title}\n`);
  return isTrue;
}

const keyList = z.looseObject({ keys: z.array(z.looseObject({ purpose: z.string(), pem: z.string() })) });

async function tryToken(token: Token): Promise<boolean> {
  const results: boolean[] = [];
  let registry = await startRegistry();
  try {
    const { dataDirectory } = registry;
    results.push(told("a registry signs with a key that it made", (await promote(registry, "own")) === 200));
    await registry.stop();
    const refused = startRegistry({ ...token.settings, REGISTRY_SIGN_TOKEN_PIN_PATH: `${token.folder}/../wrong-pin` }, dataDirectory);
    const why = await refused.then(
      () => "",
      (error: unknown) => String(error),
    );
    results.push(told("with another PIN it does not start, and says why", why.includes("refuses the PIN (CKR_PIN_INCORRECT)")));
    registry = await startRegistry(token.settings, dataDirectory);
    const { keys } = keyList.parse((await ask(registry, "operator", "GET /v1/keys")).json);
    const pem = keys.findLast(({ purpose }) => purpose === "attestation")?.pem ?? "";
    const der = createPublicKey(pem).export({ type: "spki", format: "der" });
    results.push(told("then it changes over to the key of the token", der.equals(token.publicKey)));
    results.push(told("a promotion is signed by the token", (await promote(registry, "token")) === 200));
    const [all, verified] = await statements(registry, "token", token.publicKey);
    results.push(told(`${verified} of ${all} statements verify with the key that the token gives`, all === 3 && verified === all));
    const many = await Promise.all(Array.from({ length: 8 }, (_, n) => promote(registry, `many-${n}`)));
    results.push(
      told(
        `promotions at once in several workers wait for the token (${many.join(" ")})`,
        many.every((status) => status === 200),
      ),
    );
    await rename(token.folder, `${token.folder}-away`);
    results.push(told("without the token nothing changes its state", (await promote(registry, "away")) === 503));
    await rename(`${token.folder}-away`, token.folder);
    results.push(told("and it goes on when the token is back", (await promote(registry, "away")) === 200));
    results.push(told("no PIN was written to the log", !registry.output().includes(PIN)));
  } finally {
    await registry.dispose();
  }
  return results.every(Boolean);
}

await install();
const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-token-"));
try {
  if (!(await tryToken(await makeToken(folder)))) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
