import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GOLDEN } from "../../formats/build-gguf.ts";
import { startModels } from "../../support/model-doors.ts";
import { type Models, inJson, plainly, sha256Of } from "../../support/models.ts";

const PATH = "/v1/model/promote";
const HASH = "a".repeat(64);
const EVIDENCE = {
  scan_results: { yara: "pass", modelscan: "pass" },
  scanner_versions: { modelscan: "0.8.5", yara: "4.5" },
  policy_version: "2026-03",
  source_revision: "main",
  gguf_guard_fingerprint: { z: 1.5, a: [1, { b: true }] },
};

let models: Models;
beforeAll(async () => {
  models = await startModels();
});
afterAll(() => models[Symbol.asyncDispose]());

async function putAndAcquire(name: string, more: object = {}): Promise<{ name: string; filename: string; sha256: string }> {
  const sha256 = await models.put(`${name}.gguf`, name);
  await models.acquire(name, `${name}.gguf`, more);
  return { name, filename: `${name}.gguf`, sha256 };
}

describe("promote answers", () => {
  test("201 with the record as the predecessor writes it, evidence included", async () => {
    const sha256 = await models.put("golden.gguf", GOLDEN);
    await models.put("golden.json", "{}");
    await models.acquire("golden", "golden.gguf");
    const body = { name: "golden", filename: "golden.gguf", sha256, size_bytes: 416, ...EVIDENCE, gguf_guard_manifest: "golden.json" };
    const answer = await models.ask("POST", PATH, { body });
    const { promoted_at: at, repository, digest } = answer.json() as Record<string, string>;
    expect(answer).toMatchObject(
      inJson(
        201,
        `{"name":"golden","format":"gguf","filename":"golden.gguf","sha256":"${sha256}","size_bytes":416,"promoted_at":"${at}","state":"trusted",` +
          `"scan_results":{"modelscan":"pass","yara":"pass"},"scanner_versions":{"modelscan":"0.8.5","yara":"4.5"},"policy_version":"2026-03","source_revision":"main",` +
          `"gguf_guard_fingerprint":{"a":[1,{"b":true}],"z":1.5},"gguf_guard_manifest":"golden.json","repository":"${repository}","digest":"${digest}"}`,
      ),
    );
    expect(await models.byName("GET", "/v1/model", "golden")).toMatchObject({ status: 200, text: answer.text });
  });

  test.each<[string, (name: string) => Promise<void>]>([
    ["acquired", async () => {}],
    ["quarantined", async (name) => models.must("quarantine", name)],
    ["trusted", async (name) => void (await models.promote(name, `${name}.gguf`, sha256Of(name)))],
    ["revoked", async (name) => models.must("revoke", name)],
    [
      "revoked after trust",
      async (name) => {
        await models.promote(name, `${name}.gguf`, sha256Of(name));
        await models.must("revoke", name);
      },
    ],
  ])("201 for what is %s, with the evidence or without any", async (state, make) => {
    const name = `was-${state.replaceAll(" ", "-")}`;
    const body = await putAndAcquire(name);
    await make(name);
    expect(await models.ask("POST", PATH, { body })).toMatchObject({ status: 201 });
    expect(await models.info(name)).toMatchObject({ state: "trusted" });
  });

  test("201 for null as a result, which is an empty text in Go, and for numbers of a fingerprint as doubles, whatever their members are called", async () => {
    const { name, filename, sha256 } = await putAndAcquire("nulls");
    const said = '"scan_results":{"yara":null},"gguf_guard_fingerprint":{"size_bytes":1.0,"b":{"size_bytes":1e3}}';
    const body = `{"name":"${name}","filename":"${filename}","sha256":"${sha256}",${said}}`;
    expect(await models.ask("POST", PATH, { body })).toMatchObject({ status: 201 });
    expect(await models.info(name)).toMatchObject({
      scan_results: { yara: "" },
      gguf_guard_fingerprint: { size_bytes: 1, b: { size_bytes: 1000 } },
    });
  });

  test("201 for a name that is not known, with what the file has", async () => {
    const sha256 = await models.put("fresh.gguf", "fresh");
    const record = await models.promote("fresh", "./fresh.gguf", sha256, { source: "here", ...EVIDENCE });
    expect(record).toMatchObject({ state: "trusted", filename: "./fresh.gguf", size_bytes: 5, source: "here", policy_version: "2026-03" });
  });

  test("201 also when the file has gone or changed since it was acquired: its bytes are the registry's by then", async () => {
    const body = await putAndAcquire("moved");
    await writeFile(models.at("moved.gguf"), "other bytes");
    expect(await models.ask("POST", PATH, { body })).toMatchObject({ status: 201 });
    expect(await models.info("moved")).toMatchObject({ sha256: body.sha256, size_bytes: 5 });
  });

  test("201 and keeps the source of acquire when it says none, and takes another one that it says", async () => {
    const body = await putAndAcquire("sourced", { source: "https://ex.test/first" });
    expect(await models.ask("POST", PATH, { body })).toMatchObject({ status: 201 });
    expect(await models.info("sourced")).toMatchObject({ source: "https://ex.test/first" });
    await models.ask("POST", PATH, { body: { ...body, source: "https://ex.test/second" } });
    expect(await models.info("sourced")).toMatchObject({ source: "https://ex.test/second" });
  });
});

