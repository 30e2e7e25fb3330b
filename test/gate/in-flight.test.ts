import { type IncomingMessage, get } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { createLogger } from "../../src/log.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { credentialsOf } from "../../src/registry/credential-rows.ts";
import { revokeCredential } from "../../src/registry/credentials.ts";
import { disableIdentity } from "../../src/registry/disable-identity.ts";
import { type Registry, openRegistry } from "../../src/services.ts";
import type { BlobStore } from "../../src/storage/blob-store.ts";
import { blobsWith } from "../support/blob-registry.ts";
import { callerWith } from "../support/callers.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";
import { Transitions, digestIn, imageOf, indexOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "pushing" });
const operator = callerWith(["operator@*"], { name: "operating" });
/** The operator of the first start, whose identity there is. */
const administrator = callerWith(["operator@*"], { name: "operator" });
/** More than sockets hold for a client that does not read. */
const LARGE = "model ".repeat(4 * 1024 * 1024);
const AT = "models/m";
const MODEL = imageOf([LARGE]);
const TREE = indexOf([MODEL]);

let registry: TestRegistry;
let worker: Registry;
/** Another worker of the same registry: it has nothing to do with the sockets of the first. */
let elsewhere: Transitions;
/** Resolves when the registry has ceased to read the blob of the next download, whoever ended that. */
let released: PromiseWithResolvers<void>;

beforeEach(async () => {
  registry = await startTestRegistry({
    around: (services) => {
      const open: BlobStore["open"] = async (...args) => (await services.blobs.open(...args)).once("close", released.resolve);
      return { ...services, blobs: blobsWith(services.blobs, { open }) };
    },
  });
  worker = await openRegistry(loadConfig({ REGISTRY_DIR: registry.directory }), 8470, createLogger("silent"));
  elsewhere = Transitions.over(registry.directory, worker);
  await push(AT, MODEL);
  await elsewhere.manifest(publisher, AT, TREE);
});
afterEach(async () => {
  await worker.close();
  await registry.stop();
});

async function push(place: string, manifest: object): Promise<void> {
  for (const content of ["{}", LARGE]) await elsewhere.blob(publisher, place, content);
  await elsewhere.manifest(publisher, place, manifest);
}

async function keyOfRuntime(): Promise<string> {
  const [key] = await credentialsOf(worker, "runtime");
  return key?.id ?? "";
}

/** Reads what is left; how much came in all, and whether that was the whole. */
type Rest = () => Promise<{ readonly bytes: number; readonly complete: boolean }>;

/** A client that has received the beginning, and reads no further until it is told to. */
async function begin(place = AT): Promise<Rest> {
  released = Promise.withResolvers<void>();
  const headers = { Authorization: `Basic ${Buffer.from(`runtime:${registry.credentials.runtime}`).toString("base64")}` };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get(`${registry.url}/v2/${place}/blobs/${digestOf(LARGE)}`, { headers, agent: false }, resolve).on("error", reject);
  const response = await promise;
  expect(response.statusCode).toBe(200);
  // That it broke off is told by what is missing.
  response.on("error", () => undefined);
  let bytes = 0;
  const closed = new Promise((done) => response.once("close", done));
  await new Promise<void>((done) =>
    response.once("data", (chunk: Buffer) => {
      bytes += chunk.length;
      response.pause();
      done();
    }),
  );
  return async () => {
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    response.resume();
    await closed;
    return { bytes, complete: response.complete };
  };
}

describe("row 14: a download under way", () => {
  test.each([
    ["its artifact is revoked", MODEL, () => elsewhere.revoke(operator, AT, digestIn(MODEL))],
    [
      "its artifact is revoked everywhere, through another repository",
      MODEL,
      async () => {
        await push("models/other", MODEL);
        return elsewhere.revoke(operator, "models/other", digestIn(MODEL), { everywhere: true });
      },
    ],
    ["the index around its artifact is revoked", TREE, () => elsewhere.revoke(operator, AT, digestIn(TREE))],
    ["its artifact is revoked within a trusted index", TREE, () => elsewhere.revoke(operator, AT, digestIn(MODEL))],
    ["its artifact is deleted", MODEL, () => elsewhere.delete(operator, AT, digestIn(MODEL))],
  ] as const)(
    "is cut when %s, whichever worker commits that",
    async (_, root, end) => {
      await elsewhere.promote(operator, AT, digestIn(root));
      const rest = await begin();
      await end();
      // Nobody reads: the registry ends it by itself, or this waits for ever.
      await released.promise;
      const { bytes, complete } = await rest();
      expect(complete).toBe(false);
      expect(bytes).toBeLessThan(LARGE.length);
    },
    30_000,
  );

  test.each([
    ["the key that it came with is revoked", async () => revokeCredential(worker, administrator, await keyOfRuntime())],
    [
      "its reader is disabled",
      async () => disableIdentity(worker, administrator, { name: "runtime", isDisabled: true, reason: "its key leaked" }),
    ],
  ] as const)(
    "is cut when %s, whichever worker commits that",
    async (_, end) => {
      await elsewhere.promote(operator, AT, digestIn(MODEL));
      const rest = await begin();
      await end();
      await released.promise;
      expect((await rest()).complete).toBe(false);
    },
    30_000,
  );

  test("goes on when what it reads is served by another root still", async () => {
    const sentinel = imageOf([LARGE], { annotations: { a: "sentinel" } });
    await push("models/sentinel", sentinel);
    await elsewhere.promote(operator, "models/sentinel", digestIn(sentinel));
    for (const root of [MODEL, TREE]) await elsewhere.promote(operator, AT, digestIn(root));
    const rest = await begin();
    await elsewhere.revoke(operator, AT, digestIn(TREE));
    // A later revocation that ends another download: by then the watch has looked at the first one as well.
    const cut = await begin("models/sentinel");
    await elsewhere.revoke(operator, "models/sentinel", digestIn(sentinel));
    await released.promise;
    expect((await cut()).complete).toBe(false);
    expect(await rest()).toEqual({ bytes: LARGE.length, complete: true });
  }, 30_000);
});
