import { createHash, createPrivateKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { run as runSecurectl } from "../src/cli/run.ts";
import { preAuthEncoding } from "../src/lifecycle/dsse.ts";
import { ORAS, installGoTool } from "./go-tool.ts";
import { ATTACKS, type Attack, type AttackKit } from "./layout-attacks.ts";
import { LayoutCopy } from "./layout-copy.ts";
import { type RunningRegistry, startRegistry } from "./registry-process.ts";
import { type Ran, mustRun, run } from "./run-program.ts";

/**
 * Exports an artifact from a registry that has lived a little, and has it checked without that registry: by securectl, by a program in Python
 * that shares no code with it, by openssl and by oras, and taken in by another registry. Then every attack on the layout is tried on a copy, and both checkers must refuse it.
 */

const REPOSITORY = "models/proof";
const STATE = "dev.ai-model-registry.lifecycle.state";
const PASSPHRASE = "a-passphrase-that-this-trial-and-thieves-know";
const NO_REGISTRY = "http://127.0.0.1:1";
const TRIES = 50;

function must(held: boolean, complaint: string): asserts held {
  if (!held) throw new Error(complaint);
}

/** What both checkers say of a layout, in one form. */
interface Verdict {
  readonly accepted: boolean;
  readonly codes: readonly string[];
  /** By repository and digest. */
  readonly states: Readonly<Record<string, string>>;
}

const report = z.object({
  accepted: z.boolean(),
  faults: z.array(z.object({ code: z.string() })),
  states: z.array(
    z.object({ repository: z.string(), digest: z.string(), state: z.string(), sequence: z.number(), permanent: z.boolean() }),
  ),
});
const rebuilt = z.object({
  accepted: z.boolean(),
  faults: z.array(z.string()),
  states: z.record(z.string(), z.object({ state: z.string(), seq: z.number(), permanent: z.boolean() })),
});

/** Who stands where, and what was made on the way. */
class Trial {
  readonly registry: RunningRegistry;
  readonly folder: string;
  readonly oras: string;

  constructor(registry: RunningRegistry, folder: string, oras: string) {
    this.registry = registry;
    this.folder = folder;
    this.oras = oras;
  }

  at(...path: readonly string[]): string {
    return join(this.folder, ...path);
  }

  async orasAs(who: string, args: readonly string[], input = ""): Promise<string> {
    return mustRun(this.oras, [...args, "--registry-config", this.at(`${who}.json`)], { cwd: this.folder, input });
  }

  async securectl(args: readonly string[], who = "operator"): Promise<Ran> {
    const env = { REGISTRY_URL: this.registry.url, SECURECTL_TOKEN: await this.registry.key(who) };
    return run(process.execPath, ["src/cli/main.ts", ...args], { env });
  }

  async mustDo(...args: readonly string[]): Promise<string> {
    const { code, out, err } = await this.securectl(args);
    must(code === 0, `securectl ${args.join(" ")} ended with ${code}\n${out}${err}`);
    return out;
  }

  /** By securectl in this process, which starts many times faster: without a server that answers, and with a public key alone. */
  async bySecurectl(layout: string, key: string, more: readonly string[] = []): Promise<Verdict> {
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const said = Promise.all([text(stdout), text(stderr)]);
    const argv = ["verify-layout", layout, "--key", this.at(key), "--json", ...more];
    const code = await runSecurectl(argv, { version: "", env: { REGISTRY_URL: NO_REGISTRY }, streams: { stdin, stdout, stderr } });
    for (const stream of [stdout, stderr]) stream.end();
    const [out, err] = await said;
    return verdictOf({ code, out, err });
  }

  /** By the program in Python, which verifies every signature with openssl. */
  async byPython(layout: string, key: string, more: readonly string[] = []): Promise<Verdict> {
    const { code, out, err } = await run("python3", ["conformance/rebuild_states.py", layout, this.at(key), ...more]);
    must(code === 0 || code === 1, `rebuild_states.py ended with ${code}\n${out}${err}`);
    const { accepted, faults, states } = rebuilt.parse(JSON.parse(out === "" ? "null" : out));
    must(accepted === (code === 0), "the exit code says something else than the report");
    const named = Object.entries(states).map(([name, state]) => [name, stateText(state)] as const);
    return { accepted, codes: faults.map((fault) => fault.split(":")[0] ?? ""), states: inOrder(named) };
  }
}

function inOrder(states: readonly (readonly [string, string])[]): Verdict["states"] {
  return Object.fromEntries(states.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function stateText({ state, seq, permanent }: { state: string; seq: number; permanent: boolean }): string {
  return `${state} ${seq}${permanent ? " for good" : ""}`;
}

function verdictOf({ code, out, err }: Ran): Verdict {
  must(code === 0 || code === 6, `verify-layout ended with ${code}\n${out}${err}`);
  const { accepted, faults, states } = report.parse(JSON.parse(out));
  must(accepted === (code === 0), "the exit code says something else than the report");
  const named = states.map(
    ({ repository, digest, ...each }) => [`${repository}@${digest}`, stateText({ ...each, seq: each.sequence })] as const,
  );
  return { accepted, codes: faults.map((fault) => fault.code), states: inOrder(named) };
}

/** Pushes a model in two parts with an SBOM, promotes it, revokes it, promotes it, changes the key, and does both again. */
async function live(trial: Trial): Promise<{ readonly weights: string; readonly child: string; readonly root: string }> {
  const { registry } = trial;
  const ref = (tag: string): string => `${registry.host}/${REPOSITORY}:${tag}`;
  const key = await registry.key("publisher");
  await trial.orasAs("publisher", ["login", registry.host, "--plain-http", "--username", "publisher", "--password-stdin"], key);
  const weights = randomBytes(3 * 1024 * 1024);
  await writeFile(trial.at("weights.gguf"), weights);
  await writeFile(trial.at("sbom.json"), '{"spdxVersion":"SPDX-2.3"}');
  await trial.orasAs("publisher", ["push", "--plain-http", ref("part"), "weights.gguf:application/octet-stream"]);
  await trial.orasAs("publisher", ["manifest", "index", "create", "--plain-http", ref("v1"), "part"]);
  const attach = ["attach", "--plain-http", "--artifact-type", "application/spdx+json", ref("v1"), "sbom.json:application/spdx+json"];
  await trial.orasAs("publisher", attach);
  await trial.mustDo("promote", `${REPOSITORY}:v1`, "--reason", "scanned");
  await trial.mustDo("revoke", `${REPOSITORY}:v1`, "--reason", "said to be poisoned", "--yes");
  await trial.mustDo("promote", `${REPOSITORY}:v1`, "--reason", "found to be clean");
  await rotate(trial);
  const publisher = `sha256:${createHash("sha256").update("a publisher").digest("hex")}`;
  await trial.mustDo("trust", "revoke-authority", "--key", publisher, "--reason", "stolen", "--yes");
  await trial.mustDo("revoke", `${REPOSITORY}:v1`, "--reason", "said to be poisoned again", "--yes");
  await trial.mustDo("export", `${REPOSITORY}:v1`, trial.at("earlier"));
  await trial.mustDo("promote", `${REPOSITORY}:v1`, "--reason", "found to be clean again");
  const digestOf = async (tag: string): Promise<string> =>
    z
      .object({ digest: z.string() })
      .parse(JSON.parse(await trial.orasAs("publisher", ["manifest", "fetch", "--plain-http", "--descriptor", ref(tag)]))).digest;
  return {
    weights: `sha256:${createHash("sha256").update(weights).digest("hex")}`,
    child: await digestOf("part"),
    root: await digestOf("v1"),
  };
}

/** Another artifact of the repository. */
async function addSecond(trial: Trial): Promise<void> {
  await writeFile(trial.at("adapter.gguf"), randomBytes(1024));
  const ref = `${trial.registry.host}/${REPOSITORY}:adapter`;
  await trial.orasAs("publisher", ["push", "--plain-http", ref, "adapter.gguf:application/octet-stream"]);
  await trial.mustDo("promote", `${REPOSITORY}:adapter`);
}

/** Possible as soon as the registry has looked for statements that an earlier version left unsigned. */
async function rotate(trial: Trial): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const { code, err } = await trial.securectl(["signing-key", "rotate", "--reason", "yearly", "--yes"]);
    if (code === 0) return;
    must(tries < TRIES && code === 7, `signing-key rotate ended with ${code}\n${err}`);
  }
}

const keyList = z.object({ keys: z.array(z.looseObject({ purpose: z.string(), pem: z.string() })) });

/** Writes the registry's public keys to files, and finds the private one, as a thief would. */
async function takeKeys(trial: Trial): Promise<AttackKit["stolen"]> {
  const { keys } = keyList.parse(JSON.parse(await trial.mustDo("signing-key", "list", "--json")));
  const pems = keys.filter(({ purpose }) => purpose === "attestation").map(({ pem }) => pem);
  must(pems.length === 2, `there are ${pems.length} keys instead of two`);
  await writeFile(trial.at("first.pem"), pems[0] ?? "");
  await writeFile(trial.at("last.pem"), pems[1] ?? "");
  const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "pem" });
  await writeFile(trial.at("stranger.pem"), stranger);
  const credentials = join(trial.registry.dataDirectory, "credentials");
  const file = (await readdir(credentials)).find((name) => name.startsWith("attestation-key-")) ?? "";
  return createPrivateKey({ key: await readFile(join(credentials, file), "utf8"), passphrase: PASSPHRASE });
}

