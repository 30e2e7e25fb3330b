import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EXIT } from "../../src/cli/failure.ts";
import { type Packed, fileArguments, modelLayerType, pack } from "../../src/cli/pack.ts";
import { MODEL_ARTIFACT } from "../../src/formats/model-pack.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { parseManifest } from "../../src/oci/manifest.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "securectl-pack-"));
  await mkdir(join(folder, "sub"));
  await writeFile(join(folder, "w.gguf"), "weights");
  await writeFile(join(folder, "README.md"), "read me");
  await writeFile(join(folder, "sub/config.json"), "{}");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function packed(texts: readonly string[], artifactType = MODEL_ARTIFACT, annotations = {}): Promise<Packed> {
  return pack(await fileArguments(texts), { artifactType, annotations }, () => undefined);
}

const configOf = async ({ manifest, blobs }: Packed): Promise<unknown> => {
  const { config } = parseManifest(manifest, undefined);
  const blob = blobs.find(({ digest }) => digest === config?.digest);
  return JSON.parse((await buffer(blob?.open(0) ?? Readable.from([]))).toString("utf8"));
};

test("a folder becomes a model whose layers are its files, in the order of their names", async () => {
  const result = await packed([folder]);
  const manifest = parseManifest(result.manifest, undefined);
  expect(manifest).toMatchObject({ kind: "image", artifactType: MODEL_ARTIFACT });
  expect(manifest.layers).toMatchObject([
    { annotations: { "org.opencontainers.image.title": "README.md" }, mediaType: "application/vnd.cncf.model.doc.v1.raw" },
    {
      annotations: { "org.opencontainers.image.title": "sub/config.json", "org.cncf.model.filepath": "sub/config.json" },
      mediaType: "application/vnd.cncf.model.weight.config.v1.raw",
    },
    { annotations: { "org.opencontainers.image.title": "w.gguf" }, mediaType: "application/vnd.cncf.model.weight.v1.raw" },
  ]);
  expect(manifest.layers[2]).toMatchObject({ digest: digestOf("weights"), size: 7 });
});

test("a model's config has the three parts that ModelPack requires, with the layers in order", async () => {
  const result = await packed([folder]);
  expect(parseManifest(result.manifest, undefined).config?.mediaType).toBe("application/vnd.cncf.model.config.v1+json");
  expect(await configOf(result)).toEqual({
    descriptor: {},
    config: { format: "gguf" },
    modelfs: { type: "layers", diffIds: [digestOf("read me"), digestOf("{}"), digestOf("weights")] },
  });
});

test("weights of two formats have no one format", async () => {
  await writeFile(join(folder, "w.safetensors"), "more");
  expect(await configOf(await packed([folder]))).toMatchObject({ config: {} });
});

test("the same files make the same manifest, wherever and whenever", async () => {
  expect((await packed([folder])).manifest).toEqual((await packed([folder])).manifest);
});

test("another artifact type has the empty config and plain layers", async () => {
  const result = await packed([join(folder, "w.gguf")], "application/vnd.example.v1", { "org.example": "yes" });
  const manifest = parseManifest(result.manifest, undefined);
  expect(manifest.config).toMatchObject({ mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 });
  expect(manifest).toMatchObject({ artifactType: "application/vnd.example.v1", annotations: { "org.example": "yes" } });
  expect(manifest.layers).toMatchObject([{ mediaType: "application/octet-stream" }]);
});

test("FILE:TYPE names the layer's type, and other colons belong to the name", async () => {
  await writeFile(join(folder, "sub/a"), "a");
  const [file] = await fileArguments([`${join(folder, "w.gguf")}:application/vnd.example+json`]);
  expect(file).toMatchObject({ title: "w.gguf", mediaType: "application/vnd.example+json", size: 7 });
  await expect(fileArguments([`${join(folder, "w.gguf")}:v1`])).rejects.toMatchObject({ exit: EXIT.usage });
});

test("two files of one name are wrong usage", async () => {
  await writeFile(join(folder, "sub/w.gguf"), "other");
  await expect(fileArguments([join(folder, "w.gguf"), join(folder, "sub/w.gguf")])).rejects.toMatchObject({ exit: EXIT.usage });
});

test("a missing file is wrong usage", async () => {
  await expect(fileArguments([join(folder, "none")])).rejects.toMatchObject({
    exit: EXIT.usage,
    message: expect.stringContaining("none") as string,
  });
});

test("a file that is not what it was when it was hashed cannot be sent as it", async () => {
  const { blobs } = await packed([join(folder, "w.gguf")]);
  await writeFile(join(folder, "w.gguf"), "w");
  expect((await buffer(blobs[0]?.open(0) ?? Readable.from([]))).length).toBe(1);
});

test("equal files are one blob", async () => {
  await writeFile(join(folder, "copy.gguf"), "weights");
  const { blobs, layers } = await packed([folder]);
  expect([layers.length, blobs.length]).toEqual([4, 4]);
});

test.each([
  ["model-00001-of-00002.safetensors", "weight"],
  ["MODEL.GGUF", "weight"],
  ["tokenizer.json", "weight.config"],
  ["vocab.txt", "weight.config"],
  ["tokenizer.model", "weight.config"],
  ["LICENSE", "doc"],
  ["docs/card.md", "doc"],
  ["modeling.py", "code"],
  ["train.parquet", "dataset"],
  ["no-extension", "weight.config"],
])("%s is a layer of %s", (title, kind) => {
  expect(modelLayerType(title)).toBe(`application/vnd.cncf.model.${kind}.v1.raw`);
});
