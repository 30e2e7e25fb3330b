import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { digestOf } from "../../src/oci/digest.ts";
import { CI, PolicyRegistry, SCAN, SIGNED_BY_CI, policyOf } from "../support/policy-registry.ts";
import { ISSUER, keySigner, statementOf } from "../support/private-sigstore.ts";

let world: PolicyRegistry;
beforeAll(async () => {
  world = await PolicyRegistry.start();
});
afterAll(() => world.registry.stop());

describe("promotion under a written policy", () => {
  test("is refused without a signature and with one of another identity, by its code, and allowed with the right one", async () => {
    const policy = await world.putPolicy(world.signedPolicy("signed", "models/signed/**"));
    const artifact = await world.push("models/signed/demo");
    const unsigned = await world.act(artifact, "promote");
    expect(unsigned).toMatchObject({ status: 422, decision: { allowed: false, policy: "signed@1" } });
    expect(await world.stateOf(artifact)).toBe("acquired");

    const wrong = await world.attach(
      artifact,
      await world.sigstore.keyless("https://git.corp.example/ml/demo/.ci/other.yml@refs/heads/main", statementOf(artifact.digest)),
    );
    const other = await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(digestOf("another artifact"))));
    const refused = await world.act(artifact, "promote");
    expect(refused.status).toBe(422);
    const [requirement] = refused.decision.policies[0]?.requirements ?? [];
    expect(requirement).toMatchObject({ met: false, accepted: [] });
    expect(Object.fromEntries(requirement?.rejected.map(({ manifest, code }) => [manifest, code]) ?? [])).toEqual({
      [wrong]: "identity-mismatch",
      [other]: "subject-mismatch",
    });
    expect(await world.stateOf(artifact)).toBe("acquired");

    const right = await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
    const { decision } = await world.act(artifact, "evaluate");
    expect(decision).toMatchObject({
      allowed: true,
      policy: "signed@1",
      policies: [{ name: "signed", version: 1, digest: policy.digest, trust_roots: [world.root] }],
    });
    expect(decision.policies[0]?.requirements[0]).toMatchObject({
      met: true,
      accepted: [{ authority: "release-ci", signer: { type: "identity", issuer: ISSUER, subject: CI }, manifest: right }],
    });
    const promoted = await world.act(artifact, "promote", { expected: decision.digest });
    expect(promoted).toMatchObject({ status: 200, decision });
    expect(promoted.decision.covers).toContain(right);
    expect(await world.stateOf(artifact)).toBe("trusted");
    expect((await world.registry.fetchAs("runtime", `/v2/${artifact.repository}/manifests/${right}`)).status).toBe(200);
  });

  test("needs every policy that matches, and another one none of those", async () => {
    await world.putPolicy(world.signedPolicy("two-signed", "models/two/**"));
    await world.putPolicy(world.scannedPolicy("two-scanned", "models/two/*"));
    const artifact = await world.push("models/two/demo");
    await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
    await world.attach(artifact, world.security.bundle(statementOf(artifact.digest, SCAN, { result: "infected" })));
    const half = await world.act(artifact, "promote");
    expect(half).toMatchObject({ status: 422, decision: { policy: "two-scanned@1, two-signed@1" } });
    expect(half.decision.checks.filter(({ status }) => status === "fail").map(({ id }) => id)).toEqual(["policy/two-scanned/scan"]);
    expect(half.decision.policies[0]?.requirements[0]?.rejected.map(({ code }) => code).toSorted()).toEqual([
      "condition-not-met",
      "other-signer-type",
    ]);
    await world.attach(artifact, world.security.bundle(statementOf(artifact.digest, SCAN, { result: "clean" })));
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    expect(await world.act(await world.push("models/three"), "promote")).toMatchObject({
      status: 200,
      decision: { policy: "built-in/closure@1", policies: [] },
    });
  });

  test("is only warned of by a policy that does not enforce, and the built-in policy decides", async () => {
    await world.putPolicy(world.scannedPolicy("warned", "models/warned", { mode: "warn" }));
    const promoted = await world.act(await world.push("models/warned"), "promote");
    expect(promoted).toMatchObject({ status: 200, decision: { policy: "built-in/closure@1" } });
    expect(promoted.decision.checks.at(-1)).toMatchObject({ id: "policy/warned/scan", status: "warn" });
  });

  test("no longer asks for what a policy wanted once that is deleted, and its versions stay", async () => {
    const policy = await world.putPolicy(world.scannedPolicy("deleted", "models/deleted"));
    const artifact = await world.push("models/deleted");
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 422 });
    expect(await world.send("operator", "DELETE /v1/policies/deleted")).toMatchObject({ status: 200, json: { in_force: false } });
    expect(await world.send("operator", "DELETE /v1/policies/deleted")).toMatchObject({ status: 404 });
    expect(await world.send("runtime", "GET /v1/policies/deleted")).toMatchObject({ status: 404 });
    expect(await world.send("runtime", "GET /v1/policies/deleted?version=1")).toMatchObject({
      status: 200,
      json: { digest: policy.digest, in_force: false },
    });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    expect(await world.putPolicy(world.scannedPolicy("deleted", "models/deleted/*"))).toMatchObject({ version: 2 });
    await world.send("operator", "DELETE /v1/policies/deleted");
  });

  test("is a conflict with the new decision when the policy changed since it was evaluated", async () => {
    await world.putPolicy(world.scannedPolicy("changed", "models/changed", { mode: "warn" }));
    const artifact = await world.push("models/changed");
    const { decision } = await world.act(artifact, "evaluate");
    expect(decision.allowed).toBe(true);
    await world.putPolicy(world.scannedPolicy("changed", "models/changed"));
    const late = await world.act(artifact, "promote", { expected: decision.digest });
    expect(late).toMatchObject({ status: 409, decision: { allowed: false, policies: [{ version: 2, mode: "enforce" }] } });
    expect(await world.stateOf(artifact)).toBe("acquired");
  });

  test("takes the same bytes of a decision from the same evidence, also when its age matters and time goes by", async () => {
    const where = [{ path: "/scanned", op: "maxAgeSeconds", value: 3_600 }];
    const require = [{ name: "fresh", anyOf: ["security-team"], evidence: { kind: "attestation", predicateType: SCAN, where } }];
    await world.putPolicy(world.scannedPolicy("fresh", "models/fresh", { require }));
    const artifact = await world.push("models/fresh");
    const scanned = new Date(Date.now() - 60_000).toISOString();
    await world.attach(
      artifact,
      world.security.bundle(statementOf(artifact.digest, SCAN, { scanned: new Date(Date.now() - 7_200_000).toISOString() })),
    );
    await world.attach(artifact, world.security.bundle(statementOf(artifact.digest, SCAN, { scanned })));
    const { decision } = await world.act(artifact, "evaluate");
    const until = new Date(Date.parse(scanned) + 3_600_000).toISOString();
    expect(decision.policies[0]?.requirements[0]).toMatchObject({
      accepted: [{ holds_until: until }],
      rejected: [{ code: "condition-not-met" }],
    });
    expect(await world.act(artifact, "promote", { expected: decision.digest })).toMatchObject({ status: 200, decision });
  });

  test("can be tried under a policy that is not in force", async () => {
    const artifact = await world.push("models/tried");
    const tried = await world.act(artifact, "evaluate", { policy: stringify(world.scannedPolicy("tried", "models/other")) });
    expect(tried).toMatchObject({ status: 200, decision: { allowed: false, policy: "tried@1" } });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200, decision: { policy: "built-in/closure@1" } });
    const body = { policy: "kind: TrustPolicy" };
    expect(await world.send("operator", `POST /v1/artifacts/${artifact.ref}/promote`, JSON.stringify(body))).toMatchObject({ status: 400 });
  });

  test("counts a key once, whatever names it has", async () => {
    const keys = [{ id: "one", pem: world.security.pem }];
    const other = keySigner();
    const authorities = [
      { type: "key", name: "team", keys },
      { type: "key", name: "again", keys: [{ id: "other-name", pem: world.security.pem }] },
      { type: "key", name: "second", keys: [{ id: "second", pem: other.pem }] },
    ];
    const require = [{ name: "both", anyOf: ["team", "again", "second"], threshold: 2, evidence: { kind: "signature" } }];
    await world.putPolicy(policyOf("counted", "models/counted", { authorities, require }));
    const artifact = await world.push("models/counted");
    for (const note of ["one", "two"])
      await world.attach(artifact, world.security.bundle(statementOf(artifact.digest, undefined, { note })));
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 422 });
    await world.attach(artifact, other.bundle(statementOf(artifact.digest)));
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
  });

  test("is not met by evidence that was revoked", async () => {
    await world.putPolicy(world.scannedPolicy("taken-back", "models/taken-back"));
    const artifact = await world.push("models/taken-back");
    const scan = await world.attach(artifact, world.security.bundle(statementOf(artifact.digest, SCAN, { result: "clean" })));
    expect(await world.act(artifact, "evaluate")).toMatchObject({ decision: { allowed: true } });
    const path = `/v1/artifacts/${artifact.repository}@${scan}/revoke`;
    expect(await world.send("operator", `POST ${path}`, JSON.stringify({ reason: "wrong scanner" }))).toMatchObject({ status: 200 });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 422 });
  });
});

