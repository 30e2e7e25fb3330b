import { expect, test } from "vitest";
import { startTestRegistry } from "../support/server.ts";

const INDEX = JSON.stringify({ schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] });
const REPOSITORIES = Array.from({ length: 8 }, (_, at) => `models/r${at}`);

test("transitions of different repositories do not stand in each other's way", async () => {
  let conflicts = 0;
  const registry = await startTestRegistry({
    around: (services) => ({
      ...services,
      metadata: {
        get: (key) => services.metadata.get(key),
        list: (range) => services.metadata.list(range),
        close: () => services.metadata.close(),
        commit: async (change) => {
          const outcome = await services.metadata.commit(change);
          conflicts += outcome === "conflict" ? 1 : 0;
          return outcome;
        },
      },
    }),
  });
  try {
    for (const repository of REPOSITORIES) {
      const headers = { "Content-Type": "application/vnd.oci.image.index.v1+json" };
      await registry.fetchAs("publisher", `/v2/${repository}/manifests/v1`, { method: "PUT", headers, body: INDEX });
    }
    const promoted = REPOSITORIES.map((repository) =>
      registry.fetchAs("operator", `/v1/artifacts/${repository}:v1/promote`, { method: "POST" }),
    );
    expect((await Promise.all(promoted)).map(({ status }) => status)).toEqual(REPOSITORIES.map(() => 200));
    expect(conflicts).toBe(0);
  } finally {
    await registry.stop();
  }
});
