import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { modelEventJson, modelEventSchema } from "../../../src/audit/model-event.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { GOLDEN } from "../../formats/build-gguf.ts";
import { chainFaults, modelFaults } from "../../support/model-invariants.ts";
import { Models, inJson, plainly, sha256Of } from "../../support/models.ts";
import { OciClient } from "../../support/oci-client.ts";

let models: Models;
let oci: OciClient;
beforeAll(async () => {
  // With the real inspector: what the config says is read from the file by a process of its own.
  models = await Models.start();
  oci = new OciClient(models);
});
afterAll(() => models[Symbol.asyncDispose]());

const GOLDEN_TEXT = GOLDEN.toString("utf8");

describe("a registered artifact by OCI", () => {
  let digest: string;
  let blobs: readonly [config: string, layer: string];
  beforeAll(async () => {
    await models.put("golden/golden.gguf", GOLDEN);
    ({ digest } = await models.acquire("Golden (Q8)", "golden/golden.gguf", { source: "https://ex.test/golden" }));
    const { repository } = await models.info("Golden (Q8)");
    const { text } = await models.ask("GET", `/v2/${repository}/manifests/${digest}`, { as: "publisher" });
    const { config, layers } = z
      .object({ config: z.object({ digest: z.string() }), layers: z.array(z.object({ digest: z.string() })) })
      .parse(JSON.parse(text));
    blobs = [config.digest, layers[0]?.digest ?? ""];
  });

  test("is nothing to a runtime in any state but trusted, by any of its names", async () => {
    const { repository } = await models.info("Golden (Q8)");
    const all = [digest, ...blobs] as const;
    const seen = (): Promise<number[]> => oci.statuses(repository, all, "runtime");
    expect(await seen()).toEqual([404, 404, 404, 404]);
    await models.must("quarantine", "Golden (Q8)");
    expect(await seen()).toEqual([404, 404, 404, 404]);
    await models.promote("Golden (Q8)", "golden/golden.gguf", sha256Of(GOLDEN));
    expect(await seen()).toEqual([200, 200, 200, 200]);
    await models.must("revoke", "Golden (Q8)");
    expect(await seen()).toEqual([403, 403, 403, 403]);
    await models.promote("Golden (Q8)", "golden/golden.gguf", sha256Of(GOLDEN));
    expect(await seen()).toEqual([200, 200, 200, 200]);
  });

  test("is pulled whole, by its digest and by the tag latest, as a ModelPack artifact that says what the file's header says", async () => {
    const { repository } = await models.info("Golden (Q8)");
    const pulled = await oci.pull(repository, digest);
    expect(await oci.pull(repository, "latest")).toEqual(pulled);
    const layer = { mediaType: "application/vnd.cncf.model.weight.v1.raw", digest: digestOf(GOLDEN), size: 416 };
    const path = { "org.cncf.model.filepath": "golden/golden.gguf", "org.opencontainers.image.title": "golden/golden.gguf" };
    expect(pulled.manifest).toMatchObject({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType: "application/vnd.cncf.model.manifest.v1+json",
      config: { mediaType: "application/vnd.cncf.model.config.v1+json", digest: blobs[0] },
      layers: [{ ...layer, annotations: path }],
      annotations: { "dev.ai-model-registry.name": "Golden (Q8)", "dev.ai-model-registry.source": "https://ex.test/golden" },
    });
    expect(pulled.config).toEqual({
      descriptor: { name: "Golden (Q8)", family: "llama" },
      config: { format: "gguf", quantization: "Q8_0" },
      modelfs: { type: "layers", diffIds: [digestOf(GOLDEN)] },
    });
    expect(pulled.files).toEqual({ "golden/golden.gguf": GOLDEN_TEXT });
    expect(pulled.digest).toBe(digest);
  });

  test("has the same digest whenever and wherever it is acquired", async () => {
    await using other = await Models.start();
    await other.put("golden/golden.gguf", GOLDEN);
    const again = await other.acquire("Golden (Q8)", "./golden/golden.gguf", { source: "https://ex.test/golden" });
    expect(again.digest).toBe(digest);
  });

  test("of a file whose header tells nothing says its format alone", async () => {
    await models.put("opaque.gguf", "no header");
    const { repository, digest: opaque, sha256 } = await models.acquire("opaque", "opaque.gguf");
    expect((await oci.pull(repository, opaque, "publisher")).config).toEqual({
      descriptor: { name: "opaque" },
      config: { format: "gguf" },
      modelfs: { type: "layers", diffIds: [`sha256:${sha256}`] },
    });
  });

  test("comes with the statements of its transitions as referrers", async () => {
    const { repository } = await models.info("Golden (Q8)");
    const { text } = await models.ask("GET", `/v2/${repository}/referrers/${digest}`, { as: "runtime" });
    const { manifests } = z
      .object({ manifests: z.array(z.object({ annotations: z.record(z.string(), z.string()) })) })
      .parse(JSON.parse(text));
    const told = manifests.map(({ annotations }) =>
      ["seq", "state"].map((key) => annotations[`dev.ai-model-registry.lifecycle.${key}`]).join(" "),
    );
    expect(told).toEqual(expect.arrayContaining(["1 acquired", "2 quarantined", "3 trusted", "4 revoked", "5 trusted"]));
  });
});

