import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../../src/oci/media-types.ts";
import { type ContentRegistry, image, startContentRegistry } from "../../support/content-registry.ts";

const AT = "/v2/models/m";
const UNKNOWN = digestOf("nowhere");
const LAYER = digestOf("layer");

let registry: ContentRegistry;
let digest: Digest;
beforeEach(async () => {
  registry = await startContentRegistry();
  digest = await registry.push("models/m", image(), "v1");
  await registry.transition("models/m", digest, "promote", { reason: "fine" });
});
afterEach(() => registry[Symbol.asyncDispose]());

type Asked = readonly [name: string, path: () => string, headers: Readonly<Record<string, string>>, status: number];

/** What a cache is told about the answer to a GET, and to a HEAD. */
async function told([, path, headers, status]: Asked): Promise<(string | null)[]> {
  return Promise.all(
    ["GET", "HEAD"].map(async (method) => {
      const answer = await registry.ask("reader", path(), { method, headers });
      await answer.arrayBuffer();
      // RFC 9110 §14.2: Range means something for GET alone.
      const partial = method === "HEAD" && [206, 416].includes(status);
      expect([method, answer.status]).toEqual([method, partial ? 200 : status]);
      return answer.headers.get("cache-control");
    }),
  );
}

// protocol.md §9, row 22: no cache answers in the registry's place, neither with content nor with a refusal.
describe("what a cache is told", () => {
  test.each<Asked>([
    ["a manifest by tag", () => `${AT}/manifests/v1`, {}, 200],
    ["a manifest by digest", () => `${AT}/manifests/${digest}`, {}, 200],
    ["a manifest that the client has", () => `${AT}/manifests/v1`, { "If-None-Match": "*" }, 304],
    ["a blob", () => `${AT}/blobs/${LAYER}`, {}, 200],
    ["a blob that the client has", () => `${AT}/blobs/${LAYER}`, { "If-None-Match": `"${LAYER}"` }, 304],
    ["a part of a blob", () => `${AT}/blobs/${LAYER}`, { Range: "bytes=1-2" }, 206],
  ])("of %s: keep it for whoever asked, and ask each time", async (...asked) => {
    expect(await told(asked)).toEqual(["private, no-cache", "private, no-cache"]);
  });

  test.each<Asked>([
    ["tags", () => `${AT}/tags/list`, {}, 200],
    ["referrers", () => `${AT}/referrers/${digest}`, {}, 200],
    ["the catalog", () => "/v2/_catalog", {}, 200],
    ["artifacts", () => "/v1/artifacts", {}, 200],
    ["an unknown manifest", () => `${AT}/manifests/${UNKNOWN}`, {}, 404],
    ["an unknown blob", () => `${AT}/blobs/${UNKNOWN}`, {}, 404],
    ["tags of an unknown repository", () => "/v2/models/none/tags/list", {}, 404],
    ["a malformed digest", () => `${AT}/blobs/sha256:0`, {}, 400],
    ["a path without a door", () => "/v1/nothing", {}, 404],
  ])("of %s: keep nothing", async (...asked) => {
    for (const control of await told(asked)) expect(control).toMatch(/^(?:private, )?no-store$/);
  });

  test("of a part of a blob that is not there: keep nothing", async () => {
    const answer = await registry.ask("reader", `${AT}/blobs/${LAYER}`, { headers: { Range: "bytes=99-" } });
    expect([answer.status, answer.headers.get("cache-control")]).toEqual([416, "no-store"]);
  });

  test.each(["models/m", "models/none"])("of a refusal in %s: keep nothing", async (name) => {
    await registry.transition("models/m", digest, "revoke", { reason: "bad" });
    const path = `/v2/${name}/manifests/${digest}`;
    const answer = await registry.ask("reader", path);
    expect([answer.status, answer.headers.get("cache-control")]).toEqual([name === "models/m" ? 403 : 404, "no-store"]);
    expect((await fetch(answer.url)).headers.get("cache-control")).toBe("no-store");
  });

  test("of an answer to a change: keep nothing", async () => {
    const headers = { "Content-Type": OCI_IMAGE };
    const pushed = await registry.ask("publisher", `${AT}/manifests/v2`, { method: "PUT", body: JSON.stringify(image()), headers });
    expect([pushed.status, pushed.headers.get("cache-control")]).toEqual([201, "no-store"]);
  });
});