// In the order of 1.6; each body is wrong in all that comes later, too.
describe("promote refuses, in this order,", () => {
  const bad = { name: " bad ", gguf_guard_manifest: "../x" };
  test.each<[string, unknown]>([
    ["no JSON", "{"],
    ["a member that is not known", { ...bad, state: "trusted" }],
    ["results that are no object", { ...bad, scan_results: "pass" }],
    ["results that are a list", { ...bad, scan_results: ["pass"] }],
    ["a result that is no text", { ...bad, scan_results: { s: 1 } }],
    ["versions that are no object", { ...bad, scanner_versions: 1 }],
    ["an empty text as results", { ...bad, scan_results: "" }],
    ["an empty text as a fingerprint", { ...bad, gguf_guard_fingerprint: "" }],
    ["a number in a fingerprint that no double holds", '{"name":" bad ","gguf_guard_fingerprint":{"a":[1e400]}}'],
    ["a size with a fraction of zero", '{"name":" bad ","size_bytes":1.0}'],
    ["a size with an exponent", '{"name":" bad ","size_bytes":1e3}'],
    ["a policy version that is an object", { ...bad, policy_version: { hash: "x" } }],
    ["a fingerprint that is a list", { ...bad, gguf_guard_fingerprint: [] }],
    ["a fingerprint that is text", { ...bad, gguf_guard_fingerprint: "x" }],
    ["a manifest's path that is no text", { name: " bad ", gguf_guard_manifest: 1 }],
  ])("1: %s by 400", async (_, body) => {
    expect(await models.said("POST", PATH, { body })).toEqual(plainly(400, "invalid request body"));
  });

  test("1: more than a mebibyte by 413", async () => {
    const body = { ...bad, source: "x".repeat(1024 * 1024) };
    expect(await models.said("POST", PATH, { body })).toEqual(plainly(413, "request too large"));
  });

  const long = { policy_version: "x".repeat(257), gguf_guard_manifest: "../x" };
  test.each<[string, unknown]>([
    ["null", "null"],
    ["no name", { filename: "x", sha256: HASH, ...long }],
    ["a name that is none", { name: " x", filename: "x", sha256: HASH, ...long }],
    ["no filename", { name: "x", sha256: HASH, ...long }],
    ["no digest", { name: "x", filename: "x", ...long }],
    ["an empty digest", { name: "x", filename: "x", sha256: "", ...long }],
    ["a digest in capitals", { name: "x", filename: "x", sha256: HASH.toUpperCase(), ...long }],
  ])("2: %s by 400", async (_, body) => {
    expect(await models.said("POST", PATH, { body })).toEqual(plainly(400, "name, filename, and sha256 are required"));
  });

  const whole = { name: "x", filename: "../x.pkl", sha256: HASH, gguf_guard_manifest: "../x" };
  test.each<[string, unknown]>([
    ["a negative size", { ...whole, size_bytes: -1 }],
    ["a long source", { ...whole, source: "x".repeat(4097) }],
    ["a long policy version", { ...whole, policy_version: "x".repeat(257) }],
    ["a long source revision", { ...whole, source_revision: "x".repeat(257) }],
    ["a scanner without a name", { ...whole, scan_results: { "": "pass" } }],
    ["65 scanners", { ...whole, scan_results: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`s${n}`, "pass"])) }],
    ["a version of two lines", { ...whole, scanner_versions: { s: "1\n2" } }],
    ["a fingerprint with a long text", { ...whole, gguf_guard_fingerprint: { a: "x".repeat(4097) } }],
  ])("3: %s by 400", async (_, body) => {
    expect(await models.said("POST", PATH, { body })).toEqual(plainly(400, "invalid promotion metadata"));
  });

  test.each(["../x", "/etc/passwd", "a\\b", "credentials/operator", "metadata/secret"])(
    "4: the tensor manifest %s by 400",
    async (path) => {
      const body = { ...whole, gguf_guard_manifest: path };
      expect(await models.said("POST", PATH, { body })).toEqual(plainly(400, "invalid gguf-guard manifest path"));
    },
  );

  test("7 and 8: a filename by 400 and a format by 403", async () => {
    const body = { name: "x", filename: "../x.pkl", sha256: HASH };
    expect(await models.said("POST", PATH, { body })).toEqual(plainly(400, "invalid filename: filename escapes registry directory"));
    const format = plainly(403, 'format ".pkl" not allowed; permitted: gguf, safetensors');
    expect(await models.said("POST", PATH, { body: { ...body, filename: "x.pkl" } })).toEqual(format);
  });

  test("9: a file of another live record by 409", async () => {
    const { filename, sha256 } = await putAndAcquire("holder");
    const taken = plainly(409, "artifact name or filename is already registered");
    for (const alias of [filename, `./${filename}`, `x/../${filename}`]) {
      expect(await models.said("POST", PATH, { body: { name: "other", filename: alias, sha256 } })).toEqual(taken);
    }
    expect(await models.byName("GET", "/v1/model", "other")).toMatchObject({ status: 404 });
  });

  test("10: another file than was acquired by 409", async () => {
    const { sha256 } = await putAndAcquire("strict");
    await models.put("strict-2.gguf", "strict");
    const body = { name: "strict", filename: "strict-2.gguf", sha256 };
    const message = "promotion requires the file that was acquired: acquire it again first";
    expect(await models.said("POST", PATH, { body })).toEqual(plainly(409, message));
  });

  test("11 and 13: another digest or size by 409, of a known name and of an unknown one", async () => {
    const sha256 = sha256Of("sizes");
    await putAndAcquire("sizes");
    await models.put("unknown.gguf", "sizes");
    for (const body of [
      { name: "sizes", filename: "sizes.gguf" },
      { name: "unknown", filename: "unknown.gguf" },
    ]) {
      const hash = `hash verification failed: hash mismatch: expected ${HASH}, got ${sha256}`;
      expect(await models.said("POST", PATH, { body: { ...body, sha256: HASH, size_bytes: 1 } })).toEqual(plainly(409, hash));
      const size = plainly(409, "declared size does not match artifact");
      expect(await models.said("POST", PATH, { body: { ...body, sha256, size_bytes: 1 } })).toEqual(size);
    }
    const missing = { name: "nothing", filename: "nothing.gguf", sha256 };
    const text = "hash verification failed: no such file in the registry directory";
    expect(await models.said("POST", PATH, { body: missing })).toEqual(plainly(409, text));
  });

  test("15: a name that is deleted by 409, in JSON", async () => {
    const body = await putAndAcquire("gone & gone");
    await models.must("delete", "gone & gone");
    const error = `{"error":"cannot promote artifact \\"gone \\u0026 gone\\": currently in deleted state"}`;
    expect(await models.said("POST", PATH, { body })).toEqual(inJson(409, error));
  });
});