async function native(event: string, name: string, body: object = {}): Promise<string> {
  const answer = await models.ask("POST", `/v1/artifacts/models/${name}:latest/${event}`, { as: "operator", body });
  return `${answer.status} ${(answer.json() as { state?: string }).state}`;
}

describe("one record by both doors", () => {
  test("moves by either, is seen by both, and either adds to the one chain", async () => {
    await models.put("moved.gguf", "moved");
    const { digest } = await models.acquire("moved", "moved.gguf");
    expect(await native("quarantine", "moved")).toBe("200 quarantined");
    expect(await models.info("moved")).toMatchObject({ state: "quarantined", digest });
    await models.promote("moved", "moved.gguf", sha256Of("moved"), { scan_results: { yara: "pass" }, scanner_versions: { yara: "4.5" } });
    const shown = await models.ask("GET", `/v1/artifacts/models/moved@${digest}`, { as: "operator" });
    expect(shown.json()).toMatchObject({
      state: "trusted",
      digest,
      tags: ["latest"],
      promoted_tags: ["latest"],
      pushed_by: "service-token",
    });
    expect(await native("revoke", "moved", { reason: "bad" })).toBe("200 revoked");
    // What was said of it before stays.
    expect(await models.info("moved")).toMatchObject({ state: "revoked", scan_results: { yara: "pass" } });
    expect(await native("promote", "moved")).toBe("200 trusted");
    expect((await models.ask("DELETE", `/v2/models/moved/manifests/${digest}`, { as: "operator" })).status).toBe(202);
    expect(await models.info("moved")).toMatchObject({ state: "deleted" });
    const answer = await models.ask("GET", "/v1/audit");
    const events = z.array(modelEventSchema).parse(answer.json());
    expect(chainFaults(events)).toEqual([]);
    // Each as the predecessor writes it, byte by byte.
    expect(answer.text).toBe(`[${events.map(modelEventJson).join(",")}]\n`);
    const own = events
      .filter(({ name }) => name === "moved")
      .map(({ action, from_state: from, to_state: to }) => `${action} ${from} ${to}`);
    expect(own).toEqual([
      "acquire undefined acquired",
      "quarantine acquired quarantined",
      "promote quarantined trusted",
      "revoke trusted revoked",
      "promote revoked trusted",
      "delete trusted deleted",
    ]);
    expect(await modelFaults(models.registry.services.metadata)).toEqual([]);
  });

  test("is told of to the last number and name in a fingerprint, so that its hash is right whenever it is read", async () => {
    const sha256 = await models.put("exact.gguf", "exact");
    const fingerprint =
      '{"neg":-0,"int":9007199254740993,"__proto__":{"x":1},"10":1,"9":2,"e":1e21,"tiny":1e-7,"l":[1,[-0,{}]],"nul":null}';
    const body = `{"name":"exact","filename":"exact.gguf","sha256":"${sha256}","gguf_guard_fingerprint":${fingerprint}}`;
    const answer = await models.ask("POST", "/v1/model/promote", { body });
    expect(answer.text).toContain(
      '"gguf_guard_fingerprint":{"10":1,"9":2,"__proto__":{"x":1},"e":1e+21,"int":9007199254740992,"l":[1,[-0,{}]],"neg":-0,"nul":null,"tiny":1e-7}',
    );
    expect((await models.byName("GET", "/v1/model", "exact")).text).toBe(answer.text);
    const events = z.array(modelEventSchema).parse((await models.ask("GET", "/v1/audit")).json());
    expect(chainFaults(events)).toEqual([]);
    const infinite = `{"name":"exact","filename":"exact.gguf","sha256":"${sha256}","gguf_guard_fingerprint":{"a":1e400}}`;
    expect(await models.said("POST", "/v1/model/promote", { body: infinite })).toEqual(plainly(400, "invalid request body"));
  });

  test("is history to both: who, when and why, which the predecessor's chain does not tell", async () => {
    const { digest } = await models.info("moved");
    const answer = await models.ask("GET", `/v1/artifacts/models/moved@${digest}/history`, { as: "operator" });
    const { history } = z
      .object({ history: z.array(z.looseObject({ actor: z.string(), reason: z.string().nullable() })) })
      .parse(answer.json());
    expect(history.map(({ actor, reason }) => [actor, reason])).toEqual([
      ["service-token", null],
      ["operator", null],
      ["service-token", null],
      ["operator", "bad"],
      ["operator", null],
      ["operator", null],
    ]);
  });

  test("shows when its state changed last, by whichever door", async () => {
    await models.put("dated.gguf", "dated");
    await models.acquire("dated", "dated.gguf");
    await native("quarantine", "dated");
    const shown = await models.ask("GET", "/v1/artifacts/models/dated:latest", { as: "operator" });
    const { changed_at: changed } = shown.json() as { changed_at: string };
    expect((await models.info("dated")).promoted_at).toBe(`${changed.slice(0, 19)}Z`);
  });

  test("by the service token: its predecessor's rights on what is registered, by either door, and no more than RULES 21 gives on what is pushed", async () => {
    await models.put("own.gguf", "own");
    await models.acquire("own", "own.gguf");
    await oci.push("models/theirs", "v1", { file: "theirs.gguf", bytes: "theirs" });
    const statuses: Record<string, number[]> = { "own:latest": [], "theirs:v1": [] };
    for (const name of Object.keys(statuses)) {
      for (const event of ["quarantine", "promote", "revoke"]) {
        const body = event === "revoke" ? { reason: "bad" } : {};
        statuses[name]?.push((await models.ask("POST", `/v1/artifacts/models/${name}/${event}`, { body })).status);
      }
      statuses[name]?.push((await models.ask("DELETE", `/v1/artifacts/models/${name}`)).status);
    }
    expect(statuses).toEqual({ "own:latest": [200, 200, 200, 200], "theirs:v1": [403, 403, 200, 403] });
  });
});

