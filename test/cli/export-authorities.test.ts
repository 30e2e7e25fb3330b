import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { layoutReport } from "../../src/api/layout-report.ts";
import { GROUNDS } from "../../src/cli/export-policies.ts";
import { followAuthorities } from "../../src/jobs/follow-authorities.ts";
import { listAttestationKeys } from "../../src/registry/attestation-keys.ts";
import { PolicyRegistry } from "../support/policy-registry.ts";
import { keySigner, statementOf } from "../support/private-sigstore.ts";
import { Publishers, keyOf } from "../support/publishers.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: PolicyRegistry;
let publishers: Publishers;
let folder: string;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  publishers = new Publishers(world);
  folder = await mkdtemp(join(tmpdir(), "securectl-authorities-"));
  const pem = (await listAttestationKeys(world.registry.services)).at(-1)?.pem ?? "";
  await writeFile(join(folder, "key.pem"), pem);
});
afterAll(async () => {
  await world.registry.stop();
  await rm(folder, { recursive: true, force: true });
});

function indexOf(text: string): { readonly manifests: readonly { readonly digest: string; readonly artifactType?: string | undefined }[] } {
  return z
    .looseObject({ manifests: z.array(z.looseObject({ digest: z.string(), artifactType: z.string().optional() })) })
    .parse(JSON.parse(text));
}

function securectl(...args: readonly string[]): Promise<Ran> {
  const { directory, url } = world.registry;
  return runSecurectl(args, { HOME: directory, REGISTRY_URL: url, REGISTRY_DIR: directory });
}

function verify(place: string, ...more: readonly string[]): Promise<Ran> {
  return securectl("verify-layout", place, "--key", join(folder, "key.pem"), ...more);
}

test("an export tells whose evidence the promotion took, and who of them is believed no more", async () => {
  const [lost, other] = [keySigner(), keySigner()];
  await publishers.signedBy("enough", [lost, other]);
  const artifact = await publishers.pushed("enough", lost, other);
  await world.act(artifact, "promote");
  const { statement } = await publishers.revoke(keyOf(lost), { reason: "stolen" });

  // Nobody knows yet whether it stays trusted.
  expect(await world.send("operator", `GET /v1/artifacts/${artifact.ref}/snapshot`)).toMatchObject({ status: 503 });
  const untouched = await publishers.pushed("untouched");
  expect(await world.send("operator", `GET /v1/artifacts/${untouched.ref}/snapshot`)).toMatchObject({ status: 200 });
  await followAuthorities(world.registry.services);

  const place = join(folder, "enough.tar");
  expect(await securectl("export", artifact.ref, place)).toMatchObject({ exit: 0 });
  const { exit, out } = await verify(place, "--require", "trusted", "--json");
  const { signers, evidence, revoked_authorities: revoked } = layoutReport.parse(JSON.parse(out));
  expect(exit).toBe(0);
  expect(revoked).toMatchObject([{ statement, authority: keyOf(lost), from: null, reason: "stolen", revoked_by: "operator" }]);
  expect(new Map(signers.map(({ signer, revoked_by: by }) => ["fingerprint" in signer && signer.fingerprint, by]))).toEqual(
    new Map([
      [keyOf(lost).fingerprint, statement],
      [keyOf(other).fingerprint, null],
    ]),
  );
  // Signatures by others are bundles too, and no statements of the registry.
  const covered = new Map(signers.map((each) => [each.evidence, true]));
  expect(new Map(evidence.map((each) => [each.digest, each.covered]))).toEqual(covered);
  expect((await verify(place)).out).toContain("of 2 attached, 2 are covered by the promotion");
  expect((await verify(place)).out).toContain(
    `Believed no more: key ${keyOf(lost).fingerprint}, who signed for signed (promotion 2): ${statement}`,
  );

  // Once it is lifted, the next export tells of nobody; the one from before stays true of its time.
  await publishers.lift(statement);
  const later = join(folder, "later.tar");
  expect(await securectl("export", artifact.ref, later)).toMatchObject({ exit: 0 });
  const lifted = layoutReport.parse(JSON.parse((await verify(later, "--json")).out));
  expect(lifted).toMatchObject({ accepted: true, revoked_authorities: [] });
  expect(lifted.signers.every(({ revoked_by: by }) => by === null)).toBe(true);
  expect((await verify(place)).exit).toBe(0);
});

