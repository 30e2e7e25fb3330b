import { expect, test } from "vitest";
import type { ModelFacts } from "../../src/formats/model-facts.ts";
import { MODEL_ARTIFACT, MODEL_CONFIG, modelPackConfig, modelPackManifest } from "../../src/formats/model-pack.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { parseManifest } from "../../src/oci/manifest.ts";

const FILE = digestOf("the file");
const LLAMA: ModelFacts = {
  format: "gguf",
  architecture: "llama",
  quantization: "Q4_K_M",
  parameters: 8_030_261_312,
  tensorCount: 292,
  suspicions: [],
};

function configOf(facts: ModelFacts | { readonly unreadable: string } | undefined, format = "gguf"): unknown {
  return JSON.parse(new TextDecoder().decode(modelPackConfig({ name: "llama", format, facts, diffId: FILE })));
}

test("the config says what the header tells", () => {
  expect(configOf(LLAMA)).toEqual({
    descriptor: { name: "llama", family: "llama" },
    config: { format: "gguf", paramSize: "8.0B", quantization: "Q4_K_M" },
    modelfs: { type: "layers", diffIds: [FILE] },
  });
});

test("the config leaves out what is not known", () => {
  const bare = { descriptor: { name: "llama" }, config: { format: "onnx" }, modelfs: { type: "layers", diffIds: [FILE] } };
  expect(configOf(undefined, "onnx")).toEqual(bare);
  expect(configOf({ unreadable: "the file is neither GGUF nor safetensors" }, "onnx")).toEqual(bare);
});

test("what the bytes say goes before what was said of them", () => {
  expect(configOf({ ...LLAMA, format: "safetensors" }, "gguf")).toMatchObject({ config: { format: "safetensors" } });
});

test.each([
  ["BF16", { paramSize: "8.0B", precision: "bfloat16" }],
  ["F16", { paramSize: "8.0B", precision: "float16" }],
  ["F8_E4M3", { paramSize: "8.0B", precision: "float8_e4m3" }],
  // Packed: how many weights an integer holds is not in the file.
  ["I32", {}],
  ["U8", {}],
])("weights of the type %s in safetensors are told by the specification's words", (quantization, told) => {
  expect(configOf({ ...LLAMA, format: "safetensors", quantization })).toMatchObject({ config: { format: "safetensors", ...told } });
  const { config } = configOf({ ...LLAMA, format: "safetensors", quantization }) as { config: object };
  expect(Object.keys(config).toSorted()).toEqual(["format", ...Object.keys(told)].toSorted());
});

test.each([
  [0, undefined],
  [49, undefined],
  [50, "0.1K"],
  [1_000, "1.0K"],
  [999_949, "999.9K"],
  [999_950, "1.0M"],
  [124_439_808, "124.4M"],
  [999_960_000, "1.0B"],
  [70_553_706_496, "70.6B"],
  [1_040_000_000_000, "1.0T"],
  [2 ** 52, "4.5Q"],
])("%d parameters are %s", (parameters, paramSize) => {
  const { config } = configOf({ ...LLAMA, parameters }) as { config: { paramSize?: string } };
  expect(config.paramSize).toBe(paramSize);
});

test("a model has a name", () => {
  expect(() => modelPackConfig({ name: "", format: "gguf", facts: undefined, diffId: FILE })).toThrow("must not be empty");
});

test("the manifest is one that the registry takes, of the specification's types, with the file under its path", () => {
  const config = modelPackConfig({ name: "llama", format: "gguf", facts: LLAMA, diffId: FILE });
  const bytes = modelPackManifest({
    config: { digest: digestOf(config), size: config.length },
    layer: { digest: FILE, size: 4_920_739_232, path: "llama/model.gguf" },
    annotations: { "org.example.source": "here" },
  });
  expect(parseManifest(bytes, undefined)).toMatchObject({ kind: "image", artifactType: MODEL_ARTIFACT });
  expect(JSON.parse(new TextDecoder().decode(bytes))).toEqual({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: "application/vnd.cncf.model.manifest.v1+json",
    config: { mediaType: MODEL_CONFIG, digest: digestOf(config), size: config.length },
    layers: [
      {
        mediaType: "application/vnd.cncf.model.weight.v1.raw",
        digest: FILE,
        size: 4_920_739_232,
        annotations: { "org.cncf.model.filepath": "llama/model.gguf", "org.opencontainers.image.title": "llama/model.gguf" },
      },
    ],
    annotations: { "org.example.source": "here" },
  });
});

test("the same input gives the same bytes, in whatever order it is given", () => {
  const annotations = [
    { b: "2", a: "1" },
    { a: "1", b: "2" },
  ];
  const [one, two] = annotations.map((each) =>
    modelPackManifest({ config: { digest: FILE, size: 1 }, layer: { path: "a", size: 1, digest: FILE }, annotations: each }),
  );
  expect(one).toEqual(two);
});
