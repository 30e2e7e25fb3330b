import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AuditEvent } from "../../src/audit/event.ts";
import { linkSchema } from "../../src/audit/chain.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

const INDEX = JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] });
const DIGEST = digestOf(INDEX);

let registry: TestRegistry;

beforeAll(async () => {
  registry = await startTestRegistry();
  const headers = { "Content-Type": "application/vnd.oci.image.index.v1+json" };
  await registry.fetchAs("publisher", "/v2/models/m/manifests/v1", { method: "PUT", headers, body: INDEX });
});
afterAll(async () => registry.stop());

/** What the audit says of one kind, without what differs at each run. */
async function eventsOf(type: string): Promise<readonly Partial<AuditEvent & { readonly by: string }>[]> {
  await registry.services.refusals.flush();
  const rows = await registry.services.metadata.list(under(keys.audits(), 1000));
  return rows
    .map(({ value }) => linkSchema.parse(value).event)
    .filter((event) => event.type === type)
    .map(({ outcome, target, reason, after, actor }) => ({ outcome, target, reason, after, by: `${actor.principal}@${actor.address}` }));
}

describe("a refusal is an event:", () => {
  test("a mutation that the caller has no right to", async () => {
    const answer = await registry.fetchAs("publisher", "/v1/artifacts/models/m:v1/promote", { method: "POST", body: "{}" });
    expect(answer.status).toBe(403);
    expect(await eventsOf("request.refused")).toContainEqual({
      outcome: "deny",
      by: "publisher@127.0.0.1",
      target: { kind: "registry", name: "/v1/artifacts/models/m:v1/promote" },
      reason: "promoting needs the permission promote on this repository",
      after: { method: "POST" },
    });
  });

  test("a read of what is hidden, which the reader is told nothing of", async () => {
    const hidden = await registry.fetchAs("runtime", `/v2/models/m/manifests/${DIGEST}`);
    expect(hidden.status).toBe(404);
    const target = { kind: "artifact", name: "models/m", digest: DIGEST };
    expect(await eventsOf("manifest.read")).toContainEqual(expect.objectContaining({ outcome: "deny", target, by: "runtime@127.0.0.1" }));
  });

  test("but no read of what never existed, so that nobody can fill the disk by asking", async () => {
    await registry.fetchAs("runtime", `/v2/models/m/manifests/${digestOf("nothing")}`);
    const asked = (await eventsOf("manifest.read")).filter(({ target }) => target?.digest === digestOf("nothing"));
    expect(asked).toEqual([]);
  });

  test("a read of what was revoked, with the reason", async () => {
    await registry.fetchAs("operator", "/v1/artifacts/models/m:v1/promote", { method: "POST", body: "{}" });
    await registry.fetchAs("operator", "/v1/artifacts/models/m:v1/revoke", { method: "POST", body: '{"reason":"poisoned"}' });
    const denied = await registry.fetchAs("runtime", `/v2/models/m/manifests/${DIGEST}`);
    expect(denied.status).toBe(403);
    expect(await eventsOf("request.refused")).toContainEqual(
      expect.objectContaining({ target: { kind: "repository", name: "models/m" }, reason: "revoked: poisoned" }),
    );
  });
});