describe("an artifact that was pushed by OCI, by the predecessor's doors", () => {
  const NAME = "models/pushed:v1";
  beforeAll(async () => {
    await oci.push("models/pushed", "v1", { file: "pushed.gguf", bytes: "pushed" });
  });

  const shown = (path: string): Promise<number> =>
    models.ask("GET", `${path}?name=${encodeURIComponent(NAME)}`, { as: "operator" }).then(({ status }) => status);

  test("is listed, shown and located by its tag, moves by who may move it, and never by the service token's acquire or promote", async () => {
    expect([await shown("/v1/model"), await shown("/v1/model/path")]).toEqual([200, 403]);
    const by = (method: "POST" | "DELETE", event: string, as: "operator" | "serviceToken"): Promise<{ status: number; text: string }> =>
      models.said(method, `/v1/model/${event}?name=${encodeURIComponent(NAME)}`, { as });
    expect(await by("POST", "quarantine", "serviceToken")).toMatchObject(
      plainly(403, "quarantining needs the permission quarantine on this repository"),
    );
    expect(await by("POST", "quarantine", "operator")).toMatchObject(inJson(200, `{"name":"${NAME}","status":"quarantined"}`));
    const body = { name: NAME, filename: "pushed.gguf", sha256: sha256Of("pushed") };
    expect((await models.said("POST", "/v1/model/promote", { body })).status).toBe(400);
    await models.ask("POST", "/v1/artifacts/models/pushed:v1/promote", { as: "operator", body: {} });
    expect([await shown("/v1/model"), await shown("/v1/model/path")]).toEqual([200, 200]);
    expect(await by("POST", "revoke", "serviceToken")).toMatchObject(inJson(200, `{"name":"${NAME}","status":"revoked"}`));
    expect([await shown("/v1/model"), await shown("/v1/model/path")]).toEqual([200, 403]);
    expect((await by("DELETE", "delete", "serviceToken")).status).toBe(403);
    expect(await by("DELETE", "delete", "operator")).toMatchObject(inJson(200, `{"name":"${NAME}","status":"deleted"}`));
    // Its tag is gone with it.
    expect([await shown("/v1/model"), await shown("/v1/model/path")]).toEqual([404, 404]);
  });

  test("leaves the predecessor's chain alone", async () => {
    const events = z.array(modelEventSchema).parse((await models.ask("GET", "/v1/audit")).json());
    expect(events.filter(({ name }) => name.startsWith("models/"))).toEqual([]);
  });
});
