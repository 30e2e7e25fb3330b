import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { loadConfig } from "../../src/config.ts";
import { followAuthorities } from "../../src/jobs/follow-authorities.ts";
import { createLogger } from "../../src/log.ts";
import { canonicalJson } from "../../src/oci/canonical-json.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { NO_SCAN_EVIDENCE } from "../../src/policy/scan-evidence.ts";
import { listAttestationKeys } from "../../src/registry/attestation-keys.ts";
import { evaluatePromotion } from "../../src/registry/evaluate.ts";
import { promote } from "../../src/registry/promote.ts";
import { findManifest } from "../../src/registry/serving.ts";
import { openRegistry } from "../../src/services.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { Change, MetadataStore } from "../../src/storage/metadata-store.ts";
import { statementRecord } from "../../src/storage/records.ts";
import { callerWith } from "../support/callers.ts";
import { type Artifact, CI, PolicyRegistry, policyOf } from "../support/policy-registry.ts";
import { ISSUER, type KeySigner, keySigner, statementOf } from "../support/private-sigstore.ts";
import { Publishers, keyOf } from "../support/publishers.ts";
import { repository } from "../support/principal.ts";
import { verified } from "../support/signed-statements.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: PolicyRegistry;
let publishers: Publishers;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  publishers = new Publishers(world);
});
afterAll(() => world.registry.stop());

// Nothing that a test revokes holds for the next one.
beforeEach(() => publishers.liftAll());

const codes = (decision: Awaited<ReturnType<PolicyRegistry["act"]>>["decision"]): string[] =>
  decision.policies.flatMap(({ requirements }) => requirements.flatMap(({ rejected }) => rejected.map(({ code }) => code)));

/** What the last statement about an artifact says. */
async function lastStatement({ repository: name, digest }: Artifact): Promise<Record<string, unknown>> {
  const rows = await world.registry.services.metadata.list(under(keys.statements(repository(name), digest as Digest), 100));
  const { payload } = statementRecord.parse(rows.at(-1)?.value);
  return (JSON.parse(payload) as { predicate: Record<string, unknown> }).predicate;
}

describe("evidence of a revoked key", () => {
  test("counts no more at the next decision, in every worker, under whichever policy", async () => {
    const signer = keySigner();
    await publishers.signedBy("at-once", [signer]);
    const artifact = await publishers.pushed("at-once", signer);
    const before = await world.act(artifact, "evaluate");
    expect(before.decision.allowed).toBe(true);
    const another = await openRegistry(loadConfig({ REGISTRY_DIR: world.registry.directory }), 8470, createLogger("silent"));
    const decide = async (): Promise<boolean> => {
      const found = await findManifest(another, repository(artifact.repository), artifact.digest as Digest);
      if (found === undefined) throw new Error("it is gone");
      const asked = { refTag: undefined, tags: [], covers: [], evidence: [], scan: NO_SCAN_EVIDENCE };
      return (await evaluatePromotion(another, repository(artifact.repository), found, asked)).decision.allowed;
    };
    expect(await decide()).toBe(true);
    const { statement } = await publishers.revoke(keyOf(signer));
    expect(await decide()).toBe(false);
    await another.close();
    const { status, decision } = await world.act(artifact, "promote");
    expect([status, codes(decision)]).toEqual([422, ["authority-revoked"]]);
    expect(decision.policies[0]?.requirements[0]?.rejected[0]?.message).toContain(statement);
    const late = await world.act(artifact, "promote", { expected: before.decision.digest });
    expect(late.status).toBe(409);
    expect((await publishers.lift(statement)).status).toBe(200);
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
  });

  test("makes a promotion that was decided before, and is not committed yet, decide anew", async () => {
    const signer = keySigner();
    await publishers.signedBy("in-flight", [signer]);
    const artifact = await publishers.pushed("in-flight", signer);
    const { services } = world.registry;
    const found = await findManifest(services, repository(artifact.repository), artifact.digest as Digest);
    if (found === undefined) throw new Error("it is gone");
    const { metadata } = services;
    let overtaken = 0;
    const commit = async (change: Change): ReturnType<MetadataStore["commit"]> => {
      if (change.audit.some(({ type, outcome }) => type === "artifact.promote" && outcome === "allow") && (overtaken += 1) === 1)
        await publishers.revoke(keyOf(signer));
      return metadata.commit(change);
    };
    const slow: MetadataStore = {
      get: (key) => metadata.get(key),
      list: (range) => metadata.list(range),
      commit,
      close: () => metadata.close(),
    };
    const rights = new Set(["promote"] as const);
    const meant = { ...found, repository: repository(artifact.repository), rights, refTag: undefined };
    const asked = { refTag: undefined, tags: [], covers: [], evidence: [], scan: NO_SCAN_EVIDENCE, reason: null, expected: undefined };
    const operator = callerWith(["operator@*"], { name: "operator" });
    await expect(promote({ ...services, metadata: slow }, operator, meant, asked)).rejects.toMatchObject({ code: "REFUSED" });
    expect([overtaken, await world.stateOf(artifact)]).toEqual([1, "acquired"]);
  });

  test("is not needed where others have signed as well", async () => {
    const [one, other] = [keySigner(), keySigner()];
    await publishers.signedBy("of-two", [one, other]);
    const artifact = await publishers.pushed("of-two", one, other);
    await publishers.revoke(keyOf(one));
    const { decision } = await world.act(artifact, "promote");
    expect([decision.allowed, codes(decision)]).toEqual([true, ["authority-revoked"]]);
  });
});

