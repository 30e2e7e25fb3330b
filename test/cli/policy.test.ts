import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AnySchema } from "ajv";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { createValidator } from "../support/contract.ts";
import { CI, PolicyRegistry, SCAN, policyOf } from "../support/policy-registry.ts";
import { statementOf } from "../support/private-sigstore.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: PolicyRegistry;
let folder: string;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  folder = await mkdtemp(join(tmpdir(), "securectl-policy-"));
});
afterAll(async () => {
  await world.registry.stop();
  await rm(folder, { recursive: true, force: true });
});

function securectl(...args: readonly string[]): Promise<Ran> {
  return runSecurectl(args, { HOME: folder, REGISTRY_URL: world.registry.url, REGISTRY_DIR: world.registry.directory });
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

test("trust add keeps a root that trust list shows with the one that comes with the registry", async () => {
  const added = await securectl("trust", "add", "corp-root", await file("root.json", world.sigstore.root), "--json");
  expect(added.exit).toBe(0);
  expect(JSON.parse(added.out)).toMatchObject({ name: "corp-root", digest: world.root });
  const { out } = await securectl("trust", "list");
  expect(out).toMatch(new RegExp(`public-good.*\n(?:.*\n)*corp-root +${world.root}`));
});

test("policy apply puts a policy in force, which test tries beforehand, explain tells of, and delete ends", async () => {
  const artifact = await world.push("models/cli");
  const path = await file("cli.yaml", stringify(world.signedPolicy("cli", "models/cli")));
  const tried = await securectl("policy", "test", path, artifact.ref);
  expect(tried.exit).toBe(4);
  expect(tried.out).toContain("Promotion is refused by cli@1.");
  expect((await securectl("policy", "explain", artifact.ref)).exit).toBe(0);

  const applied = await securectl("policy", "apply", path);
  expect(applied).toMatchObject({ exit: 0, out: expect.stringMatching(/^In force: cli@1, sha256:/) as string });
  expect((await securectl("policy", "list")).out).toMatch(/^cli +1 +sha256:/m);
  await world.attach(artifact, await world.sigstore.keyless("https://git.corp.example/other", statementOf(artifact.digest)));
  const refused = await securectl("policy", "explain", artifact.ref);
  expect(refused.exit).toBe(4);
  expect(refused.out).toMatch(/NOT MET +publisher/);
  expect(refused.out).toMatch(/refused +sha256:.*release-ci +identity-mismatch: the certificate is that of another identity/);

  const right = await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
  const allowed = await securectl("policy", "explain", artifact.ref);
  expect(allowed.exit).toBe(0);
  const rests = `^policy/cli/publisher +sha256:\\w+\n +${right}$`;
  expect(allowed.out).toMatch(new RegExp(rests, "m"));
  expect(allowed.out).toMatch(new RegExp(`counts +${right.slice(0, 19)} +release-ci: ${CI.slice(0, 20)}`));
  expect((await securectl("policy", "show", "cli", "--at", "1")).out).toContain('"mode": "enforce"');

  expect(await securectl("policy", "delete", "cli", "--yes")).toMatchObject({ exit: 0, out: "Ended: cli@1\n" });
  expect((await securectl("policy", "show", "cli")).exit).toBe(5);
  expect((await securectl("policy", "list")).out).toBe("No policies: the built-in one decides.\n");
});

test("policy apply tells what is invalid without asking the registry", async () => {
  const bad = await file("bad.yaml", stringify(policyOf("bad", "Models/*", { require: [] })));
  const { exit, err } = await securectl("policy", "apply", bad, "--server", "http://127.0.0.1:1");
  expect(exit).toBe(2);
  expect(err).toContain("spec.match.repositories[0]: must be a repository or a pattern");
});

test("policy diff tells what changed between versions and files, in words and by the published schema", async () => {
  const [first, second] = [
    world.scannedPolicy("compared", "models/compared"),
    world.scannedPolicy("compared", "models/compared", { mode: "warn" }),
  ];
  await world.putPolicy(first);
  const path = await file("compared.yaml", stringify(second));
  expect((await securectl("policy", "diff", "compared")).exit).toBe(2);
  const proposed = await securectl("policy", "diff", "compared", path);
  expect(proposed).toMatchObject({
    exit: 0,
    out: expect.stringMatching(/^From compared@1 \(sha256:\w+\) to the file \(sha256:/) as string,
  });
  expect(proposed.out).toMatch(/^looser +spec\.mode +policy: its mode is warn instead of enforce$/m);
  expect(proposed.out).toMatch(/^Together: looser/m);

  const { digest } = await world.putPolicy(second);
  const validate = createValidator().compile(JSON.parse(readFileSync("schemas/policy-diff.schema.json", "utf8")) as AnySchema);
  for (const sides of [[], ["1"], ["1", "2"], ["1", path]]) {
    const { exit, out } = await securectl("policy", "diff", "compared", ...sides, "--json");
    const diff: unknown = JSON.parse(out);
    expect([exit, validate(diff), validate.errors]).toEqual([0, true, null]);
    expect(diff).toMatchObject({ before: { version: 1 }, after: { digest }, effect: "looser", changes: [{ path: "spec.mode" }] });
  }
  expect((await securectl("policy", "diff", "compared", "2", path)).out).toMatch(/nothing that decisions depend on\.$/m);
  expect((await securectl("policy", "diff", "compared", path, "2")).exit).toBe(2);
  expect((await securectl("policy", "diff", "compared", "1", "2", "3")).exit).toBe(2);
  expect((await securectl("policy", "diff", "compared", "3")).exit).toBe(5);
  const other = await securectl(
    "policy",
    "diff",
    "compared",
    await file("other.yaml", stringify(policyOf("other", "models/x", second.spec))),
  );
  expect(other).toMatchObject({ exit: 2, err: expect.stringContaining("is the policy other, not compared") as string });
  await securectl("policy", "delete", "compared", "--yes");
});

test("policy replay tells what a policy would change, and fails when a trusted artifact would", async () => {
  const [bare, late] = [await world.push("models/replayed/bare"), await world.push("models/replayed/late")];
  expect(await world.act(bare, "promote")).toMatchObject({ status: 200 });
  const policy = world.signedPolicy("replayed", "models/replayed/*");
  const path = await file("replayed.yaml", stringify(policy));
  await world.putPolicy(policy);
  expect(await world.act(late, "promote")).toMatchObject({ status: 422 });
  await world.attach(late, await world.sigstore.keyless(CI, statementOf(late.digest)));

  const replayed = await securectl("policy", "replay", path);
  expect(replayed).toMatchObject({ exit: 4, err: expect.stringContaining("Trusted artifacts that would fail: 1.") as string });
  expect(replayed.out).toMatch(/^replayed@1: 1 trusted artifacts and 2 others were decided about\.$/m);
  expect(replayed.out).toMatch(new RegExp(`^models/replayed/bare@${bare.digest} +policy/replayed/publisher `, "m"));
  expect(replayed.out).toMatch(/^Not trusted that would pass: 1, of which 1 were refused$/m);
  expect(replayed.out).toMatch(new RegExp(`^models/replayed/late@${late.digest} +acquired +sha256:`, "m"));

  const validate = createValidator().compile(JSON.parse(readFileSync("schemas/policy-replay.schema.json", "utf8")) as AnySchema);
  const inForce = await securectl("policy", "replay", "replayed", "--repository", "**/late", "--json");
  const replay: unknown = JSON.parse(inForce.out);
  expect([inForce.exit, validate(replay), validate.errors]).toEqual([0, true, null]);
  expect(replay).toMatchObject({ examined: { trusted: 0, others: 2 }, artifacts: [{ outcome: "would-pass", digest: late.digest }] });
  expect((await securectl("policy", "replay", path, "--at", "1")).exit).toBe(2);
  expect((await securectl("policy", "replay", "replayed", "--at", "2")).exit).toBe(5);
  await securectl("policy", "delete", "replayed", "--yes");
});

test("approve is an approval that the record shows", async () => {
  const artifact = await world.push("models/approved-by-hand");
  const made = await world.send("operator", "POST /v1/credentials", '{"name":"ann","role":"reviewer","namespace":"models"}');
  const token = await file("ann", (made.json as { readonly key: string }).key);
  const approved = await securectl("approve", artifact.ref, "--reason", "read", "--token-file", token, "--json");
  expect(approved.exit).toBe(0);
  expect(JSON.parse(approved.out)).toMatchObject({ approvals: [{ by: "ann", reason: "read" }] });
  const withdrawn = await securectl("approve", artifact.ref, "--withdraw", "--reason", "licence", "--token-file", token);
  expect(withdrawn).toMatchObject({ exit: 0, out: `Withdrawn: models/approved-by-hand@${artifact.digest}\n` });
  expect((await securectl("approve", artifact.ref, "--withdraw", "--token-file", token)).exit).toBe(7);
  expect((await securectl("approve", artifact.ref)).exit).toBe(4);
});

test("promote tells what a policy in the mode warn asks for and is not met, beside what it prints", async () => {
  const [artifact, other] = [await world.push("models/warned"), await world.push("models/warned/json")];
  const path = await file("warned.yaml", stringify(world.scannedPolicy("warned", "models/warned**", { mode: "warn" })));
  expect((await securectl("policy", "apply", path)).exit).toBe(0);
  const evaluated = await securectl("evaluate", artifact.ref);
  expect(evaluated).toMatchObject({ exit: 0, out: expect.stringMatching(/^Promotion is allowed by .*, with 1 warning\.$/m) as string });

  const warning = /^warning: policy\/warned\/scan is not met, and only warns: 0 of 1 signers by security-team; nothing else is attached$/m;
  const promoted = await securectl("promote", artifact.ref);
  expect(promoted).toMatchObject({ exit: 0, out: `Promoted: ${artifact.repository}@${artifact.digest} (tags: v1)\n` });
  expect(promoted.err).toMatch(warning);
  const asJson = await securectl("promote", other.ref, "--json", "--quiet");
  expect(asJson.err).toMatch(warning);
  const said = { decision: { policies: [{ name: "warned", mode: "warn", requirements: [{ name: "scan", met: false }] }] } };
  expect(JSON.parse(asJson.out)).toMatchObject(said);

  const statement = statementOf(artifact.digest, SCAN, { result: "clean" });
  await world.attach(artifact, world.security.bundle(statement));
  expect((await securectl("promote", artifact.ref)).err).not.toContain("warning");
  await securectl("policy", "delete", "warned", "--yes");
});
