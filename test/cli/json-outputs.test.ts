import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { AnySchema } from "ajv";
import type { Command } from "commander";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { commandOutputs, definitions } from "../../src/cli/json-outputs.ts";
import { createProgram } from "../../src/cli/program.ts";
import { registryJobs } from "../../src/jobs/registry-jobs.ts";
import { type Scheduler, startScheduler } from "../../src/jobs/scheduler.ts";
import { digestOf, encodedOf } from "../../src/oci/digest.ts";
import { GOLDEN } from "../formats/build-gguf.ts";
import { createValidator } from "../support/contract.ts";
import { overwrite } from "../support/damaged-bytes.ts";
import { PolicyRegistry } from "../support/policy-registry.ts";
import { runSecurectl } from "../support/securectl.ts";
import { TufRepositoryOnLoopback } from "../support/tuf-repository.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const FILE = "securectl.schema.json";
/** These print what is no JSON, whatever they are told. */
const WITHOUT_JSON = ["completion", "trust show"];

let world: PolicyRegistry;
let folder: string;
let jobs: Scheduler;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  const { services } = world.registry;
  const times = { collectInterval: 3_600_000, uploadExpiry: 3_600_000, verifyInterval: 0, verifyRate: 0 };
  jobs = startScheduler(services, registryJobs(services, times));
  folder = await mkdtemp(join(tmpdir(), "securectl-json-"));
});
afterAll(async () => {
  await jobs.stop();
  await world.registry.stop();
  await rm(folder, { recursive: true, force: true });
});

const validator = createValidator();
validator.addSchema(JSON.parse(readFileSync(`schemas/${FILE}`, "utf8")) as AnySchema, FILE);

function isA(definition: string, value: unknown): boolean {
  const validate = validator.getSchema(`${FILE}#/$defs/${definition}`);
  if (validate === undefined) throw new TypeError(`there is no ${definition}`);
  return validate(value) === true;
}

function* leavesOf(command: Command, path: readonly string[] = []): Generator<string> {
  // `audit` is a command and has one below it.
  if (command.commands.length === 0 || command.registeredArguments.length > 0 || path[0] === "audit")
    if (path.length > 0) yield path.join(" ");
  for (const each of command.commands) yield* leavesOf(each, [...path, each.name()]);
}

test("every command that prints JSON says what", () => {
  const stream = new PassThrough();
  const program = createProgram("1.2.3", { stdin: stream, stdout: stream, stderr: stream }, () => {
    throw new Error("nothing is run");
  });
  expect([...leavesOf(program)].toSorted()).toEqual([...Object.keys(commandOutputs), ...WITHOUT_JSON].toSorted());
});

/** What was seen of what a command may print. */
const seen = new Set<string>();

/** Runs a command with `--json`; what it prints has to be what is published of it, and is returned. */
async function run(
  command: keyof typeof commandOutputs,
  args: readonly string[],
  exit = 0,
  more: Readonly<Record<string, string>> = {},
): Promise<Record<string, unknown>> {
  const env = { HOME: folder, REGISTRY_URL: world.registry.url, REGISTRY_DIR: world.registry.directory, ...more };
  const ran = await runSecurectl([...command.split(" "), ...args, "--json", "--quiet"], env);
  expect({ command, args, exit: ran.exit, err: ran.exit === exit ? "" : ran.err }).toEqual({ command, args, exit, err: "" });
  const printed: unknown = JSON.parse(ran.out);
  const own = command.replaceAll(" ", "-");
  expect(isA(own, printed), `${command} ${args.join(" ")}: ${ran.out}\n${validator.errorsText()}`).toBe(true);
  for (const name of commandOutputs[command]) {
    const isThis = isA(name, printed);
    // The program's own schema says the same.
    expect(definitions[name].safeParse(printed).success, `${command} ${name}`).toBe(isThis);
    if (isThis) seen.add(`${command}: ${name}`);
  }
  return printed as Record<string, unknown>;
}

async function put(place: string, name: string, bytes: string | Uint8Array): Promise<string> {
  const path = join(place, name);
  await writeFile(path, bytes);
  return path;
}

async function promoteWithManifest(name: string, filename: string, manifest: string): Promise<void> {
  const { directory } = world.registry;
  await put(directory, filename, GOLDEN);
  await put(directory, `${filename}.json`, manifest);
  const body = JSON.stringify({
    name,
    filename,
    sha256: encodedOf(digestOf(GOLDEN)),
    gguf_guard_manifest: `${filename}.json`,
  });
  const { status } = await world.registry.fetchAs("serviceToken", "/v1/model/promote", { method: "POST", body });
  if (status !== 201) throw new Error(`promote answered ${status}`);
}

async function tufRepository(): Promise<TufRepositoryOnLoopback & AsyncDisposable> {
  const tuf = await TufRepositoryOnLoopback.start({ target: world.sigstore.root });
  return Object.assign(tuf, { [Symbol.asyncDispose]: () => tuf.stop() });
}