describe("evidence of a revoked identity", () => {
  test("counts when a trusted time shows that it is from before the time from which it is revoked", async () => {
    await world.putPolicy(world.signedPolicy("by-ci", "models/by-ci"));
    const artifact = await world.push("models/by-ci");
    await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
    const { decision } = await world.act(artifact, "evaluate");
    const signedAt = Date.parse(decision.policies[0]?.requirements[0]?.accepted[0]?.signed_at ?? "");
    const authority = { type: "identity", issuer: { exact: ISSUER }, subject: { glob: "https://git.corp.example/ml/**" } };
    const allowedFrom = async (from: number): Promise<boolean> => {
      const { statement } = await publishers.revoke(authority, { from: new Date(from).toISOString() });
      const after = await world.act(artifact, "evaluate");
      await publishers.lift(statement);
      return after.decision.allowed;
    };
    expect(await allowedFrom(signedAt + 1_000)).toBe(true);
    expect(await allowedFrom(signedAt)).toBe(false);
    await publishers.revoke({ ...authority, subject: { exact: "https://git.corp.example/ml/demo" } });
    expect((await world.act(artifact, "evaluate")).decision.allowed).toBe(true);
    await publishers.revoke({ ...authority, issuer: { exact: `${ISSUER}.other` } });
    expect((await world.act(artifact, "evaluate")).decision.allowed).toBe(true);
    await publishers.revoke(authority);
    expect((await world.act(artifact, "evaluate")).decision.allowed).toBe(false);
  });
});

