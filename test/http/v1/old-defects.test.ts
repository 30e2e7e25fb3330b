import { link, readFile, stat, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { collectGarbage } from "../../../src/jobs/collect-garbage.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import type { Change, MetadataStore } from "../../../src/storage/metadata-store.ts";
import { blobsWith } from "../../support/blob-registry.ts";
import { inspectorHere } from "../../support/inspector.ts";
import { Models, inJson, plainly, sha256Of } from "../../support/models.ts";
import { OciClient } from "../../support/oci-client.ts";

// What the predecessor got wrong, and this registry must not (secai-behaviour.md, part 8).

let models: Models;
/** How often bytes of blobs were opened, and what was committed. */
let opened = 0;
const commits: Change[] = [];

function watching(metadata: MetadataStore): MetadataStore {
  return {
    get: (key) => metadata.get(key),
    list: (range) => metadata.list(range),
    commit: async (change) => {
      const outcome = await metadata.commit(change);
      if (outcome === "committed") commits.push(change);
      return outcome;
    },
    close: () => metadata.close(),
  };
}

beforeAll(async () => {
  models = await Models.start({
    around: (services) => ({
      ...services,
      inspector: inspectorHere(services.inspector),
      metadata: watching(services.metadata),
      blobs: blobsWith(services.blobs, {
        open: (...args) => {
          opened += 1;
          return services.blobs.open(...args);
        },
      }),
    }),
  });
});
afterAll(() => models[Symbol.asyncDispose]());

async function trusted(name: string): Promise<string> {
  const sha256 = await models.put(`${name}.gguf`, name);
  await models.promote(name, `${name}.gguf`, sha256);
  return pathOf(name);
}

async function pathOf(name: string): Promise<string> {
  return z.object({ path: z.string() }).parse((await models.byName("GET", "/v1/model/path", name)).json()).path;
}

describe("bytes", () => {
  test("of one model are not destroyed by registering and deleting another over their file, by whatever name", async () => {
    const path = await trusted("victim");
    const below = path.slice(models.registry.directory.length + 1);
    const body = { name: "thief", filename: below };
    expect(await models.said("POST", "/v1/model/acquire", { body })).toEqual(
      plainly(400, "invalid filename: filename names a folder of the registry itself"),
    );
    await link(path, models.at("thief.gguf"));
    await models.acquire("thief", "thief.gguf");
    await models.must("delete", "thief");
    await expect(stat(models.at("thief.gguf"))).rejects.toThrow("ENOENT");
    expect(await readFile(path, "utf8")).toBe("victim");
    expect(await pathOf("victim")).toBe(path);
  });

  test("that two models share survive the deletion of one, and go with the other", async () => {
    for (const name of ["twin-1", "twin-2"]) {
      await models.put(`${name}.gguf`, "twins");
      await models.promote(name, `${name}.gguf`, sha256Of("twins"));
    }
    const { services } = models.registry;
    const collect = (): Promise<unknown> => collectGarbage({ ...services, settings: { ...services.settings, collectGrace: -60_000 } });
    await models.must("delete", "twin-1");
    await collect();
    expect(await readFile(await pathOf("twin-2"), "utf8")).toBe("twins");
    await models.must("delete", "twin-2");
    await collect();
    expect(await services.blobs.stat(digestOf("twins"))).toBeUndefined();
  });

  test("that were put into the data directory are gone when their model is deleted, promoted or not", async () => {
    await trusted("promoted");
    await models.put("plain.gguf", "plain");
    await models.acquire("plain", "plain.gguf");
    for (const name of ["promoted", "plain"]) {
      await models.must("delete", name);
      await expect(stat(models.at(`${name}.gguf`))).rejects.toThrow("ENOENT");
    }
  });

  test("of a refused promotion leave nothing that the collector does not find", async () => {
    await using strict = await Models.start({ env: { REGISTRY_PROMOTION_POLICY: "predecessor-evidence" } });
    const sha256 = await strict.put("refused.gguf", "refused");
    const body = { name: "refused", filename: "refused.gguf", sha256 };
    expect((await strict.ask("POST", "/v1/model/promote", { body })).status).toBe(422);
    const { services } = strict.registry;
    await collectGarbage({ ...services, settings: { ...services.settings, collectGrace: -60_000 } });
    expect(await services.blobs.stat(digestOf("refused"))).toBeUndefined();
  });

  test("at the path of a model are there for other users to read, and for nobody to write", async () => {
    const path = await trusted("readable");
    expect((await stat(path)).mode & 0o777).toBe(0o444);
    for (let folder = path; folder.includes("/trusted"); folder = folder.slice(0, folder.lastIndexOf("/"))) {
      expect((await stat(folder)).mode & 0o444).toBe(0o444);
    }
  });

  test("can be brought and fetched over the network", async () => {
    const oci = new OciClient(models);
    await oci.push("models/network", "v1", { file: "n.gguf", bytes: "network" });
    await models.ask("POST", "/v1/artifacts/models/network:v1/promote", { as: "operator", body: {} });
    expect((await oci.pull("models/network", "v1")).files).toEqual({ "n.gguf": "network" });
  });
});

describe("the path", () => {
  test("is answered for any number of callers at once, none of whom takes another's turn", async () => {
    await trusted("crowded");
    const answers = await Promise.all(
      Array.from({ length: 64 }, () => models.byName("GET", "/v1/model/path", "crowded", { as: "nobody" })),
    );
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(200);
  });

  test("is answered without reading the bytes", async () => {
    await trusted("constant");
    opened = 0;
    for (let n = 0; n < 5; n += 1) await pathOf("constant");
    expect(opened).toBe(0);
  });

  test("of a model of several files is their folder", async () => {
    const layers = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "tokenizer.json"].map((title) => ({
      mediaType: "application/octet-stream",
      digest: digestOf(title),
      size: title.length,
      annotations: { "org.opencontainers.image.title": title },
    }));
    for (const content of [...layers.map(({ annotations }) => annotations["org.opencontainers.image.title"]), "{}"]) {
      await models.ask("POST", `/v2/models/sharded/blobs/uploads/?digest=${digestOf(content)}`, { as: "publisher", body: content });
    }
    const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };
    const body = { schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config, layers };
    await models.ask("PUT", "/v2/models/sharded/manifests/v1", { as: "publisher", body, headers: { "Content-Type": body.mediaType } });
    await models.ask("POST", "/v1/artifacts/models/sharded:v1/promote", { as: "operator", body: {} });
    const folder = await pathOf("models/sharded:v1");
    expect(await readFile(`${folder}/tokenizer.json`, "utf8")).toBe("tokenizer.json");
    expect(await models.info("models/sharded:v1")).toMatchObject({ format: "oci", size_bytes: expect.any(Number) as number });
  });
});

