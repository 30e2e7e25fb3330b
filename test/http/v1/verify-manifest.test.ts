import { chmod, rm, stat, symlink, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { GOLDEN } from "../../formats/build-gguf.ts";
import { textFor } from "../../formats/make-manifest.ts";
import { fileOf } from "../../support/damaged-bytes.ts";
import { startModels } from "../../support/model-doors.ts";
import { type Models, type Said, inJson, plainly } from "../../support/models.ts";

let models: Models;
beforeAll(async () => {
  models = await startModels();
  await models.put("good.json", textFor(GOLDEN));
});
afterAll(() => models[Symbol.asyncDispose]());

const PATH = "/v1/model/verify-manifest";

async function promoted(name: string, manifest?: string): Promise<void> {
  const sha256 = await models.put(`${name}.gguf`, GOLDEN);
  await models.promote(name, `${name}.gguf`, sha256, manifest === undefined ? {} : { gguf_guard_manifest: manifest });
}

const verify = (name: string): Promise<Said> => models.said("POST", `${PATH}?name=${name}`, { as: "nobody" });
const verified = (name: string): Said => inJson(200, `{"detail":"PASS: all tensors match manifest","name":"${name}","status":"verified"}`);

describe("verify-manifest answers", () => {
  test("200 when every tensor is as its manifest says, in any state that keeps the bytes, without a credential on this machine", async () => {
    await promoted("good", "good.json");
    expect(await verify("good")).toEqual(verified("good"));
    await models.must("revoke", "good");
    expect(await verify("good")).toEqual(verified("good"));
  });

  test("200 for what has no manifest, which is skipped", async () => {
    await promoted("without");
    expect(await verify("without")).toEqual(
      inJson(200, '{"name":"without","reason":"no gguf-guard manifest available","status":"skipped"}'),
    );
  });

  test("409 with the tool's words when a tensor is not as the manifest says", async () => {
    const other = Buffer.from(GOLDEN);
    // In the data of the second tensor.
    other[GOLDEN.indexOf(Buffer.from("f0f1f2f3", "hex"))] = 0;
    await models.put("bad.json", textFor(other));
    await promoted("bad", "bad.json");
    const answer = await verify("bad");
    expect([answer.status, answer.type]).toEqual([409, "application/json"]);
    expect(JSON.parse(answer.text)).toMatchObject({ name: "bad", status: "failed" });
    expect(answer.text).toMatch(/^\{"error":"FAIL: \d+ mismatches\\n {2}.*blk\.0\.attn_q\.weight.*hash mismatch/);
  });

  test("409 that it cannot tell for a manifest that is none", async () => {
    await models.put("none.json", "not json");
    await promoted("none", "none.json");
    const answer = await verify("none");
    expect([answer.status, answer.type]).toEqual([409, "application/json"]);
    expect(answer.text).toMatch(/^\{"error":"cannot check: .*","name":"none","status":"failed"\}\n$/);
  });
});

describe("verify-manifest refuses", () => {
  test("what is no name by 400, and what is unknown by 404", async () => {
    expect(await models.said("POST", PATH, { as: "nobody" })).toEqual(plainly(400, "missing ?name= parameter"));
    expect(await verify("unknown")).toEqual(plainly(404, "model not found"));
  });

  test.each<[string, (path: string) => Promise<void>]>([
    ["is missing", async () => {}],
    ["has changed since", (path) => writeFile(path, textFor(GOLDEN).replace("llama", "other"))],
    ["is a symbolic link by now", (path) => symlink(models.at("good.json"), path)],
    ["is a folder's by now", async (path) => void (await models.put(`${path.slice(models.registry.directory.length + 1)}/x`, "x"))],
  ])("a manifest that %s by 409", async (why, change) => {
    const name = why.replaceAll(/[^a-z]+/g, "-");
    await models.put(`${name}.json`, textFor(GOLDEN));
    await promoted(name, `${name}.json`);
    expect(await verify(name)).toEqual(verified(name));
    await rm(models.at(`${name}.json`));
    await change(models.at(`${name}.json`));
    expect(await verify(name)).toEqual(plainly(409, "gguf-guard manifest integrity check failed"));
  });

  test("a manifest that was not there when it was named, though it is now, by 409: nobody has seen it", async () => {
    await promoted("late", "late.json");
    await models.put("late.json", textFor(GOLDEN));
    expect(await verify("late")).toEqual(plainly(409, "gguf-guard manifest integrity check failed"));
  });

  test("bytes that are not there any more by 409", async () => {
    await promoted("lost", "good.json");
    const file = fileOf(models.registry.directory, digestOf(GOLDEN));
    const { size } = await stat(file);
    await chmod(file, 0o644);
    await writeFile(file, GOLDEN.subarray(0, size - 1));
    expect(await verify("lost")).toEqual(plainly(409, "model integrity verification failed"));
  });
});
