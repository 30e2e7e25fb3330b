import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../src/oci/digest.ts";
import { run } from "./run-program.ts";
import { pythonEnvironment } from "./python-environment.ts";
import { CHECKOUT, type RunningRegistry, startRegistry } from "./registry-process.ts";

/**
 * Sends thousands of requests that schemathesis makes from the published description, good and bad, and holds every answer to that
 * description: no failure of the server, no status, media type, header or body that it does not name.
 */

const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
];
const RUN_LIMIT_MS = 600_000;
const EXAMPLES = 10;
/** The same requests every time. */
const SEED = 20_260_901;

const MODEL = "fuzzed";
const REFERENCE = "models/fuzzed-oci:v1";
/** These would end the very key that the requests come with: ids are taken from answers. */
const ENDING = ["revokeCredential", "rotateCredential"];

/** Something that requests can be about. */
async function seed(registry: RunningRegistry): Promise<void> {
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] });
  const [repository, tag] = REFERENCE.split(":");
  await mustAnswer(registry, "PUT", `/v2/${repository}/manifests/${tag}`, {
    as: await registry.key("publisher"),
    type: "application/vnd.oci.image.index.v1+json",
    body: manifest,
  });
  await mustAnswer(registry, "POST", `/v1/artifacts/${REFERENCE}/promote`, { as: await registry.key("operator"), body: "{}" });
  await writeFile(join(registry.dataDirectory, "fuzzed.gguf"), "weights");
  const body = JSON.stringify({ name: MODEL, filename: "fuzzed.gguf", sha256: digestOf("weights").slice("sha256:".length) });
  for (const step of ["acquire", "promote"]) {
    await mustAnswer(registry, "POST", `/v1/model/${step}`, { as: await registry.key("service-token"), body });
  }
}

async function mustAnswer(
  registry: RunningRegistry,
  method: string,
  path: string,
  { as, type = "application/json", body }: { readonly as: string; readonly type?: string; readonly body?: string },
): Promise<void> {
  const headers = { authorization: `Bearer ${as}`, "content-type": type };
  const answer = await fetch(registry.url + path, { method, headers, ...(body !== undefined && { body }) });
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`);
  await answer.body?.cancel();
}

/** Names what is there, where a name made up at random would find nothing. */
const KNOWN = `
[[operations]]
include-path-regex = "[{]ref[}]"
parameters = { ref = "${REFERENCE}" }

[[operations]]
include-path-regex = "^/v1/model/?"
parameters = { name = "${MODEL}" }
`;

interface Trial {
  readonly title: string;
  /** Whose credential the requests have; nobody's without. */
  readonly as?: string;
  readonly config?: string;
  readonly args: readonly string[];
  /** Does it revoke what its requests come with? */
  readonly endsKeys?: boolean;
}

const TRIALS: readonly Trial[] = [
  { title: "an operator, names at random", as: "operator", args: ENDING.flatMap((id) => ["--exclude-operation-id", id]) },
  {
    title: "the service token, names that exist",
    as: "service-token",
    config: KNOWN,
    args: ["--include-tag", "models", "--include-tag", "artifacts"],
  },
  { title: "a program of this machine without a credential", config: KNOWN, args: ["--include-tag", "models", "--include-tag", "health"] },
  { title: "an operator's own keys", as: "operator", args: ENDING.flatMap((id) => ["--include-operation-id", id]), endsKeys: true },
];

/** Answers whether all requests of a trial were answered as described. */
async function tries(
  schemathesis: string,
  registry: RunningRegistry,
  folder: string,
  { title, as, config = "", args }: Trial,
): Promise<boolean> {
  const settings = join(folder, "schemathesis.toml");
  await writeFile(settings, config);
  const who = as === undefined ? [] : ["--header", `Authorization: Bearer ${await registry.key(as)}`];
  const asked = ["--url", registry.url, "--checks", CHECKS.join(","), "--phases", "coverage,fuzzing", "--continue-on-failure"];
  const bounds = ["--max-examples", String(EXAMPLES), "--seed", String(SEED), "--suppress-health-check", "all", "--warnings", "off"];
  const document = join(CHECKOUT, "schemas", "openapi.yaml");
  const { code, out, err } = await run(
    schemathesis,
    ["--no-color", "--config-file", settings, "run", document, ...asked, ...bounds, ...who, ...args],
    { cwd: folder, limitMs: RUN_LIMIT_MS },
  );
  const output = out + err;
  const counted = /^ *(\d+ generated.*)$/m.exec(output)?.[1];
  const isFine = code === 0 && counted !== undefined;
  process.stdout.write(isFine ? `ok     ${title}: ${counted}\n` : `${title}:\n${output}\n`);
  return isFine;
}

/** A key that was locked out or revoked on the way would have had the rest of the requests refused at the door. */
async function demandKeysThatWork(registry: RunningRegistry): Promise<void> {
  for (const name of ["operator", "service-token"]) await mustAnswer(registry, "GET", "/v1/whoami", { as: await registry.key(name) });
}

/** Makes all trials against a fresh registry; answers what went wrong. */
async function tryAll(schemathesis: string, folder: string): Promise<readonly string[]> {
  const registry = await startRegistry();
  const wrong: string[] = [];
  try {
    await seed(registry);
    for (const trial of TRIALS) {
      if (!(await tries(schemathesis, registry, folder, trial))) wrong.push(trial.title);
      if (trial.endsKeys !== true) await demandKeysThatWork(registry);
    }
  } finally {
    await registry.dispose();
  }
  return [
    ...wrong,
    ...registry
      .output()
      .split("\n")
      .filter((line) => /"level":(?:50|60)/.test(line)),
  ];
}

const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-bad-input-"));
try {
  const wrong = await tryAll(join(await pythonEnvironment("schemathesis.txt"), "schemathesis"), folder);
  for (const each of wrong) process.stdout.write(`FAILED ${each}\n`);
  if (wrong.length > 0) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
