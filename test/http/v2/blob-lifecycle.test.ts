import { get } from "node:http";
import type { IncomingMessage } from "node:http";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../../src/oci/media-types.ts";
import { auditEvent } from "../../../src/registry/audit-event.ts";
import { foldersOf, syncFolders } from "../../../src/registry/blob-folders.ts";
import { keys } from "../../../src/storage/keys.ts";
import { blobsWith } from "../../support/blob-registry.ts";
import { type TestRegistry, startTestRegistry } from "../../support/server.ts";

let registry: TestRegistry;
/** Resolves when the bytes of a blob are no longer read, for whatever reason. */
let released: PromiseWithResolvers<void>;

beforeEach(async () => {
  released = Promise.withResolvers();
  registry = await startTestRegistry({
    around: (services) => ({
      ...services,
      blobs: blobsWith(services.blobs, {
        open: async (digest, range) => (await services.blobs.open(digest, range)).once("close", released.resolve),
      }),
    }),
  });
});

afterEach(() => registry.stop());

async function push(bytes: Buffer): Promise<Digest> {
  const digest = digestOf(bytes);
  const answer = await registry.fetchAs("publisher", `/v2/models/m/blobs/uploads/?digest=${digest}`, {
    method: "POST",
    body: new Uint8Array(bytes),
  });
  expect(answer.status).toBe(201);
  return digest;
}

async function described(bytes: Buffer): Promise<object> {
  return { mediaType: "application/x.test", digest: await push(bytes), size: bytes.length };
}

/** Pushes an artifact of one layer and promotes it; the manifest's digest. */
async function promoted(weights: Buffer): Promise<Digest> {
  const config = Buffer.from('{"made":"for this test"}');
  const annotations = { "org.opencontainers.image.title": "weights.bin" };
  const layers = [{ ...(await described(weights)), annotations }];
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_IMAGE,
    artifactType: "application/x.test",
    config: await described(config),
    layers,
  });
  const put = await registry.fetchAs("publisher", "/v2/models/m/manifests/v1", {
    method: "PUT",
    body,
    headers: { "Content-Type": OCI_IMAGE },
  });
  expect(put.status).toBe(201);
  await transition(digestOf(body), "promote");
  return digestOf(body);
}

async function transition(manifest: Digest, event: "promote" | "revoke"): Promise<void> {
  const answer = await registry.fetchAs("operator", `/v1/artifacts/models/m@${manifest}/${event}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ reason: "for this test" }),
  });
  expect(answer.status).toBe(200);
}

/** What a scrubber does that finds a blob damaged. */
async function markDamaged(blob: Digest): Promise<void> {
  const { services } = registry;
  const record = (await services.metadata.get(keys.blob(blob)))?.value as Record<string, unknown>;
  const folders = await foldersOf(services, blob);
  const target = { kind: "blob", name: blob, digest: blob } as const;
  await services.metadata.commit({
    expect: [],
    put: [{ key: keys.blob(blob), value: { ...record, damaged: true } }, ...folders.put],
    remove: [],
    audit: [auditEvent(services, { principal: "system", kind: "system" }, { type: "blob.damage", target })],
  });
  await syncFolders(services, folders);
}

async function runtimeFiles(): Promise<string[]> {
  const found = await readdir(join(registry.directory, "trusted"), { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

describe("a layer of a trusted artifact", () => {
  test("that is damaged leaves the runtime tree, and comes back when the right bytes are pushed (RULES 15)", async () => {
    const weights = Buffer.from("the weights");
    await promoted(weights);
    const [file = "", ...others] = await runtimeFiles();
    expect([others, await readFile(file)]).toEqual([[], weights]);
    await markDamaged(digestOf(weights));
    expect(await runtimeFiles()).toEqual([]);
    await push(weights);
    expect(await runtimeFiles()).toEqual([file]);
    expect(await readFile(file)).toEqual(weights);
    expect((await registry.fetchAs("runtime", `/v2/models/m/blobs/${digestOf(weights)}`)).status).toBe(200);
  });

  test("cannot be deleted, and its download is cut when it is revoked", async () => {
    const weights = Buffer.alloc(24 * 1024 * 1024, "weights");
    const manifest = await promoted(weights);
    const path = `/v2/models/m/blobs/${digestOf(weights)}`;
    expect((await registry.fetchAs("publisher", path, { method: "DELETE" })).status).toBe(403);
    const auth = `runtime:${registry.credentials.runtime}`;
    const incoming = await new Promise<IncomingMessage>((resolve) => {
      get(registry.url + path, { agent: false, auth }, resolve).on("error", () => undefined);
    });
    incoming.on("error", () => undefined).on("data", () => undefined);
    const closed = new Promise((resolve) => incoming.once("close", resolve));
    incoming.pause();
    await transition(manifest, "revoke");
    await released.promise;
    incoming.resume();
    await closed;
    expect(incoming.complete).toBe(false);
    expect((await registry.fetchAs("runtime", path)).status).toBe(403);
  });
});
