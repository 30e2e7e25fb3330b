import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { listAttestationKeys } from "../../src/registry/attestation-keys.ts";
import { canonicalJson } from "../../src/oci/canonical-json.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { statementRecord } from "../../src/storage/records.ts";
import { type Artifact, PolicyRegistry, type Who, policyOf } from "../support/policy-registry.ts";
import { type Statement, verified } from "../support/signed-statements.ts";

const APPROVAL = "https://ai-model-registry.dev/attestations/approval/v1";
const PREDICATE_TYPE = "dev.sigstore.bundle.predicateType";

let world: PolicyRegistry;
beforeAll(async () => {
  world = await PolicyRegistry.start();
});
afterAll(() => world.registry.stop());

const approvals = z.looseObject({
  approvals: z.array(z.object({ by: z.string(), manifest: z.string().nullable(), expires_at: z.string().nullable() })).default([]),
});

async function approve(who: Who, artifact: Artifact): Promise<{ readonly status: number; readonly by: readonly string[] }> {
  const { status, json } = await world.send(who, `POST /v1/artifacts/${artifact.ref}/approve`, JSON.stringify({ reason: "read" }));
  return { status, by: approvals.parse(json).approvals.map(({ by }) => by) };
}

async function withdraw(who: Who, artifact: Artifact): Promise<{ readonly status: number; readonly by: readonly string[] }> {
  const { status, json } = await world.send(who, `DELETE /v1/artifacts/${artifact.ref}/approve?reason=licence`);
  return { status, by: approvals.parse(json).approvals.map(({ by }) => by) };
}

function asking(name: string, minimum: number, more: object = {}): Promise<{ version: number; digest: string }> {
  const people = { name: "people", evidence: { kind: "approvals", minimum, ...more } };
  return world.putPolicy(policyOf(name, `models/${name}`, { require: [people] }));
}

const referrers = z.object({
  manifests: z.array(z.object({ digest: z.string(), annotations: z.record(z.string(), z.string()).default({}) })),
});

/** What a caller finds among the referrers of an artifact, as the registry's approvals, in the order in which they were signed. */
async function signedApprovals(who: Who, { repository, digest }: Artifact): Promise<{ manifest: string; statement: Statement }[]> {
  const { json } = await world.send(who, `GET /v2/${repository}/referrers/${digest}`);
  const found = referrers.parse(json).manifests.filter(({ annotations }) => annotations[PREDICATE_TYPE] === APPROVAL);
  const known = await listAttestationKeys(world.registry.services);
  const statements = await Promise.all(
    found.map(async (each) => {
      const manifest = JSON.parse((await world.send(who, `GET /v2/${repository}/manifests/${each.digest}`)).text) as {
        layers: { digest: string }[];
      };
      const { text } = await world.send(who, `GET /v2/${repository}/blobs/${manifest.layers[0]?.digest ?? ""}`);
      return { manifest: each.digest, statement: verified(JSON.parse(text), known).statement };
    }),
  );
  return statements.toSorted((one, other) => Number(one.statement.predicate["seq"]) - Number(other.statement.predicate["seq"]));
}

