import { execFile } from "node:child_process";
import { chmod, link, mkdir, symlink } from "node:fs/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GOLDEN } from "../../formats/build-gguf.ts";
import { Models, inJson, plainly, sha256Of } from "../../support/models.ts";

let models: Models;
beforeAll(async () => {
  models = await Models.start();
});
afterAll(() => models[Symbol.asyncDispose]());

const PATH = "/v1/model/acquire";
const INVALID = "valid name, filename, sha256, and size are required";
const TAKEN = "artifact name or filename is already registered";
const HASH = "a".repeat(64);

describe("acquire answers", () => {
  test("201 with the record as the predecessor writes it, and which OCI artifact it is", async () => {
    const sha256 = await models.put("golden.gguf", GOLDEN);
    const body = { name: "Golden <1>", filename: "./golden.gguf", sha256, size_bytes: 416, source: "https://ex.test/?a=1&b=2" };
    const answer = await models.ask("POST", PATH, { body });
    const { promoted_at: at, repository, digest } = answer.json() as Record<string, string>;
    expect(answer).toMatchObject(
      inJson(
        201,
        `{"name":"Golden \\u003c1\\u003e","format":"gguf","filename":"./golden.gguf","sha256":"${sha256}","size_bytes":416,"source":"https://ex.test/?a=1\\u0026b=2","promoted_at":"${at}","state":"acquired","repository":"${repository}","digest":"${digest}"}`,
      ),
    );
    expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(repository).toMatch(/^models\/golden-1-[0-9a-f]{12}$/);
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  test("201 without sha256, size or source, and shows what the file has", async () => {
    const sha256 = await models.put("plain.safetensors", "bytes");
    const record = await models.acquire("plain", "plain.safetensors");
    expect(record).toEqual({
      name: "plain",
      format: "safetensors",
      filename: "plain.safetensors",
      sha256,
      size_bytes: 5,
      promoted_at: expect.any(String) as string,
      state: "acquired",
      repository: "models/plain",
      digest: expect.any(String) as string,
    });
  });

  test.each(["0", "-0", "5", " 5\n", "null"])("201 for the size %j", async (size) => {
    await models.put("sized.gguf", "sized");
    const body = `{"name":"sized","filename":"sized.gguf","size_bytes":${size}}`;
    expect(await models.ask("POST", PATH, { body })).toMatchObject({
      status: 201,
      text: expect.stringContaining('"size_bytes":5,') as string,
    });
  });

  test("201 for an empty file, one in a folder, one with an extension in capitals, and one that has other names", async () => {
    await models.put("empty.gguf", "");
    await models.put("sub/deep/n.GGUF", "n");
    await link(models.at("sub/deep/n.GGUF"), models.at("hard.gguf"));
    expect(await models.acquire("empty", "empty.gguf")).toMatchObject({ size_bytes: 0, sha256: sha256Of("") });
    expect(await models.acquire("deep", "sub/deep/n.GGUF")).toMatchObject({ format: "gguf", filename: "sub/deep/n.GGUF" });
    expect(await models.acquire("hard", "hard.gguf")).toMatchObject({ sha256: sha256Of("n") });
  });

  test("201 for members in any case, null and empty text for what is not said, and white space behind", async () => {
    await models.put("cases.gguf", "cases");
    const body = `{"NAME":"cases","FileName":"cases.gguf","Sha256":"","SIZE_BYTES":0,"source":null} \n`;
    expect(await models.ask("POST", PATH, { body })).toMatchObject({ status: 201 });
  });
});

// In the order of 1.6; each body is wrong in all that comes later, too.
const bad = { name: " bad " };
describe("acquire refuses, in this order,", () => {
  test("1: more than a mebibyte by 413, whether it says so or not", async () => {
    const body = `{"name":"${"x".repeat(1024 * 1024)}"}`;
    expect(await models.said("POST", PATH, { body })).toEqual(plainly(413, "request too large"));
    const trailing = `{"name":" bad "}${" ".repeat(1024 * 1024)}`;
    expect(await models.said("POST", PATH, { body: trailing })).toEqual(plainly(413, "request too large"));
    expect(await models.said("POST", PATH, { body, chunked: true })).toEqual(plainly(413, "request too large"));
  });

  test.each([
    ["no JSON", "not json"],
    ["nothing", ""],
    ["half a value", '{"name":'],
    ["a list", "[]"],
    ["text", '"name"'],
    ["a member that is not known", { ...bad, more: 1 }],
    ["a member that is not known and null", '{"name":" bad ","more":null}'],
    ["a member called __proto__", '{"name":" bad ","__proto__":{}}'],
    ["a member of promote", { ...bad, policy_version: "1" }],
    ["a second value", '{"name":" bad "}{}'],
    ["the same member twice", '{"name":" bad ","name":" bad "}'],
    ["the same member twice, in two cases", '{"name":" bad ","NAME":" bad "}'],
    ["a name that is no text", { name: 1 }],
    ["a size that is text", { ...bad, size_bytes: "1" }],
    ["an empty text as the size", { ...bad, size_bytes: "" }],
    // Go reads an int64 from the text: no fraction, no exponent, and nothing beyond 63 bits.
    ["a size with a fraction", '{"name":" bad ","size_bytes":1.5}'],
    ["a size with a fraction of zero", '{"name":" bad ","size_bytes":1.0}'],
    ["a size of zero with a fraction", '{"name":" bad ","size_bytes":0.0}'],
    ["a negative size with a fraction", '{"name":" bad ","size_bytes":-1.0}'],
    ["a size with an exponent", '{"name":" bad ","size_bytes":1e3}'],
    ["a size with an exponent of zero", '{"name":" bad ","SIZE_bytes":1E0}'],
    ["a size with a negative exponent", '{"name":" bad ","size\\u005fbytes":10e-1}'],
    ["a size of 2^63", '{"name":" bad ","size_bytes":9223372036854775808}'],
    ["a size below -2^63", '{"name":" bad ","size_bytes":-9223372036854775809}'],
    ["a size that no double holds", '{"name":" bad ","size_bytes":1e400}'],
    ["a source that is no text", { ...bad, source: ["x"] }],
    ["a digest that is no text", { ...bad, sha256: true }],
    ["bytes that are no UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ["what is nested too deep", "[".repeat(100)],
  ])("1: %s by 400", async (_, body) => {
    expect(await models.said("POST", PATH, { body })).toEqual(plainly(400, "invalid request body"));
  });

  const filename = "../x.pkl";
  test.each<[string, unknown]>([
    ["null", "null"],
    ["no name", { filename }],
    ["an empty name", { name: "", filename }],
    ["a name with white space around it", { name: " x", filename }],
    ["a name of two lines", { name: "x\ny", filename }],
    ["a name of 257 bytes", { name: "x".repeat(257), filename }],
    ["no filename", { name: "x" }],
    ["an empty filename", { name: "x", filename: "" }],
    ["a digest in capitals", { name: "x", filename, sha256: HASH.toUpperCase() }],
    ["a digest that is too short", { name: "x", filename, sha256: HASH.slice(1) }],
    ["a negative size", { name: "x", filename, size_bytes: -1 }],
    ["the smallest size of Go", `{"name":"x","filename":"${filename}","size_bytes":-9223372036854775808}`],
    ["a source of 4097 bytes", { name: "x", filename, source: "ü".repeat(2049) }],
  ])("2: %s by 400", async (_, body) => {
    expect(await models.said("POST", PATH, { body })).toEqual(plainly(400, INVALID));
  });

  test.each([
    ["filename exceeds 4096 bytes", "x".repeat(4097)],
    ["filename contains null byte", "x\0.pkl"],
    ["filename contains path separator", "..\\x.pkl"],
    ["filename escapes registry directory", "/etc/passwd"],
    ["filename escapes registry directory", "../x.pkl"],
    ["filename escapes registry directory", "sub/../../x.pkl"],
    ["filename names a folder of the registry itself", "./credentials/x.pkl"],
    ["filename names a folder of the registry itself", "trusted/models/plain/x.gguf"],
  ])("3: by 400 that the %s", async (message, file) => {
    expect(await models.said("POST", PATH, { body: { name: "plain", filename: file } })).toEqual(
      plainly(400, `invalid filename: ${message}`),
    );
  });

  test.each([
    [".pkl", "plain.PKL"],
    ["", "Makefile"],
    [".gz", "m.gguf.gz"],
    [".gguf ", "m.gguf "],
  ])("4: the extension %j by 403", async (extension, file) => {
    const message = `format "${extension}" not allowed; permitted: gguf, safetensors`;
    expect(await models.said("POST", PATH, { body: { name: "plain", filename: file } })).toEqual(plainly(403, message));
  });

  test("5: a name that is trusted or revoked, and a file of another live record, by 409, whether the file is there or not", async () => {
    for (const name of ["trusted", "revoked"]) {
      const sha256 = await models.put(`${name}.gguf`, name);
      await models.promote(name, `${name}.gguf`, sha256);
    }
    await models.must("revoke", "revoked");
    for (const body of [
      { name: "trusted", filename: "trusted.gguf" },
      { name: "trusted", filename: "missing.gguf" },
      { name: "revoked", filename: "missing.gguf" },
      { name: "another", filename: "plain.safetensors" },
      { name: "another", filename: "x/.././plain.safetensors", sha256: HASH },
    ]) {
      expect(await models.said("POST", PATH, { body })).toEqual(plainly(409, TAKEN));
    }
  });
});

describe("acquire refuses by 409 without a trace", () => {
  const MISSING = "hash verification failed: no such file in the registry directory";
  const LINK = "hash verification failed: symbolic-link artifacts are not allowed";
  const REGULAR = "hash verification failed: artifact must be a regular file";

  beforeAll(async () => {
    await models.put("target.gguf", "target");
    await models.put("shut.gguf", "shut");
    await chmod(models.at("shut.gguf"), 0);
    await mkdir(models.at("folder.gguf"));
    await symlink("target.gguf", models.at("link.gguf"));
    await symlink("/tmp", models.at("way"));
    await promisify(execFile)("mkfifo", [models.at("fifo.gguf")]);
  });

  test.each([
    ["a file that is missing", "missing.gguf", MISSING],
    ["a symbolic link", "link.gguf", LINK],
    ["a symbolic link on the way", "way/x.gguf", LINK],
    ["a folder", "folder.gguf", REGULAR],
    ["a FIFO", "fifo.gguf", REGULAR],
  ])("%s", async (_, filename, message) => {
    expect(await models.said("POST", PATH, { body: { name: "never", filename } })).toEqual(plainly(409, message));
    expect(await models.byName("GET", "/v1/model", "never")).toMatchObject(plainly(404, "model not found"));
  });

  test("another digest, and another size", async () => {
    const body = { name: "never", filename: "target.gguf" };
    const wrong = `hash verification failed: hash mismatch: expected ${HASH}, got ${sha256Of("target")}`;
    expect(await models.said("POST", PATH, { body: { ...body, sha256: HASH } })).toEqual(plainly(409, wrong));
    const size = plainly(409, "declared size does not match artifact");
    for (const bytes of ["5", "9007199254740993", "9223372036854775807"]) {
      const sent = `{"name":"never","filename":"target.gguf","size_bytes":${bytes}}`;
      expect(await models.said("POST", PATH, { body: sent })).toEqual(size);
    }
    expect(await models.byName("GET", "/v1/model", "never")).toMatchObject(plainly(404, "model not found"));
  });

  test("and by 400 a name that reads as an OCI artifact of a namespace that exists", async () => {
    for (const name of ["models/x:latest", `models/x@sha256:${HASH}`, "models:v1"]) {
      const message = "the name reads as a reference into a namespace that exists: choose another";
      expect(await models.said("POST", PATH, { body: { name, filename: "target.gguf" } })).toEqual(plainly(400, message));
    }
    expect(await models.acquire("nowhere/x:latest", "target.gguf")).toMatchObject({ state: "acquired" });
  });
});

test("whoever asks for JSON gets refusals as JSON", async () => {
  const answer = await models.said("POST", PATH, { body: {}, headers: { Accept: "application/json" } });
  expect(answer).toEqual(inJson(400, `{"error":"${INVALID}"}`));
});
