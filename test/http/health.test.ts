import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry.stop());

const COUNTS = { acquired: 0, quarantined: 0, trusted: 0, revoked: 0, deleted: 0 };

/** What makes a request one that a proxy passed on for a stranger. */
const STRANGER = { headers: { "x-forwarded-for": "192.0.2.1" } };

describe("/health", () => {
  test.each(["nobody", "amr_000000000000000000000000000000000000"] as const)("tells the stranger %s the status alone", async (who) => {
    const answer = await registry.fetchAs(who, "/health", STRANGER);
    expect([answer.status, await answer.json()]).toEqual([200, { status: "ok" }]);
    expect(answer.headers.get("cache-control")).toBe("no-store");
  });

  test("tells who has a credential, and programs of this machine, what is here", async () => {
    const manifest = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] };
    const pushed = await registry.fetchAs("publisher", "/v2/models/health/manifests/v1", {
      method: "PUT",
      headers: { "content-type": manifest.mediaType },
      body: JSON.stringify(manifest),
    });
    expect(pushed.status).toBe(201);
    for (const answer of [await registry.fetchAs("operator", "/health", STRANGER), await registry.fetchAs("nobody", "/health")]) {
      expect(await answer.json()).toEqual({
        status: "ok",
        auth_required: true,
        model_count: 1,
        trusted_count: 0,
        state_counts: { ...COUNTS, acquired: 1 },
        damaged_count: 0,
        complete: true,
      });
    }
  });

  test.each([{ PUBLIC_URL: "https://registry.example" }, { TLS_TERMINATED_BY_PROXY: "true" }])(
    "knows no programs of this machine where others come as well (%j)",
    async (env) => {
      const open = await startTestRegistry({ env });
      expect(await (await open.fetchAs("nobody", "/health")).json()).toEqual({ status: "ok" });
      await open.stop();
    },
  );

  test("shows development mode to everybody", async () => {
    const loud = await startTestRegistry({ env: { INSECURE_DEV_MODE: "true" } });
    expect(await (await loud.fetchAs("nobody", "/health", STRANGER)).json()).toEqual({ status: "ok", insecure_dev_mode: true });
    await loud.stop();
  });
});

test("/livez and /readyz are ok while everything can be written", async () => {
  for (const path of ["/livez", "/readyz"]) {
    const answer = await registry.fetchAs("nobody", path);
    expect([answer.status, await answer.json()]).toEqual([200, { status: "ok" }]);
  }
});

describe("/readyz", () => {
  test("is 503 while the server drains, and /livez and /health are not", async () => {
    const draining = await startTestRegistry({ draining: () => true });
    const statuses = [];
    for (const path of ["/readyz", "/livez", "/health"]) statuses.push((await draining.fetchAs("nobody", path)).status);
    expect(statuses).toEqual([503, 200, 200]);
    await draining.stop();
  });

  test("is degraded while only the reserve is left of the storage: what is there is served, and nothing new is taken in", async () => {
    const full = await startTestRegistry({
      around: (services) => ({
        ...services,
        blobs: Object.assign(Object.create(services.blobs) as typeof services.blobs, {
          room: () => Promise.resolve(0),
          stage: (upload: string) => services.blobs.stage(upload),
          discard: (upload: string) => services.blobs.discard(upload),
        }),
      }),
    });
    const answer = await full.fetchAs("nobody", "/readyz");
    expect([answer.status, await answer.json()]).toEqual([200, { status: "degraded" }]);
    expect((await full.fetchAs("publisher", "/v2/models/a/blobs/uploads/", { method: "POST" })).status).toBe(507);
    expect((await full.fetchAs("publisher", "/v2/models/a/tags/list")).status).toBe(404);
    await full.stop();
  });

  test("is 503 without a detail when uploads cannot be written, and asks the disk once in a while only", async () => {
    let asked = 0;
    const failing = await startTestRegistry({
      around: (services) => ({
        ...services,
        blobs: Object.assign(Object.create(services.blobs) as typeof services.blobs, {
          stage: () => {
            asked += 1;
            return Promise.reject(Object.assign(new Error("ENOSPC: /secret/path"), { code: "ENOSPC" }));
          },
        }),
      }),
    });
    for (let count = 0; count < 3; count += 1) {
      const answer = await failing.fetchAs("nobody", "/readyz");
      expect([answer.status, await answer.json()]).toEqual([503, { status: "unavailable" }]);
    }
    expect(asked).toBe(1);
    await failing.stop();
  });
});