describe("approvals", () => {
  test("of as many distinct people as the policy says are needed, by nobody who uploaded, and count once a person", async () => {
    await asking("approved", 2);
    const artifact = await world.push("models/approved");
    const [ann, bob] = [await world.identity("ann", "reviewer"), await world.identity("bob", "reviewer")];
    expect(await approve("publisher", artifact)).toMatchObject({ status: 403 });
    expect(await approve("runtime", artifact)).toMatchObject({ status: 404 });
    expect(await approve(ann, artifact)).toEqual({ status: 200, by: ["ann"] });
    expect(await approve(ann, artifact)).toEqual({ status: 200, by: ["ann"] });
    // Another key of the same identity.
    expect(await approve(await world.identity("ann", "reviewer"), artifact)).toEqual({ status: 200, by: ["ann"] });
    const one = await world.act(artifact, "promote");
    expect(one).toMatchObject({ status: 422 });
    expect(one.decision.checks.at(-1)).toMatchObject({ id: "policy/approved/people", status: "fail" });
    expect(await approve(bob, artifact)).toEqual({ status: 200, by: ["ann", "bob"] });
    // One of only two who approved does not promote as well (identity.md 6.5).
    expect(await world.send(bob, `POST /v1/artifacts/${artifact.ref}/promote`, "{}")).toMatchObject({ status: 403 });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
  });

  test("end with a revocation, also when that is lifted, and with a deletion", async () => {
    await asking("once-approved", 1);
    const artifact = await world.push("models/once-approved");
    const [cat, dan] = [await world.identity("cat", "reviewer"), await world.identity("dan", "reviewer")];
    await approve(cat, artifact);
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    await world.send("operator", `POST /v1/artifacts/${artifact.ref}/revoke`, JSON.stringify({ reason: "poisoned" }));
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 422 });
    expect(await approve(dan, artifact)).toEqual({ status: 200, by: ["dan"] });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    const again = await world.act(artifact, "evaluate");
    expect(again.decision.policies[0]?.requirements[0]?.message).toContain("1 of 1 approvals by distinct people: dan");
    await world.send("operator", `DELETE /v1/artifacts/${artifact.ref}`);
    await world.push("models/once-approved");
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 422 });
  });
});

describe("an approval that is withdrawn", () => {
  test("counts no more, can be given anew, and is nobody's but who gave it", async () => {
    await asking("withdrawn", 1);
    const artifact = await world.push("models/withdrawn");
    const [fay, gus] = [await world.identity("fay", "reviewer"), await world.identity("gus", "reviewer")];
    await approve(fay, artifact);
    expect(await withdraw(gus, artifact)).toMatchObject({ status: 409 });
    expect(await withdraw("operator", artifact)).toMatchObject({ status: 403 });
    expect(await withdraw("runtime", artifact)).toMatchObject({ status: 404 });
    expect(await withdraw(fay, artifact)).toEqual({ status: 200, by: [] });
    expect(await withdraw(fay, artifact)).toMatchObject({ status: 409 });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 422 });
    expect(await approve(fay, artifact)).toEqual({ status: 200, by: ["fay"] });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
  });

  test("can be given eight times and no more, so that nobody fills the list of statements", async () => {
    const artifact = await world.push("models/fickle");
    const ida = await world.identity("ida", "reviewer");
    for (let time = 1; time <= 8; time += 1) {
      expect(await approve(ida, artifact)).toMatchObject({ status: 200 });
      expect(await withdraw(ida, artifact)).toMatchObject({ status: 200 });
    }
    expect(await approve(ida, artifact)).toMatchObject({ status: 409 });
    expect(await signedApprovals("publisher", artifact)).toHaveLength(16);
  });
});

const digestIn = (statement: Statement): object => ({ sha256: digestOf(canonicalJson(statement)).slice(7) });

