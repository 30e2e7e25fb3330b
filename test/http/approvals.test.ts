import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Artifact, PolicyRegistry, type Who, policyOf } from "../support/policy-registry.ts";

let world: PolicyRegistry;
beforeAll(async () => {
  world = await PolicyRegistry.start();
});
afterAll(() => world.registry.stop());

async function approve(who: Who, artifact: Artifact): Promise<{ readonly status: number; readonly by: readonly string[] }> {
  const { status, json } = await world.send(who, `POST /v1/artifacts/${artifact.ref}/approve`, JSON.stringify({ reason: "read" }));
  const { approvals } = z.looseObject({ approvals: z.array(z.object({ by: z.string() })).default([]) }).parse(json);
  return { status, by: approvals.map(({ by }) => by) };
}

describe("approvals", () => {
  test("of as many distinct people as the policy says are needed, by nobody who uploaded, and count once a person", async () => {
    await world.putPolicy(
      policyOf("approved", "models/approved", { require: [{ name: "people", evidence: { kind: "approvals", minimum: 2 } }] }),
    );
    const artifact = await world.push("models/approved");
    const [ann, bob] = [await world.identity("ann", "reviewer"), await world.identity("bob", "reviewer")];
    expect(await approve("publisher", artifact)).toMatchObject({ status: 403 });
    expect(await approve("runtime", artifact)).toMatchObject({ status: 404 });
    expect(await approve(ann, artifact)).toEqual({ status: 200, by: ["ann"] });
    expect(await approve(ann, artifact)).toEqual({ status: 200, by: ["ann"] });
    const one = await world.act(artifact, "promote");
    expect(one).toMatchObject({ status: 422 });
    expect(one.decision.checks.at(-1)).toMatchObject({ id: "policy/approved/people", status: "fail" });
    expect(await approve(bob, artifact)).toEqual({ status: 200, by: ["ann", "bob"] });
    // One of only two who approved does not promote as well (identity.md 6.5).
    expect(await world.send(bob, `POST /v1/artifacts/${artifact.ref}/promote`, "{}")).toMatchObject({ status: 403 });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
  });

  test("end with a revocation, also when that is lifted, and with a deletion", async () => {
    await world.putPolicy(
      policyOf("once-approved", "models/once-approved", { require: [{ name: "people", evidence: { kind: "approvals", minimum: 1 } }] }),
    );
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