async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Every signature, with nothing but openssl and the two public keys. */
async function byOpenssl(trial: Trial, layout: LayoutCopy): Promise<number> {
  const statements = await layout.statements();
  for (const { payload, signature, entry } of statements) {
    await writeFile(trial.at("encoded"), preAuthEncoding(payload));
    await writeFile(trial.at("signature"), signature);
    const tries = ["first.pem", "last.pem"].map((key) =>
      run("openssl", ["dgst", "-sha256", "-verify", trial.at(key), "-signature", trial.at("signature"), trial.at("encoded")]),
    );
    must(
      (await Promise.all(tries)).some(({ code }) => code === 0),
      `openssl verifies the statement of ${entry.digest} with neither key`,
    );
  }
  return statements.length;
}

const discovered = z.object({ referrers: z.array(z.looseObject({ annotations: z.record(z.string(), z.string()).default({}) })) });

async function byOras(trial: Trial, weights: string): Promise<void> {
  for (const place of ["layout", "a.tar"]) {
    await mkdir(trial.at(`pulled-${place}`));
    await mustRun(trial.oras, ["cp", "--recursive", "--from-oci-layout", `${place}:v1`, "--to-oci-layout", `copy-${place}:v1`], {
      cwd: trial.folder,
    });
    const { referrers } = discovered.parse(
      JSON.parse(await mustRun(trial.oras, ["discover", "--oci-layout", `copy-${place}:v1`, "--format", "json"], { cwd: trial.folder })),
    );
    const states = referrers.flatMap(({ annotations }) => annotations[STATE] ?? []);
    must(states.toSorted().join() === "acquired,revoked,revoked,trusted,trusted,trusted", `oras discovers the states ${states.join()}`);
    must((await hashOf(trial.at(`copy-${place}`, "blobs", weights.replace(":", "/")))) === weights.slice(7), "oras copied other weights");
  }
}