describe("what is signed of approvals", () => {
  test("is chained, names person, policy and what is withdrawn, and the promotion names it among its inputs", async () => {
    const policy = await asking("stated", 1, { maxAgeSeconds: 3_600 });
    const artifact = await world.push("models/stated");
    const [jan, kim] = [await world.identity("jan", "reviewer"), await world.identity("kim", "reviewer")];
    await approve(jan, artifact);
    await withdraw(jan, artifact);
    await approve(kim, artifact);
    const [given, taken, other] = await signedApprovals("publisher", artifact);
    if (given === undefined || taken === undefined || other === undefined) throw new Error("statements are missing");
    const sha256 = expect.objectContaining({ sha256: artifact.digest.slice(7) }) as object;
    expect(given.statement.subject).toEqual([{ name: `${world.registry.host}/models/stated`, digest: sha256 }]);
    expect(given.statement.predicate).toMatchObject({
      verdict: "approved",
      person: "jan",
      actor: "jan",
      reason: "read",
      generation: 1,
      prev: null,
      policies: [{ uri: `stated@${policy.version}`, digest: { sha256: policy.digest.slice(7) } }],
      expiresAt: expect.any(String) as string,
    });
    const jans = digestIn(given.statement);
    expect(taken.statement.predicate).toMatchObject({
      verdict: "withdrawn",
      person: "jan",
      prev: jans,
      withdraws: jans,
      reason: "licence",
    });
    expect(other.statement.predicate).toMatchObject({ verdict: "approved", person: "kim", prev: digestIn(taken.statement) });
  });

  test("is an input of the promotion that counted it, by digest", async () => {
    const policy = await asking("counted", 1, { maxAgeSeconds: 3_600 });
    const artifact = await world.push("models/counted");
    const lou = await world.identity("lou", "reviewer");
    await approve(lou, artifact);
    const [{ manifest } = { manifest: "" }] = await signedApprovals("publisher", artifact);
    const { decision } = await world.act(artifact, "evaluate");
    const until = expect.any(String) as string;
    expect(decision.policies[0]?.requirements[0]?.approvals).toMatchObject([{ person: "lou", by: "lou", manifest, holds_until: until }]);
    expect(decision.checks.at(-1)?.inputs).toEqual([policy.digest, manifest]);
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    const { json } = await world.send("operator", `GET /v1/artifacts/${artifact.ref}`);
    expect(approvals.parse(json).approvals).toMatchObject([{ by: "lou", manifest }]);
    const rows = await world.registry.services.metadata.list(under(keys.allStatements(), 1_000));
    const trusted = rows
      .map(({ value }) => statementRecord.parse(value))
      .filter(({ payload }) => payload.includes(decision.digest.slice(7)));
    expect(trusted.map(({ payload }) => payload.includes(manifest.slice(7)))).toEqual([true]);
  });

  test("is hidden from readers until the artifact is trusted, readable then, and deleted by nobody", async () => {
    const artifact = await world.push("models/listed");
    const lea = await world.identity("lea", "reviewer");
    await approve(lea, artifact);
    expect(await signedApprovals("runtime", artifact)).toEqual([]);
    const [before] = await signedApprovals("publisher", artifact);
    expect(await world.send("runtime", `GET /v2/models/listed/manifests/${before?.manifest ?? ""}`)).toMatchObject({ status: 404 });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    await withdraw(lea, artifact);
    expect(await signedApprovals("runtime", artifact)).toHaveLength(2);
    for (const who of ["publisher", "operator"] as const) {
      expect(await world.send(who, `DELETE /v2/models/listed/manifests/${before?.manifest ?? ""}`)).toMatchObject({ status: 403 });
    }
    await world.send("operator", `POST /v1/artifacts/${artifact.ref}/revoke`, JSON.stringify({ reason: "poisoned" }));
    expect(await signedApprovals("runtime", artifact)).toHaveLength(2);
  });

  test("is not to be had by pushing what looks like it", async () => {
    await asking("forged", 1);
    const artifact = await world.push("models/forged");
    const mia = await world.identity("mia", "reviewer");
    const elsewhere = await world.push("models/genuine");
    await approve(mia, elsewhere);
    const [genuine] = await signedApprovals("publisher", elsewhere);
    const { text } = await world.send("publisher", `GET /v2/models/genuine/manifests/${genuine?.manifest ?? ""}`);
    const manifest = JSON.parse(text) as { config: { digest: string }; layers: { digest: string }[] };
    for (const blob of [manifest.config, ...manifest.layers]) {
      await world.pushBlob("models/forged", (await world.send("publisher", `GET /v2/models/genuine/blobs/${blob.digest}`)).text);
    }
    const { digest, size, mediaType } = artifact;
    const forged = JSON.stringify({ ...manifest, subject: { mediaType, digest, size } });
    await world.pushManifest("models/forged", digestOf(forged), forged);
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 422 });
    const { json } = await world.send("operator", `GET /v1/artifacts/${artifact.ref}`);
    expect(approvals.parse(json).approvals).toEqual([]);
  });
});