describe("what rested on a revoked authority", () => {
  test("is revoked when it does not pass without it, by a statement that names the one that revoked the authority", async () => {
    const [lost, other] = [keySigner(), keySigner()];
    await publishers.signedBy("alone", [lost, other]);
    await publishers.signedBy("both", [lost, other]);
    const [alone, both] = [await publishers.pushed("alone", lost), await publishers.pushed("both", lost, other)];
    for (const artifact of [alone, both]) expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    const { statement } = await publishers.revoke(keyOf(lost));
    expect(await world.stateOf(alone)).toBe("trusted");
    expect(await followAuthorities(world.registry.services)).toBe(1);
    expect([await world.stateOf(alone), await world.stateOf(both)]).toEqual(["revoked", "trusted"]);
    const said = await lastStatement(alone);
    expect(said).toMatchObject({ state: "revoked", permanent: false, actor: "operator" });
    expect(said["inputs"]).toContainEqual({ digest: { sha256: statement.slice("sha256:".length) } });
    expect(await world.registry.fetchAs("runtime", `/v2/models/alone/manifests/v1`)).toMatchObject({ status: 403 });
    expect(await publishers.revoked()).toMatchObject([{ statement, followed: { revoked: 1, quarantined: 0, kept: 1 } }]);
    // Lifting reinstates nothing; a promotion by whoever may does.
    await publishers.lift(statement);
    expect(await followAuthorities(world.registry.services)).toBe(0);
    expect(await world.stateOf(alone)).toBe("revoked");
    expect(await world.act(alone, "promote")).toMatchObject({ status: 200 });
  });

  test("stays trusted when what was signed since takes its place, or when so many signers are left as the policy asks for", async () => {
    const [lost, other, third] = [keySigner(), keySigner(), keySigner()];
    await publishers.signedBy("replaced", [lost, other]);
    await publishers.signedBy("enough", [lost, other, third], 2);
    const replaced = await publishers.pushed("replaced", lost);
    const enough = await publishers.pushed("enough", lost, other, third);
    for (const artifact of [replaced, enough]) await world.act(artifact, "promote");
    await world.attach(replaced, other.bundle(statementOf(replaced.digest)));
    await publishers.revoke(keyOf(lost));
    expect(await followAuthorities(world.registry.services)).toBe(0);
    expect([await world.stateOf(replaced), await world.stateOf(enough)]).toEqual(["trusted", "trusted"]);
    // With the next one there are too few.
    await publishers.revoke(keyOf(other));
    expect(await followAuthorities(world.registry.services)).toBe(2);
    expect([await world.stateOf(replaced), await world.stateOf(enough)]).toEqual(["revoked", "revoked"]);
  });

  test("is quarantined when it was not trusted yet, and evidence is what it lacks by that", async () => {
    const [lost, other] = [keySigner(), keySigner()];
    const people = { name: "people", evidence: { kind: "approvals", minimum: 1 } };
    const signed = (signers: readonly KeySigner[]): object => ({
      authorities: [{ type: "key", name: "team", keys: signers.map(({ pem }, at) => ({ id: `k${at}`, pem })) }],
      require: [{ name: "signed", anyOf: ["team"], evidence: { kind: "signature" } }, people],
    });
    for (const name of ["waits", "waits-anyway"]) await world.putPolicy(policyOf(name, `models/${name}`, signed([lost, other])));
    const [waits, anyway, undecided] = [
      await publishers.pushed("waits", lost),
      await publishers.pushed("waits-anyway", lost, other),
      await publishers.pushed("undecided", lost),
    ];
    for (const artifact of [waits, anyway]) expect(await world.act(artifact, "promote")).toMatchObject({ status: 422 });
    const { statement } = await publishers.revoke(keyOf(lost));
    expect(await followAuthorities(world.registry.services)).toBe(1);
    expect([await world.stateOf(waits), await world.stateOf(anyway), await world.stateOf(undecided)]).toEqual([
      "quarantined",
      "acquired",
      "acquired",
    ]);
    expect((await lastStatement(waits))["inputs"]).toContainEqual({ digest: { sha256: statement.slice("sha256:".length) } });
    expect(await followAuthorities(world.registry.services)).toBe(0);
  });

  test("stays as it is under a policy that only warns, and where no policy is in force any more that it would not pass", async () => {
    const lost = keySigner();
    await world.putPolicy(
      policyOf("warns", "models/warns", {
        mode: "warn",
        authorities: [{ type: "key", name: "team", keys: [{ id: "k", pem: lost.pem }] }],
        require: [{ name: "signed", anyOf: ["team"], evidence: { kind: "signature" } }],
      }),
    );
    await publishers.signedBy("ended", [lost]);
    const [warns, ended] = [await publishers.pushed("warns", lost), await publishers.pushed("ended", lost)];
    for (const artifact of [warns, ended]) await world.act(artifact, "promote");
    await world.send("operator", "DELETE /v1/policies/ended");
    await publishers.revoke(keyOf(lost));
    expect(await followAuthorities(world.registry.services)).toBe(0);
    expect([await world.stateOf(warns), await world.stateOf(ended)]).toEqual(["trusted", "trusted"]);
  });
});