describe("the doors of policies", () => {
  test("are for those who administer policies, and for reading for all", async () => {
    const body = JSON.stringify(world.scannedPolicy("mine", "models/mine"));
    for (const who of ["publisher", "runtime"] as const) {
      expect(await world.send(who, "PUT /v1/policies/mine", body)).toMatchObject({ status: 403 });
      expect(await world.send(who, "DELETE /v1/policies/mine")).toMatchObject({ status: 403 });
      expect(await world.send(who, "PUT /v1/trust-roots/mine", world.sigstore.root)).toMatchObject({ status: 403 });
      expect(await world.send(who, "GET /v1/policies")).toMatchObject({ status: 200 });
    }
    expect(await world.send("nobody", "GET /v1/policies")).toMatchObject({ status: 401 });
  });

  test("take JSON and YAML alike, count a version a change, and show the document whose digest it is", async () => {
    const policy = world.scannedPolicy("twice", "models/twice");
    const first = await world.putPolicy(policy);
    const again = await world.send("operator", "PUT /v1/policies/twice", stringify(policy), "application/yaml");
    expect(again).toMatchObject({ status: 200, json: { version: 1, digest: first.digest } });
    expect(await world.putPolicy(world.scannedPolicy("twice", "models/other"))).toMatchObject({ version: 2 });
    const shown = await world.send("runtime", "GET /v1/policies/twice");
    expect(shown).toMatchObject({
      status: 200,
      json: { version: 2, in_force: true, document: { spec: { mode: "enforce", trustRoots: {} } } },
    });
    expect(await world.send("operator", "PUT /v1/policies/other", JSON.stringify(policy))).toMatchObject({ status: 400 });
    expect(await world.send("operator", "PUT /v1/policies/twice", "policy", "text/plain")).toMatchObject({ status: 415 });
  });

  test("name the path and the rule of what is invalid, and change nothing", async () => {
    const bad = world.scannedPolicy("bad", "models/bad", { mode: "maybe" });
    const { status, text } = await world.send("operator", "PUT /v1/policies/bad", JSON.stringify(bad));
    expect(status).toBe(400);
    expect(text).toContain("spec.mode");
    const unknown = policyOf("bad", "models/bad", {
      trustRoots: { corp: { name: "corp-root", digest: digestOf("nothing") } },
      authorities: [SIGNED_BY_CI],
      require: [{ name: "publisher", anyOf: ["release-ci"], evidence: { kind: "signature" } }],
    });
    expect((await world.send("operator", "PUT /v1/policies/bad", JSON.stringify(unknown))).text).toContain(
      "spec.trustRoots.corp: there is no trust root",
    );
    expect(await world.send("runtime", "GET /v1/policies/bad")).toMatchObject({ status: 404 });
  });

  test("keep trust roots by name and digest, and list the one that comes with the registry", async () => {
    expect(await world.send("operator", "PUT /v1/trust-roots/corp-root", world.sigstore.root)).toMatchObject({
      status: 200,
      json: { digest: world.root },
    });
    expect(await world.send("operator", "PUT /v1/trust-roots/corp-root", "{}")).toMatchObject({ status: 400 });
    const { json } = await world.send("runtime", "GET /v1/trust-roots");
    expect(json).toMatchObject({
      trust_roots: [
        { name: "public-good", added_at: null },
        { name: "corp-root", digest: world.root, added_by: "operator" },
      ],
    });
  });
});