test("an export tells whose evidence each promotion took, by decisions that readers get none of", async () => {
  const [first, second] = [keySigner(), keySigner()];
  await publishers.signedBy("again", [first]);
  const artifact = await publishers.pushed("again", first, second);
  const before = await world.act(artifact, "promote");
  await world.send("operator", `POST /v1/artifacts/${artifact.ref}/revoke`, '{"reason":"looked into"}');
  await publishers.signedBy("again", [second]);
  const after = await world.act(artifact, "promote");
  await world.send("operator", "DELETE /v1/policies/again");

  const place = join(folder, "again");
  for (const name of [place, join(folder, "again.tar"), join(folder, "same.tar")]) await securectl("export", artifact.ref, name);
  expect(await readFile(join(folder, "again.tar"))).toEqual(await readFile(join(folder, "same.tar")));
  const report = layoutReport.parse(JSON.parse((await verify(place, "--json")).out));
  expect(report.accepted).toBe(true);
  const told = report.signers.map(({ sequence, signer }) => [sequence, "fingerprint" in signer && signer.fingerprint]);
  expect(told).toEqual([
    [2, keyOf(first).fingerprint],
    [4, keyOf(second).fingerprint],
  ]);
  const grounds = (sequence: number): string[] =>
    report.grounds.flatMap((each) => (each.sequence === sequence && each.present ? [each.digest] : []));
  for (const [sequence, { decision }] of [[2, before] as const, [4, after] as const])
    expect(grounds(sequence)).toEqual(expect.arrayContaining([decision.digest, decision.policies[0]?.digest]));

  const { directory, url, credentials } = world.registry;
  const theirs = join(folder, "theirs");
  const env = { HOME: directory, REGISTRY_URL: url, SECURECTL_TOKEN: credentials.runtime };
  expect(await runSecurectl(["export", artifact.ref, theirs], env)).toMatchObject({ exit: 0 });
  const read = layoutReport.parse(JSON.parse((await verify(theirs, "--json")).out));
  expect(read).toMatchObject({ accepted: true, signers: [] });
  const shown = await world.send("runtime", `GET /v1/artifacts/${artifact.ref}/decision?digest=${before.decision.digest}`);
  expect(shown).toMatchObject({ status: 200, json: { policies: [{ requirements: [{ rejected: [] }] }] } });
});

test("a decision that refused is shown to who sees what is not trusted, and is no decision for anybody else", async () => {
  const signer = keySigner();
  await publishers.signedBy("refused", [signer]);
  const artifact = await publishers.pushed("refused");
  const { status, decision } = await world.act(artifact, "promote");
  await world.attach(artifact, signer.bundle(statementOf(artifact.digest)));
  const { decision: allowed } = await world.act(artifact, "promote");
  expect([status, allowed.allowed]).toEqual([422, true]);
  const ask = async (who: "operator" | "publisher" | "runtime", digest: string): Promise<number> =>
    (await world.send(who, `GET /v1/artifacts/${artifact.ref}/decision?digest=${digest}`)).status;
  expect([await ask("operator", decision.digest), await ask("publisher", decision.digest), await ask("runtime", decision.digest)]).toEqual([
    200, 200, 404,
  ]);
  expect([await ask("operator", allowed.digest), await ask("runtime", allowed.digest)]).toEqual([200, 200]);
  expect(await world.send("operator", `GET /v1/artifacts/${artifact.ref}/decision?digest=${decision.digest}`)).toMatchObject({
    json: decision,
  });
});

test("a layout without the decision of an earlier promotion is as good, and tells of the others alone", async () => {
  const [first, second] = [keySigner(), keySigner()];
  await publishers.signedBy("less", [first, second], 1);
  const artifact = await publishers.pushed("less", first);
  const before = await world.act(artifact, "promote");
  await world.attach(artifact, second.bundle(statementOf(artifact.digest)), { note: "second" });
  await world.act(artifact, "promote");
  const place = join(folder, "less");
  await securectl("export", artifact.ref, place);
  const index = indexOf(await readFile(join(place, "index.json"), "utf8"));
  const blob = (digest: string): string => join(place, "blobs/sha256", digest.slice(7));
  const isEarlier = async (digest: string): Promise<boolean> => (await readFile(blob(digest), "utf8")).includes(before.decision.digest);
  const kept = [];
  for (const entry of index.manifests) if (entry.artifactType !== GROUNDS || !(await isEarlier(entry.digest))) kept.push(entry);
  expect(kept).toHaveLength(index.manifests.length - 1);
  await writeFile(join(place, "index.json"), JSON.stringify({ ...index, manifests: kept }));
  const report = layoutReport.parse(JSON.parse((await verify(place, "--json")).out));
  expect(report).toMatchObject({ accepted: true });
  expect(new Set(report.signers.map(({ sequence }) => sequence))).toEqual(new Set([3]));
});