describe("what a change costs", () => {
  test("does not grow with what there is, so that a bad model can be revoked however many there are", async () => {
    const costs: number[] = [];
    for (const count of [1, 40]) {
      for (let n = 0; n < count; n += 1) {
        const name = `many-${count}-${n}`;
        await models.put(`${name}.gguf`, name);
        await models.acquire(name, `${name}.gguf`);
      }
      const last = `many-${count}-${count - 1}`;
      await models.promote(last, `${last}.gguf`, sha256Of(last));
      commits.length = 0;
      await models.must("revoke", last);
      costs.push(commits.reduce((sum, { put, remove }) => sum + put.length + remove.length, 0));
    }
    expect(costs[1]).toBe(costs[0]);
  });
});

describe("names and files", () => {
  test("belong to one live record each, whatever alias of the file is used, and to another one after deletion", async () => {
    await trusted("mine");
    for (const filename of ["mine.gguf", "./mine.gguf", "sub/../mine.gguf", ".//mine.gguf"]) {
      const answer = await models.said("POST", "/v1/model/acquire", { body: { name: "yours", filename } });
      expect(answer).toEqual(plainly(409, "artifact name or filename is already registered"));
    }
    await models.must("delete", "mine");
    await models.put("mine.gguf", "yours");
    expect(await models.acquire("yours", "sub/../mine.gguf")).toMatchObject({ state: "acquired" });
    await models.put("mine-2.gguf", "mine");
    expect(await models.acquire("mine", "mine-2.gguf")).toMatchObject({ state: "acquired" });
  });

  test("of what was revoked are trusted again under the same name, when somebody with the right says so", async () => {
    await trusted("again");
    await models.must("revoke", "again");
    expect(await models.promote("again", "again.gguf", sha256Of("again"))).toMatchObject({ state: "trusted" });
  });
});