const importReport = z.object({ artifacts: z.array(z.object({ digest: z.string(), state: z.string() })), attached: z.number() });

/** Another registry takes in what this one exported, and what oras copied of that. */
async function byAnotherRegistry(trial: Trial, root: string): Promise<void> {
  const other = await startRegistry({ WORKERS: "1" });
  try {
    const env = { REGISTRY_URL: other.url, SECURECTL_TOKEN: await other.key("publisher") };
    for (const place of ["a.tar", "copy-layout"]) {
      const args = ["src/cli/main.ts", "import", trial.at(place), `models/${place}:v1`, "--json"];
      const { artifacts, attached } = importReport.parse(JSON.parse(await mustRun(process.execPath, args, { env })));
      const held = artifacts.map(({ digest, state }) => `${digest} is ${state}`).join();
      must(held === `${root} is quarantined` && attached > 0, `${place}: ${held}, and ${attached} attached`);
    }
  } finally {
    await other.dispose();
  }
}

async function tryAttack(trial: Trial, kit: AttackKit, { title, codes, act }: Attack, expected: Verdict): Promise<void> {
  const copy = await LayoutCopy.of(trial.at("layout"), trial.at("attacked"));
  try {
    await act(copy, kit);
    const verdicts = await Promise.all([trial.bySecurectl(copy.place, "last.pem"), trial.byPython(copy.place, "last.pem")]);
    for (const [at, verdict] of verdicts.entries()) {
      const who = at === 0 ? "securectl" : "rebuild_states.py";
      if (codes.length === 0)
        must(isSame(verdict, expected), `${who} says ${JSON.stringify(verdict)} though nothing matters that was changed`);
      else must(!verdict.accepted && verdict.codes.some((code) => codes.includes(code)), `${who} says ${JSON.stringify(verdict)}`);
      const told = Object.values(verdict.states);
      must(
        verdict.accepted || told.every((state) => state.startsWith("revoked") && state.endsWith("for good")),
        `${who} believes ${told.join()}`,
      );
    }
    must(!title.includes("for good") || verdicts.every(({ states }) => Object.keys(states).length === 1), "it does not stay revoked");
  } finally {
    await rm(copy.place, { recursive: true, force: true });
  }
}

function isSame(a: Verdict, b: Verdict): boolean {
  return a.accepted === b.accepted && JSON.stringify(a.states) === JSON.stringify(b.states);
}

async function tell(title: string, step: () => Promise<void>): Promise<boolean> {
  try {
    await step();
  } catch (error) {
    process.stdout.write(`FAILED ${title}\n${String(error)}\n`);
    return false;
  }
  process.stdout.write(`ok     ${title}\n`);
  return true;
}

/** A time so many days from now, as an option of either checker. */
function later(days: number): readonly [string[], string[]] {
  const at = Math.floor(Date.now() / 1000) + days * 86_400;
  return [
    ["--at", new Date(at * 1000).toISOString()],
    ["--now", String(at)],
  ];
}

