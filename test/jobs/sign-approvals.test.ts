import { describe, expect, test } from "vitest";
import { signApprovals } from "../../src/jobs/sign-approvals.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { approve, withdrawApproval } from "../../src/registry/approve.ts";
import { putPolicy } from "../../src/registry/policies.ts";
import { signApproval } from "../../src/registry/sign-approval.ts";
import { mayHaveUnsigned } from "../../src/registry/unsigned-statements.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { approvalRecord, approvalStatementRecord } from "../../src/storage/policy-records.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { isInRange, statementIn } from "../support/signed-statements.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const ann = callerWith(["reviewer@models"], { name: "ann" });
const AT = repository("models/m");
const [ONE, TWO, GONE] = ["one", "two", "gone"].map((layer) => imageOf([layer])) as [object, object, object];
const BEFORE = Date.parse("2026-01-02T03:04:05Z");
const POLICY = JSON.stringify({
  apiVersion: "trust.ai-model-registry.dev/v1",
  kind: "TrustPolicy",
  metadata: { name: "people" },
  spec: { match: { repositories: ["models/*"] }, require: [{ name: "people", evidence: { kind: "approvals", minimum: 1 } }] },
});

/** A row as the version before signed approvals wrote it. */
async function keep({ services }: Transitions, artifact: Digest, person: string, generation = 1): Promise<void> {
  const value = { v: 1, by: `${person}-laptop`, reason: "read", at: BEFORE };
  const outcome = await services.metadata.commit({
    expect: [],
    put: [{ key: keys.approval(AT, artifact, generation, person), value }],
    remove: [],
    audit: [{ id: services.newId(), time: 0, type: "artifact.approve", actor: { principal: person, kind: "service" }, outcome: "allow" }],
  });
  expect(outcome).toBe("committed");
}

/** A store as the version before signed approvals left it: what it kept of a deleted artifact is there as well. */
async function old(): Promise<Transitions> {
  const at = await Transitions.start();
  await putPolicy(at.services, operator, "people", { bytes: Buffer.from(POLICY), notation: "json" });
  await at.blob(publisher, AT, "{}");
  for (const [layer, manifest] of Object.entries({ one: ONE, two: TWO, gone: GONE })) {
    await at.blob(publisher, AT, layer);
    await at.manifest(publisher, AT, manifest);
  }
  for (const person of ["ann", "bob"]) await keep(at, digestIn(ONE), person);
  await keep(at, digestIn(TWO), "ann");
  await keep(at, digestIn(GONE), "ann");
  await at.delete(operator, AT, digestIn(GONE));
  return at;
}

async function statements(at: Transitions, artifact: object): Promise<ReturnType<typeof approvalStatementRecord.parse>[]> {
  const rows = await at.services.metadata.list(under(keys.approvalStatements(AT, digestIn(artifact)), 100));
  return rows.map(({ value }) => approvalStatementRecord.parse(value));
}

describe("a store of the version before signed approvals", () => {
  test("has those that count signed, as of now, with the time at which they were given", async () => {
    await using at = await old();
    await expect(at.promote(operator, AT, digestIn(ONE))).rejects.toMatchObject({ code: "REFUSED" });
    expect(await mayHaveUnsigned(at.services)).toBe(true);
    expect(await signApprovals(at.services)).toBe(3);
    expect(await mayHaveUnsigned(at.services)).toBe(true);
    const [first, second] = await statements(at, ONE);
    const { statement, key } = await statementIn(at, first?.bundle ?? digestOf(""));
    expect(statement).toEqual(JSON.parse(first?.payload ?? ""));
    expect(statement.predicate).toMatchObject({
      person: "ann",
      actor: "ann-laptop",
      reason: "read",
      givenAt: "2026-01-02T03:04:05Z",
      policies: [],
    });
    expect(isInRange(key, Date.parse(String(statement.predicate["effectiveAt"])))).toBe(true);
    expect(JSON.parse(second?.payload ?? "")).toMatchObject({
      predicate: { person: "bob", seq: 2, prev: { sha256: first?.digest.slice(7) } },
    });
    expect(await statements(at, GONE)).toEqual([]);
    expect((await at.promote(operator, AT, digestIn(ONE))).state).toBe("trusted");
    expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual(["the approval of ann-laptop is not signed"]);
  });

  test("is signed once, and goes on where a stop or a crash left it", async () => {
    await using at = await old();
    const { metadata } = at.services;
    const stopping = new AbortController();
    const stoppingAfterOne: MetadataStore = {
      get: (key) => metadata.get(key),
      list: (range) => metadata.list(range),
      close: () => metadata.close(),
      commit: async (change) => {
        stopping.abort();
        return metadata.commit(change);
      },
    };
    await signApprovals({ ...at.services, metadata: stoppingAfterOne }, stopping.signal);
    // As if it was killed before it wrote down how far it was.
    const places = [ONE, ONE, TWO].map((artifact, n) => ({ artifact: digestIn(artifact), person: n === 1 ? "bob" : "ann" }));
    const sign = ({ artifact, person }: (typeof places)[number]): Promise<boolean> =>
      signApproval(at.services, { repository: AT, artifact, generation: 1, person });
    const unsigned = [];
    for (const place of places) {
      const row = await metadata.get(keys.approval(AT, place.artifact, 1, place.person));
      if (approvalRecord.parse(row?.value).statement === undefined) unsigned.push(place);
    }
    const [first] = unsigned;
    expect(unsigned).toHaveLength(2);
    if (first === undefined) return;
    expect(await sign(first)).toBe(true);
    expect(await sign(first)).toBe(false);
    expect(await signApprovals(at.services)).toBe(2);
    expect(await signApprovals(at.services)).toBe(0);
    expect((await statements(at, ONE)).length + (await statements(at, TWO)).length).toBe(3);
  });

  test("lets a person withdraw what is not signed yet: it is signed first", async () => {
    await using at = await old();
    await withdrawApproval(at.services, ann, await at.find(ann, AT, digestIn(ONE)), null);
    const [given, withdrawn] = await statements(at, ONE);
    expect(JSON.parse(withdrawn?.payload ?? "")).toMatchObject({
      predicate: { verdict: "withdrawn", person: "ann", withdraws: { sha256: given?.digest.slice(7) } },
    });
    await signApprovals(at.services);
    const rows = await at.services.metadata.list(under(keys.approvals(AT, digestIn(ONE), 1), 10));
    expect(rows.map(({ value }) => approvalRecord.parse(value).withdrawn ?? false)).toEqual([true, false]);
  });

  test("does not sign what was ended by a revocation", async () => {
    await using at = await old();
    await at.revoke(operator, AT, digestIn(TWO));
    expect(await signApprovals(at.services)).toBe(2);
    expect(await statements(at, TWO)).toEqual([]);
    await approve(at.services, ann, await at.find(ann, AT, digestIn(TWO)), null);
    expect(await statements(at, TWO)).toHaveLength(1);
  });
});

test("a new store has no approvals to sign", async () => {
  await using at = await Transitions.start();
  expect(await mayHaveUnsigned(at.services)).toBe(false);
  expect(await signApprovals(at.services)).toBe(0);
});
