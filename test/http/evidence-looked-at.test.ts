import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { digestOf, digestSchema } from "../../src/oci/digest.ts";
import { repositoryNameSchema } from "../../src/oci/reference.ts";
import { verdictOn } from "../../src/registry/verdict-cache.ts";
import { keys } from "../../src/storage/keys.ts";
import { readingRecord } from "../../src/storage/policy-records.ts";
import { VERIFIER } from "../../src/trust/verdict.ts";
import { bundled, grounds, keyAuthority } from "../trust/evidence.ts";
import { countSignatureChecks } from "../trust/signature-checks.ts";
import { type Artifact, CI, PolicyRegistry, SIGNED_BY_CI, policyOf } from "../support/policy-registry.ts";
import { keySigner, statementOf } from "../support/private-sigstore.ts";
import { keyOf } from "../support/publishers.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const looseObject = z.looseObject({});
let world: PolicyRegistry;
let opened: () => number;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  const spy = vi.spyOn(world.registry.services.blobs, "open");
  opened = () => spy.mock.calls.length;
});
afterAll(() => world.registry.stop());

/** Another worker remembers nothing of what this one did. */
async function forgetVerdicts(): Promise<void> {
  const signer = keySigner();
  const { claim, ...place } = bundled(JSON.parse(signer.bundle(statementOf(digestOf("")))));
  const authority = keyAuthority([signer.pem]);
  for (let at = 0; at < 1_024; at += 1) verdictOn({ ...place, claim, id: digestOf(String(at)) }, authority, grounds(new Date()));
}

/** A decision of a worker that remembers nothing, with what it read and checked for it. */
async function decideAnew(artifact: Artifact): Promise<{ allowed: boolean; read: number; checked: number; codes: readonly string[] }> {
  await forgetVerdicts();
  const checks = countSignatureChecks();
  const [read, checked] = [opened(), checks()];
  const { decision } = await world.act(artifact, "evaluate");
  const rejected = decision.policies.flatMap(({ requirements }) => requirements.flatMap((each) => each.rejected));
  const codes = [...rejected, ...decision.evidence.skipped].map(({ code }) => code);
  return { allowed: decision.allowed, read: opened() - read, checked: checks() - checked, codes };
}

function readingKey({ repository }: Artifact, manifest: string): ReturnType<typeof keys.reading> {
  return keys.reading(repositoryNameSchema.parse(repository), digestSchema.parse(manifest));
}

async function readingOf(artifact: Artifact, manifest: string): Promise<unknown> {
  return (await world.registry.services.metadata.get(readingKey(artifact, manifest)))?.value;
}

test("a decision about signatures that were looked at when they were attached reads none of them and checks none again", async () => {
  await world.putPolicy(world.signedPolicy("seen", "models/seen"));
  const artifact = await world.push("models/seen");
  await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
  await world.attach(artifact, keySigner().bundle(statementOf(artifact.digest)));
  await world.attach(artifact, "junk");
  expect(await decideAnew(artifact)).toEqual({ allowed: true, read: 0, checked: 0, codes: ["other-signer-type", "malformed-json"] });
});

test("it is the same, to the last byte, as one that looks at them itself", async () => {
  await world.putPolicy(world.signedPolicy("same", "models/same"));
  const artifact = await world.push("models/same");
  const signature = await world.sigstore.keyless(CI, statementOf(artifact.digest));
  const attached = [];
  for (const bytes of [signature, keySigner().bundle(statementOf(artifact.digest)), "{}", "junk"])
    attached.push(await world.attach(artifact, bytes));
  const told = (await world.act(artifact, "evaluate")).decision;
  const remove = attached.map((manifest) => readingKey(artifact, manifest));
  await world.registry.services.metadata.commit({ expect: [], put: [], remove, audit: [] });
  expect(await decideAnew(artifact)).toMatchObject({ allowed: true, read: 4 });
  expect((await world.act(artifact, "evaluate")).decision).toEqual(told);
});

test("a change of what the policy asks, or of its trust root, has the evidence verified again", async () => {
  const policy = world.signedPolicy("asks", "models/asks");
  await world.putPolicy(policy);
  const artifact = await world.push("models/asks");
  await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
  expect(await decideAnew(artifact)).toMatchObject({ allowed: true, checked: 0 });
  await world.putPolicy({ ...policy, spec: { ...policy.spec, authorities: [{ ...SIGNED_BY_CI, timestamps: 2 }] } });
  const stricter = await decideAnew(artifact);
  expect(stricter).toMatchObject({ allowed: false, codes: ["timestamp-missing"] });
  expect(stricter.checked).toBeGreaterThan(0);
  const root = JSON.stringify({ ...looseObject.parse(JSON.parse(world.sigstore.root)), certificateAuthorities: [] });
  const { json } = await world.send("operator", "PUT /v1/trust-roots/corp-root", root);
  const other = { name: "corp-root", digest: z.looseObject({ digest: z.string() }).parse(json).digest };
  await world.putPolicy({ ...policy, spec: { ...policy.spec, trustRoots: { corp: other } } });
  expect(await decideAnew(artifact)).toMatchObject({ allowed: false, codes: ["certificate-untrusted"] });
});