async function tryAll(trial: Trial): Promise<boolean> {
  const { root, ...parts } = await live(trial);
  const stolen = await takeKeys(trial);
  const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  for (const place of ["layout", "a.tar", "b.tar"]) await trial.mustDo("export", `${REPOSITORY}:v1`, trial.at(place));
  await addSecond(trial);
  for (const place of ["all", "all.tar"]) await trial.mustDo("export", "--all", REPOSITORY, trial.at(place));
  await trial.registry.stop();
  const layout = new LayoutCopy(trial.at("layout"));
  const kit: AttackKit = { stolen, stranger, earlier: new LayoutCopy(trial.at("earlier")), ...parts };
  const expected = await trial.bySecurectl(trial.at("layout"), "last.pem");
  const both = async (place: string, key: string, more: readonly (readonly string[])[] = [[], []]): Promise<readonly Verdict[]> =>
    Promise.all([trial.bySecurectl(trial.at(place), key, more[0]), trial.byPython(trial.at(place), key, more[1])]);
  const refusedAs = async (code: string, key: string, more?: readonly (readonly string[])[]): Promise<void> => {
    for (const { accepted, codes } of await both("layout", key, more)) must(!accepted && codes.includes(code), codes.join() || "accepted");
  };
  const results = [
    await tell("two exports of one state are the same bytes", async () =>
      must((await hashOf(trial.at("a.tar"))) === (await hashOf(trial.at("b.tar"))), "the archives differ"),
    ),
    await tell(
      "the states are rebuilt by securectl and by rebuild_states.py alike, of folder and archive, from the last key or the first",
      async () => {
        must(expected.accepted && expected.states[`${REPOSITORY}@${root}`] === "trusted 6", JSON.stringify(expected));
        for (const key of ["last.pem", "first.pem"]) {
          for (const place of ["layout", "a.tar"]) {
            for (const verdict of await both(place, key))
              must(isSame(verdict, expected), `${place} with ${key}: ${JSON.stringify(verdict)}`);
          }
        }
      },
    ),
    await tell("all artifacts of the repository are proven by one layout, of folder and archive, by both alike", async () => {
      const [first, ...others] = [...(await both("all", "last.pem")), ...(await both("all.tar", "last.pem"))];
      must(first !== undefined && first.accepted && others.every((verdict) => isSame(verdict, first)), JSON.stringify([first, ...others]));
      const told = Object.values(first.states).filter((state) => state.startsWith("trusted"));
      must(told.length === 2, `${told.length} are trusted`);
    }),
    await tell("the command line says the same, where there is no registry", async () => {
      const args = ["src/cli/main.ts", "verify-layout", trial.at("a.tar"), "--key", trial.at("last.pem"), "--require", "trusted", "--json"];
      const verdict = verdictOf(await run(process.execPath, args, { env: { REGISTRY_URL: NO_REGISTRY } }));
      must(isSame(verdict, expected), JSON.stringify(verdict));
    }),
    await tell("openssl verifies every statement", async () =>
      must((await byOpenssl(trial, layout)) === 15, "there are not 15 signatures"),
    ),
    await tell("oras reads and copies it with its statements, from folder and archive", () => byOras(trial, parts.weights)),
    await tell("another registry takes it in, and what oras copied of it, in quarantine", () => byAnotherRegistry(trial, root)),
    await tell("a key that nothing leads from is refused", () => refusedAs("key-untrusted", "stranger.pem")),
    await tell("an expired snapshot is refused", () => refusedAs("snapshot-expired", "last.pem", later(31))),
    await tell("a snapshot that is older than was asked for is refused", async () => {
      const [ours, theirs] = later(3);
      await refusedAs("snapshot-too-old", "last.pem", [
        [...ours, "--max-age", "2d"],
        [...theirs, "--max-age", "172800"],
      ]);
    }),
    await tell("a clock that is set back is refused", () => refusedAs("snapshot-from-future", "last.pem", later(-1))),
  ];
  for (const attack of ATTACKS) results.push(await tell(attack.title, () => tryAttack(trial, kit, attack, expected)));
  return results.every(Boolean);
}

const oras = await installGoTool(ORAS);
const folder = await mkdtemp(join(tmpdir(), "ai-model-registry-proof-"));
await writeFile(join(folder, "passphrase"), `${PASSPHRASE}\n`, { mode: 0o600 });
const registry = await startRegistry({ REGISTRY_SIGN_PASSPHRASE_PATH: join(folder, "passphrase"), WORKERS: "1" });
try {
  if (!(await tryAll(new Trial(registry, folder, oras)))) process.exitCode = 1;
} finally {
  await registry.dispose();
  await rm(folder, { recursive: true, force: true });
}