describe("the audit", () => {
  test("tells who did what from where by which request and why, and what was refused", async () => {
    await trusted("told");
    const answer = await models.ask("POST", "/v1/model/revoke?name=told", { headers: { "User-Agent": "a-scanner/1.0" } });
    await models.ask("POST", "/v1/model/quarantine?name=told");
    await models.registry.services.refusals.flush();
    const page = await models.ask("GET", "/v1/audit?artifact=models/told&limit=1000", { as: "operator" });
    const { events } = z.object({ events: z.array(z.looseObject({ type: z.string() })) }).parse(page.json());
    expect(events.at(-1)).toMatchObject({
      type: "artifact.revoke",
      outcome: "allow",
      actor: { principal: "service-token", address: "127.0.0.1", userAgent: "a-scanner/1.0", requestId: answer.headers["x-request-id"] },
      reason: "revoked through /v1/model/revoke",
      before: { state: "trusted" },
    });
    const refused = await models.ask("GET", "/v1/audit?type=request&limit=1000", { as: "operator" });
    expect(refused.text).toContain("cannot quarantine artifact");
  });
});

describe("a tensor manifest", () => {
  test("is the one that was named at the promotion, and no other in its place", async () => {
    const sha256 = await models.put("bound.gguf", "bound");
    await models.put("bound.json", "{}");
    await models.promote("bound", "bound.gguf", sha256, { gguf_guard_manifest: "bound.json" });
    await writeFile(models.at("bound.json"), '{"tensors":[]}');
    expect(await models.byName("POST", "/v1/model/verify-manifest", "bound")).toMatchObject(
      plainly(409, "gguf-guard manifest integrity check failed"),
    );
  });
});

describe("answers", () => {
  test("are JSON for whoever asks for JSON, and show no path of the machine but where they are asked for one", async () => {
    await trusted("quiet");
    const asked: readonly (readonly [string, string, unknown?])[] = [
      ["POST", "/v1/model/acquire", { name: "x", filename: "missing.gguf" }],
      ["POST", "/v1/model/acquire", { name: "quiet", filename: "quiet.gguf" }],
      ["POST", "/v1/model/acquire", { name: "x", filename: "../x.gguf" }],
      ["POST", "/v1/model/acquire", { name: "x", filename: "credentials/x.gguf" }],
      ["POST", "/v1/model/promote", { name: "quiet", filename: "other.gguf", sha256: sha256Of("quiet") }],
      ["POST", "/v1/model/quarantine?name=quiet"],
      ["POST", "/v1/model/verify-manifest?name=quiet"],
      ["GET", "/v1/model?name=unknown"],
      ["GET", "/v1/models"],
      ["GET", "/v1/stats"],
      ["GET", "/v1/audit"],
      ["GET", "/health"],
    ];
    for (const [method, path, body] of asked) {
      const answer = await models.ask(method, path, { body, headers: { Accept: "application/json" } });
      expect({ path, type: answer.type }).toEqual({ path, type: "application/json" });
      expect(answer.text).not.toContain(models.registry.directory);
      expect(answer.text).not.toMatch(/ENOENT|EACCES|\/tmp\//);
    }
  });

  test("say [] for nothing, and never null", async () => {
    await using empty = await Models.start();
    for (const path of ["/v1/models", "/v1/audit"]) expect(await empty.said("GET", path)).toEqual(inJson(200, "[]"));
  });
});