test("what each command prints with --json is what is published of it", async () => {
  const { directory } = world.registry;
  const weights = await put(folder, "weights.gguf", GOLDEN);
  await run("status", []);
  await run("doctor", []);
  await run("list", []);
  await run("push", ["models/pushed:v1", weights, "--annotation", "a=b"]);
  const { digest } = await run("info", ["models/pushed:v1"]);
  const ref = `models/pushed@${String(digest)}`;
  await run("quarantine", [ref, "--reason", "scan"]);
  await run("evaluate", [ref]);
  await run("promote", [ref, "--tag", "v1"]);
  await run("list", ["models/pushed"]);
  await run("pull", ["models/pushed:v1", "-o", join(folder, "pulled")]);
  await run("discover", ["models/pushed:v1"]);
  await run("history", ["models/pushed:v1"]);
  await run("tag list", ["models/pushed"]);
  await run("tag promote", ["models/pushed:stable", "--to", String(digest)]);
  await run("tag rollback", ["models/pushed:stable", "--to", String(digest)]);
  await run("tag remove", ["models/pushed:stable"]);
  await run("tag remove", ["models/pushed:v1", "--pushed"]);

  const { keys } = (await run("signing-key list", [])) as { readonly keys: readonly { readonly pem: string }[] };
  const key = await put(folder, "keys.pem", keys.map(({ pem }) => pem).join("\n"));
  await run("export", [ref, join(folder, "layout")]);
  await run("export", ["--all", ref.split(/[:@]/)[0] ?? "", join(folder, "all")]);
  await run("verify-layout", [join(folder, "layout"), "--key", key]);
  await run("import", [join(folder, "layout"), "models/imported:v1"]);

  await put(directory, "model.gguf", GOLDEN);
  await run("acquire", ["a model", "model.gguf"]);
  await run("info", ["a model"]);
  await run("verify-manifest", ["a model"]);
  await run("promote", ["a model"]);
  await run("path", ["a model"]);
  await run("verify", ["a model"]);
  const lock = join(folder, "models.lock.yaml");
  await run("lock generate", []);
  await run("lock generate", ["-o", lock]);
  await run("lock verify", [lock, "--dir", directory]);
  await run("lock verify", [await put(folder, "bad.lock.yaml", "version: 1\nmodels: [{}]\n")], 1);
  await run("lock verify", [await put(folder, "no.lock.yaml", "- nothing")], 1);
  await run("verify-all", []);
  await run("verify-all", ["--status"]);
  await run("verify-all", ["--cancel"]);

  const manifest = join(folder, "weights.manifest.json");
  await run("tensor-manifest generate", [weights]);
  await run("tensor-manifest generate", [weights, "-o", manifest]);
  await run("tensor-manifest verify", [weights, manifest]);
  await run("tensor-manifest diff", [manifest, manifest]);

  await put(directory, "other.gguf", "other");
  await run("acquire", ["another", "other.gguf"]);
  await run("verify", ["another"], 1);
  await overwrite(directory, digestOf("other"), "OTHER");
  await run("verify", ["another"], 6);
  await promoteWithManifest("a third", "third.gguf", "no manifest");
  await run("verify-manifest", ["a third"], 6);

  await run("namespace create", ["team", "--owner", "publisher"]);
  await run("namespace list", []);
  await run("namespace quota", ["team", "--bytes", "1GiB", "--tags", "none"]);
  await run("namespace show", ["team"]);
  const { id } = await run("key create", ["robot", "--role", "reader", "--namespace", "team"]);
  const reviewer = (await run("key create", ["rita", "--role", "reviewer", "--namespace", "models"])) as { readonly key: string };
  await run("approve", [ref], 0, { SECURECTL_TOKEN: reviewer.key });
  await run("key list", []);
  const { id: next } = await run("key rotate", [String(id)]);
  await run("key revoke", [String(next)]);

  const strict = await world.push("models/strict");
  const policy = await put(folder, "strict.yaml", stringify(world.signedPolicy("strict", "models/strict")));
  await run("policy test", [policy, strict.ref], 4);
  await run("policy apply", [policy]);
  await run("policy list", []);
  await run("policy show", ["strict"]);
  await run("policy explain", [strict.ref], 4);
  await run("promote", [strict.ref], 4);
  await run("policy diff", ["strict", policy]);
  await run("policy replay", [policy]);
  await run("policy delete", ["strict"]);

  const root = await put(folder, "root.json", world.sigstore.root);
  await run("trust add", ["corp", root]);
  await using tuf = await tufRepository();
  await run("trust update", ["updated", "--mirror", tuf.url, "--root", await put(folder, "tuf-root.json", tuf.root)]);
  await run("trust list", []);
  await run("trust delete", ["corp"]);
  const { statement } = await run("trust revoke-authority", ["--key", digestOf("a key"), "--reason", "stolen"]);
  await run("trust revoked", []);
  await run("trust lift-authority", [String(statement), "--reason", "found"]);

  await run("revoke", ["a model"]);
  await run("revoke", [ref, "--reason", "bad"]);
  await run("delete", ["a model"]);
  await run("delete", [ref]);
  await run("signing-key rotate", []);
  await run("signing-key show", []);
  await run("audit", ["--limit", "5"]);
  await run("audit verify", []);
  const missing = Object.entries(commandOutputs).flatMap(([command, names]) => names.map((name) => `${command}: ${name}`));
  expect(missing.filter((each) => !seen.has(each))).toEqual([]);
}, 300_000);