describe("under the predecessor's policy promote", () => {
  let strict: Models;
  beforeAll(async () => {
    strict = await startModels({ env: { REGISTRY_PROMOTION_POLICY: "predecessor-evidence" } });
  });
  afterAll(() => strict[Symbol.asyncDispose]());

  test.each<[string, object, string]>([
    ["5: no evidence", {}, "promotion requires policy version and scanner evidence"],
    ["5: no policy version", { ...EVIDENCE, policy_version: "" }, "promotion requires policy version and scanner evidence"],
    ["5: no results", { ...EVIDENCE, scan_results: {} }, "promotion requires policy version and scanner evidence"],
    [
      "5: fewer results than versions",
      { ...EVIDENCE, scan_results: { yara: "fail" } },
      "promotion requires policy version and scanner evidence",
    ],
    [
      "6: a result that is not pass",
      { ...EVIDENCE, scan_results: { yara: "PASS", modelscan: "pass" } },
      "promotion scanner evidence did not pass validation",
    ],
    [
      "6: a scanner without a version",
      { ...EVIDENCE, scanner_versions: { yara: "4.5", other: "1" } },
      "promotion scanner evidence did not pass validation",
    ],
  ])(
    "refuses %s by 422 with the decision, for a known name and for an unknown one, of which nothing stays",
    async (why, evidence, error) => {
      const name = why.replaceAll(/[^a-z0-9]+/g, "-");
      const sha256 = await strict.put(`${name}.gguf`, name);
      for (const status of [404, 200]) {
        if (status === 200) await strict.acquire(name, `${name}.gguf`);
        const answer = await strict.ask("POST", PATH, { body: { name, filename: `${name}.gguf`, sha256, ...evidence } });
        expect([answer.status, answer.type]).toEqual([422, "application/json"]);
        expect(answer.json()).toMatchObject({ error, decision: { allowed: false, policy: "built-in/predecessor-evidence@1" } });
        expect((await strict.byName("GET", "/v1/model", name)).status).toBe(status);
      }
    },
  );

  test("takes evidence that passes, for a known name and for an unknown one", async () => {
    for (const name of ["known", "unknown"]) {
      const sha256 = await strict.put(`${name}.gguf`, name);
      if (name === "known") await strict.acquire(name, `${name}.gguf`);
      expect(await strict.promote(name, `${name}.gguf`, sha256, EVIDENCE)).toMatchObject({ state: "trusted" });
    }
  });
});
