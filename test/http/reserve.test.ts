import { afterAll, beforeAll, expect, test } from "vitest";
import { blobsWith } from "../support/blob-registry.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

const INDEX = JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] });
const TYPE = { "Content-Type": "application/vnd.oci.image.index.v1+json" };

let registry: TestRegistry;
let room = 1;

beforeAll(async () => {
  registry = await startTestRegistry({
    around: (services) => ({ ...services, blobs: blobsWith(services.blobs, { room: async () => room }) }),
  });
});
afterAll(async () => registry.stop());

test("when only the reserve is left, pushes are refused as for a full disk, and a revocation still has its room", async () => {
  await registry.fetchAs("publisher", "/v2/models/m/manifests/v1", { method: "PUT", headers: TYPE, body: INDEX });
  await registry.fetchAs("operator", "/v1/artifacts/models/m:v1/promote", { method: "POST" });
  const begun = await registry.fetchAs("publisher", "/v2/models/m/blobs/uploads/", { method: "POST" });
  const location = begun.headers.get("location") ?? "";
  room = 0;
  const start = await registry.fetchAs("publisher", "/v2/models/m/blobs/uploads/", { method: "POST" });
  const chunk = await registry.fetchAs("publisher", location, { method: "PATCH", body: "bytes" });
  const manifest = await registry.fetchAs("publisher", "/v2/models/m/manifests/v2", { method: "PUT", headers: TYPE, body: `${INDEX} ` });
  expect([start.status, chunk.status, manifest.status]).toEqual([507, 507, 507]);
  const revoked = await registry.fetchAs("operator", "/v1/artifacts/models/m:v1/revoke", { method: "POST", body: '{"reason":"bad"}' });
  expect(revoked.status).toBe(200);
  expect((await registry.fetchAs("runtime", "/v2/models/m/manifests/v1")).status).toBe(403);
  room = 1;
  const again = await registry.fetchAs("publisher", location, { method: "PATCH", body: "bytes" });
  expect([again.status, again.headers.get("range")]).toEqual([202, "0-4"]);
});
