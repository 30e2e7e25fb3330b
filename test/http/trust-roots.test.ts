import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { type Artifact, CI, PolicyRegistry, SIGNED_BY_CI, policyOf } from "../support/policy-registry.ts";
import { startPrivateSigstore, statementOf } from "../support/private-sigstore.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const HOUR = 3_600_000;
const INITIAL = digestOf("the first root metadata");
const MINIMAL = { mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1" };

let world: PolicyRegistry;
beforeAll(async () => {
  world = await PolicyRegistry.start();
});
afterAll(() => world.registry.stop());

type Answered = Awaited<ReturnType<PolicyRegistry["send"]>>;

interface Update {
  readonly name?: string;
  readonly hoursAgo?: number;
  readonly version?: number;
  readonly root?: string;
}

async function update({ name = "tuf-corp", hoursAgo = 0, version = 1, root = world.sigstore.root }: Update = {}): Promise<Answered> {
  const body = {
    root_digest: INITIAL,
    updated_at: new Date(Date.now() - hoursAgo * HOUR).toISOString(),
    expires_at: new Date(Date.now() + 24 * HOUR).toISOString(),
    versions: { root: version, timestamp: version, snapshot: version, targets: version },
    trusted_root: root,
  };
  return world.send("operator", `PUT /v1/trust-roots/${name}/update`, JSON.stringify(body));
}

const updated = (name: string, repositories: string, more: object = {}): ReturnType<typeof policyOf> =>
  policyOf(name, repositories, {
    trustRoots: { corp: { tuf: { name: "tuf-corp", rootDigest: INITIAL, maxAgeHours: 72, ...more } } },
    authorities: [SIGNED_BY_CI],
    require: [{ name: "publisher", anyOf: ["release-ci"], evidence: { kind: "signature" } }],
  });

async function signed(repository: string): Promise<Artifact> {
  const artifact = await world.push(repository);
  await world.attach(artifact, await world.sigstore.keyless(CI, statementOf(artifact.digest)));
  return artifact;
}

const listed = async (): Promise<string> => (await world.send("operator", "GET /v1/trust-roots")).text;
const end = async (name: string): Promise<Answered> => world.send("operator", `DELETE /v1/trust-roots/${name}`);

describe("a trust root that is updated", () => {
  test("has to have been updated before a policy can name it", async () => {
    const refused = await world.send("operator", "PUT /v1/policies/early", JSON.stringify(updated("early", "models/early")));
    expect(refused).toMatchObject({ status: 400 });
    expect(refused.text).toContain("spec.trustRoots.corp: no update has brought tuf-corp by this root metadata");
  });

  test("is what the last update brought, and decisions name it with its time", async () => {
    expect(await update({ hoursAgo: 1 })).toMatchObject({ status: 200, json: { digest: world.root, tuf: { root_digest: INITIAL } } });
    await world.putPolicy(updated("fresh", "models/fresh"));
    const artifact = await signed("models/fresh");
    const { decision } = await world.act(artifact, "evaluate");
    expect(decision).toMatchObject({
      allowed: true,
      policies: [{ trust_roots: [world.root], updated_roots: [{ as: "corp", root_digest: INITIAL, digest: world.root, status: "fresh" }] }],
    });
    const check = decision.checks.find(({ id }) => id === "policy/fresh/trust-root/corp");
    expect(check).toMatchObject({ status: "pass", inputs: [decision.policies[0]?.digest, INITIAL, world.root] });
    const other = await startPrivateSigstore();
    expect(await update({ version: 2, root: other.root })).toMatchObject({ status: 200 });
    const late = await world.act(artifact, "promote", { expected: decision.digest });
    expect(late).toMatchObject({ status: 409, decision: { allowed: false } });
    expect(late.decision.policies[0]?.requirements[0]?.rejected).toMatchObject([{ code: "timestamp-invalid" }]);
    expect(await world.send("runtime", `GET /v1/trust-roots/tuf-corp?digest=${world.root}`)).toMatchObject({
      status: 200,
      text: world.sigstore.root,
    });
    expect(await update({ version: 3 })).toMatchObject({ status: 200 });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    await world.send("operator", "DELETE /v1/policies/fresh");
  });

  test("refuses what needs it once it is too old, by its own code, or is only warned of where the policy says so", async () => {
    expect(await end("tuf-corp")).toMatchObject({ status: 200 });
    await update({ hoursAgo: 73 });
    await world.putPolicy(updated("stale", "models/stale"));
    const artifact = await signed("models/stale");
    const refused = await world.act(artifact, "promote");
    expect(refused).toMatchObject({ status: 422, decision: { policies: [{ updated_roots: [{ status: "stale", counts: false }] }] } });
    expect(refused.decision.policies[0]?.requirements[0]?.rejected).toMatchObject([{ code: "trust-root-stale" }]);
    expect(refused.decision.checks.find(({ id }) => id === "policy/stale/trust-root/corp")).toMatchObject({
      status: "warn",
      message: expect.stringContaining("evidence that needs it counts for nothing; run `securectl trust update`") as string,
    });
    expect(await world.stateOf(artifact)).toBe("acquired");

    await world.putPolicy(updated("stale", "models/stale", { stale: "warn" }));
    const { decision } = await world.act(artifact, "evaluate");
    expect(decision).toMatchObject({ allowed: true, policies: [{ updated_roots: [{ status: "stale", counts: true }] }] });
    expect(decision.checks.find(({ id }) => id === "policy/stale/trust-root/corp")).toMatchObject({ status: "warn" });

    await world.putPolicy(updated("stale", "models/stale"));
    await update({ hoursAgo: 1 });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    await world.send("operator", "DELETE /v1/policies/stale");
  });

  test("never falls behind an earlier update, of any role or in time, and changes nothing when it would", async () => {
    await update({ version: 5, hoursAgo: 1 });
    const before = await listed();
    const older = await update({ version: 4 });
    expect(older).toMatchObject({ status: 409 });
    expect(older.text).toContain("root metadata of version 4, and the last update had 5");
    expect(await update({ version: 5, hoursAgo: 2 })).toMatchObject({ status: 409 });
    expect(await update({ version: 5, hoursAgo: -1 })).toMatchObject({ status: 400 });
    expect(await update({ version: 6, root: "{}" })).toMatchObject({ status: 400 });
    expect(await update({ version: 6, name: "Corp" })).toMatchObject({ status: 400 });
    expect(await listed()).toBe(before);
    // Made anew, a repository counts from one again: whoever knows of that says so.
    expect(await end("tuf-corp")).toMatchObject({ status: 200 });
    expect(await update({ version: 1 })).toMatchObject({ status: 200 });
  });
});

describe("a name of trust roots", () => {
  test("ends with all that is kept under it, and the documents stay", async () => {
    const [one, other] = [JSON.stringify(MINIMAL), JSON.stringify({ ...MINIMAL, tlogs: [] })];
    for (const root of [one, other])
      expect(await world.send("operator", "PUT /v1/trust-roots/ending", root)).toMatchObject({ status: 200 });
    await update({ name: "ending" });
    // A script whose variable is empty means one document, and not all of them.
    for (const query of ["digest=", `digest=&digest=${digestOf(other)}`])
      expect(await world.send("operator", `DELETE /v1/trust-roots/ending?${query}`)).toMatchObject({ status: 400 });
    const single = await world.send("operator", `DELETE /v1/trust-roots/ending?digest=${digestOf(other)}`);
    expect(single).toMatchObject({ status: 200, json: { name: "ending", digests: [digestOf(other)] } });
    expect(await end("ending")).toMatchObject({ status: 200, json: { digests: [digestOf(one), world.root].toSorted() } });
    expect(await listed()).not.toContain('"ending"');
    for (const root of [one, other, world.sigstore.root]) {
      const shown = await world.send("runtime", `GET /v1/trust-roots/ending?digest=${digestOf(root)}`);
      expect(shown).toMatchObject({ status: 200, text: root });
    }
    expect(await end("ending")).toMatchObject({ status: 404 });
    expect(await world.send("operator", "PUT /v1/trust-roots/ending", one)).toMatchObject({ status: 200 });
    await end("ending");
    const { text } = await world.send("operator", "GET /v1/audit?type=trust-root.delete&limit=1000");
    expect(text).toContain(digestOf(other));
  });

  test("stays while a policy in force names it, by digest or by its updates, and the policy cannot come in meanwhile", async () => {
    await world.putPolicy(world.signedPolicy("holding", "models/holding"));
    const refused = await end("corp-root");
    expect(refused).toMatchObject({ status: 409 });
    expect(refused.text).toContain(`the policy holding names the trust root corp-root with the digest ${world.root}`);
    await world.putPolicy(updated("holding", "models/holding"));
    expect(await end("corp-root")).toMatchObject({ status: 200 });
    expect(await end("tuf-corp")).toMatchObject({ status: 409 });
    expect(await world.send("operator", "PUT /v1/trust-roots/corp-root", world.sigstore.root)).toMatchObject({ status: 200 });
    await world.send("operator", "DELETE /v1/policies/holding");
    const policy = JSON.stringify(world.signedPolicy("holding", "models/holding"));
    for (let tries = 0; tries < 5; tries += 1) {
      await world.send("operator", "PUT /v1/trust-roots/corp-root", world.sigstore.root);
      const [put, ended] = await Promise.all([world.send("operator", "PUT /v1/policies/holding", policy), end("corp-root")]);
      expect([
        [200, 409],
        [400, 200],
      ]).toContainEqual([put.status, ended.status]);
      await world.send("operator", "DELETE /v1/policies/holding");
    }
    await world.send("operator", "PUT /v1/trust-roots/corp-root", world.sigstore.root);
  });

  test("is ended and updated by those alone who administer policies", async () => {
    for (const who of ["publisher", "runtime", "serviceToken"] as const) {
      for (const what of ["DELETE /v1/trust-roots/corp-root", "PUT /v1/trust-roots/corp-root/update"]) {
        expect(await world.send(who, what, "{}")).toMatchObject({ status: 403 });
      }
    }
    expect(await world.send("nobody", `GET /v1/trust-roots/corp-root?digest=${world.root}`)).toMatchObject({ status: 401 });
    expect(await world.send("runtime", "GET /v1/trust-roots/corp-root")).toMatchObject({ status: 400 });
    expect(await world.send("runtime", `GET /v1/trust-roots/another?digest=${world.root}`)).toMatchObject({ status: 404 });
  });

  test("that comes with the registry stays", async () => {
    expect(await end("public-good")).toMatchObject({ status: 409 });
  });
});