describe("a revocation of an authority", () => {
  test("is for who administers policies, and listed for everybody with a credential", async () => {
    const body = JSON.stringify({ authority: keyOf(keySigner()), reason: "x" });
    for (const who of ["publisher", "runtime"] as const) {
      expect(await world.send(who, "POST /v1/revoked-authorities", body)).toMatchObject({ status: 403 });
      expect(await world.send(who, `DELETE /v1/revoked-authorities/${digestOf("x")}`, '{"reason":"x"}')).toMatchObject({ status: 403 });
    }
    expect(await world.send("nobody", "GET /v1/revoked-authorities")).toMatchObject({ status: 401 });
    expect(await world.send("runtime", "GET /v1/revoked-authorities")).toMatchObject({ status: 200 });
  });

  test("is made once, unless another one is wider", async () => {
    const key = keyOf(keySigner());
    const late = await publishers.revoke(key, { from: "2026-03-01T00:00:00Z" });
    expect((await publishers.revoke(key, { from: "2026-03-02T00:00:00Z" })).statement).toBe(late.statement);
    const always = await publishers.revoke(key);
    expect(always.statement).not.toBe(late.statement);
    expect((await publishers.revoke(key, { from: "2026-01-01T00:00:00Z" })).statement).toBe(
      late.statement === always.statement ? "" : always.statement,
    );
    expect(await publishers.revoked()).toHaveLength(2);
  });

  test.each([
    ["a pattern that is none", { authority: { type: "identity", issuer: { exact: "x" }, subject: { glob: "***" } } }, "authority.subject"],
    ["a key by sha512", { authority: { type: "key", fingerprint: digestOf("k", "sha512") } }, "authority.fingerprint"],
    [
      "a time in the future",
      { authority: { type: "key", fingerprint: digestOf("k") }, from: "2999-01-01T00:00:00Z" },
      "from lies in the future",
    ],
    [
      "a time before 1970, by which no record could be read again",
      { authority: { type: "key", fingerprint: digestOf("k") }, from: "0020-02-29T00:00:00Z" },
      "from lies before 1970",
    ],
    ["no reason", { authority: { type: "key", fingerprint: digestOf("k") }, reason: "" }, "reason"],
  ])("is refused for %s", async (_, body, told) => {
    const { status, text } = await world.send("operator", "POST /v1/revoked-authorities", JSON.stringify({ reason: "x", ...body }));
    expect(status).toBe(400);
    expect(text).toContain(told);
  });

  test("and its lifting are links of the one chain of what the registry states of itself, as changes of policies and trust roots are", async () => {
    const signer = keySigner();
    const { statement, bundle } = await publishers.revoke(keyOf(signer));
    await publishers.lift(statement);
    await publishers.signedBy("stated", [signer]);
    const known = await listAttestationKeys(world.registry.services);
    const page = z.object({
      statements: z.array(z.object({ sequence: z.number(), kind: z.string(), statement: z.string(), bundle: z.unknown() })),
      next: z.number().nullable(),
    });
    const list = async (query: string): Promise<z.infer<typeof page>> =>
      page.parse((await world.send("runtime", `GET /v1/statements${query}`)).json);
    const { statements, next } = await list("?limit=1000");
    expect(next).toBeNull();
    let previous: string | null = null;
    for (const [at, each] of statements.entries()) {
      const said = verified(each.bundle, known).statement;
      expect(said.predicate).toMatchObject({ seq: at + 1, prev: previous === null ? null : { sha256: previous.slice(7) } });
      expect(each).toMatchObject({ sequence: at + 1, statement: digestOf(canonicalJson(said)) });
      previous = each.statement;
    }
    const [made, lifted, policy] = statements.slice(-3).map((each) => verified(each.bundle, known).statement);
    expect(verified(bundle, known).statement).toEqual(made);
    expect(made).toMatchObject({
      predicateType: "https://ai-model-registry.dev/attestations/authority-revoked/v1",
      predicate: { state: "revoked", authority: keyOf(signer), actor: "operator", reason: "stolen" },
    });
    expect(lifted?.predicate).toMatchObject({ state: "lifted", lifts: statement, reason: "found" });
    expect(policy).toMatchObject({
      predicateType: "https://ai-model-registry.dev/attestations/policy/v1",
      predicate: { inForce: true, version: 1, actor: "operator" },
    });
    expect(statements[0]).toMatchObject({ kind: "trust-root" });
    const first = await list("?limit=1");
    expect([first.statements.length, first.next]).toEqual([1, 1]);
    expect((await list("?after=1&limit=1")).statements).toMatchObject([{ sequence: 2 }]);
    expect((await list(`?after=${statements.length}`)).statements).toEqual([]);
  });
});