test("an authority that is revoked afterwards counts no more, although its evidence was verified before", async () => {
  const signer = keySigner();
  await world.putPolicy(
    policyOf("taken", "models/taken", {
      authorities: [{ type: "key", name: "team", keys: [{ id: "k", pem: signer.pem }], tlog: "ignore" }],
      require: [{ name: "signed", anyOf: ["team"], evidence: { kind: "signature" } }],
    }),
  );
  const artifact = await world.push("models/taken");
  await world.attach(artifact, signer.bundle(statementOf(artifact.digest)));
  expect(await decideAnew(artifact)).toMatchObject({ allowed: true, checked: 0 });
  const body = JSON.stringify({ authority: keyOf(signer), reason: "stolen" });
  expect(await world.send("operator", "POST /v1/revoked-authorities", body)).toMatchObject({ status: 200 });
  expect(await decideAnew(artifact)).toMatchObject({ allowed: false, checked: 0, codes: ["authority-revoked"] });
});

test("verdicts of another verifier are not relied on", async () => {
  await world.putPolicy(world.signedPolicy("older", "models/older"));
  const artifact = await world.push("models/older");
  const manifest = await world.attach(artifact, keySigner().bundle(statementOf(artifact.digest)));
  const value = readingRecord.parse(await readingOf(artifact, manifest));
  const lie = { ok: false, code: "malformed", message: "an earlier version could not read it" };
  const candidates = value.candidates.map((each) => ({
    ...each,
    verdicts: each.verdicts.map(({ of }) => ({ of, verdict: JSON.stringify(lie) })),
  }));
  const write = async (verifier: string): Promise<unknown> => {
    const put = [{ key: readingKey(artifact, manifest), value: { ...value, verifier, candidates } }];
    return world.registry.services.metadata.commit({ expect: [], put, remove: [], audit: [] });
  };
  await write(VERIFIER);
  expect(await decideAnew(artifact)).toMatchObject({ read: 0, codes: ["malformed"] });
  await write("0");
  expect(await decideAnew(artifact)).toMatchObject({ read: 1, codes: ["other-signer-type"] });
});

test("what verifies is named by the versions of the libraries that do", async () => {
  const { dependencies } = z
    .object({ dependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")));
  for (const name of ["bundle", "core", "protobuf-specs", "verify"])
    expect(VERIFIER).toContain(`${name} ${dependencies[`@sigstore/${name}`]}`);
});

test("a manifest of many layers that verify for nobody has a push check no more than a few signatures", async () => {
  const [signer, stranger] = [keySigner(), keySigner()];
  await world.putPolicy(
    policyOf("many", "models/many", {
      authorities: [{ type: "key", name: "team", keys: [{ id: "k", pem: signer.pem }], tlog: "ignore" }],
      require: [{ name: "signed", anyOf: ["team"], evidence: { kind: "signature" } }],
    }),
  );
  const artifact = await world.push("models/many");
  const layers = [];
  for (let at = 0; at < 64; at += 1) {
    const bytes = stranger.bundle(statementOf(artifact.digest, undefined, { at }));
    await world.pushBlob("models/many", bytes);
    layers.push({ mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", digest: digestOf(bytes), size: bytes.length });
  }
  const { digest, size, mediaType } = artifact;
  const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType, config, layers, subject: { mediaType, digest, size } });
  const checks = countSignatureChecks();
  await world.pushManifest("models/many", digestOf(manifest), manifest);
  expect(checks()).toBe(16);
  expect((await world.act(artifact, "evaluate")).decision).toMatchObject({ allowed: false, evidence: { considered: 64 } });
});

test("what was read goes with the manifest", async () => {
  await world.putPolicy(world.signedPolicy("gone", "models/gone"));
  const artifact = await world.push("models/gone");
  const manifest = await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
  expect(await readingOf(artifact, manifest)).toBeDefined();
  expect(await world.send("operator", `DELETE /v2/models/gone/manifests/${manifest}`)).toMatchObject({ status: 202 });
  expect(await readingOf(artifact, manifest)).toBeUndefined();
});
