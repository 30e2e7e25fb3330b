import { expect, test, vi } from "vitest";
import { z } from "zod";
import { digestOf } from "../../src/oci/digest.ts";
import { startTestRegistry } from "../support/server.ts";

const INDEX = JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] });
const DIGEST = digestOf(INDEX);
const record = z.looseObject({ state: z.string(), reason: z.string().nullable() });

test("a revocation everywhere writes the statements of every other repository without being asked again", async () => {
  const registry = await startTestRegistry();
  try {
    for (const repository of ["models/one", "models/two"]) {
      const headers = { "Content-Type": "application/vnd.oci.image.index.v1+json" };
      await registry.fetchAs("publisher", `/v2/${repository}/manifests/v1`, { method: "PUT", headers, body: INDEX });
      await registry.fetchAs("operator", `/v1/artifacts/${repository}:v1/promote`, { method: "POST" });
    }
    const body = JSON.stringify({ reason: "poisoned", everywhere: true });
    expect((await registry.fetchAs("operator", "/v1/artifacts/models/one:v1/revoke", { method: "POST", body })).status).toBe(200);
    // In force at once, whatever is written yet.
    expect((await registry.fetchAs("runtime", `/v2/models/two/manifests/${DIGEST}`)).status).toBe(403);
    await vi.waitFor(
      async () => {
        const shown = await registry.fetchAs("operator", `/v1/artifacts/models/two@${DIGEST}`);
        expect(record.parse(await shown.json())).toMatchObject({ state: "revoked", reason: "poisoned" });
      },
      { timeout: 30_000 },
    );
  } finally {
    await registry.stop();
  }
});

test("a revocation without a reason, or without a body, is one all the same, and whoever is refused is told that none was given", async () => {
  const registry = await startTestRegistry();
  try {
    const headers = { "Content-Type": "application/vnd.oci.image.index.v1+json" };
    for (const [name, body] of [
      ["silent", undefined],
      ["empty", "{}"],
    ] as const) {
      await registry.fetchAs("publisher", `/v2/models/${name}/manifests/v1`, { method: "PUT", headers, body: INDEX });
      await registry.fetchAs("operator", `/v1/artifacts/models/${name}:v1/promote`, { method: "POST" });
      const revoked = await registry.fetchAs("operator", `/v1/artifacts/models/${name}:v1/revoke`, {
        method: "POST",
        ...(body !== undefined && { body }),
      });
      expect(revoked.status).toBe(200);
      const refused = await registry.fetchAs("runtime", `/v2/models/${name}/manifests/${DIGEST}`);
      expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining("revoked: no reason was given")]);
    }
  } finally {
    await registry.stop();
  }
});
