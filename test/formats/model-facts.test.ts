import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/formats/byte-source.ts";
import { type ModelFacts, factsOf, readModelFile } from "../../src/formats/model-facts.ts";
import { type GgufTensor, GOLDEN, buildGguf, f32, named, uint32 } from "./build-gguf.ts";
import { buildSafetensors } from "./build-safetensors.ts";

const factsIn = (bytes: Uint8Array, name = ""): ModelFacts => factsOf(readModelFile(memorySource(bytes), name));

/** Half a million weights of Q4_K, and some small tensors that are not quantised, as there are in every model. */
function quantised(fileType: number): Buffer {
  const weights: GgufTensor = { name: "w", type: 12, shape: [2_560, 200], data: Buffer.alloc(288_000) };
  const norms = Array.from({ length: 5 }, (_, at) => f32(`norm.${at}`, [1, 2, 3]));
  return buildGguf({ metadata: named("llama", ["general.file_type", uint32(fileType)]), tensors: [weights, ...norms] });
}

test("facts tell what most weights are, not what most tensors are", () => {
  expect(factsIn(quantised(0))).toEqual({
    format: "gguf",
    architecture: "llama",
    quantization: "Q4_K",
    parameters: 512_015,
    tensorCount: 6,
    suspicions: [],
  });
});

test("the name of a mix counts only where the weights bear it out", () => {
  expect(factsIn(quantised(15)).quantization).toBe("Q4_K_M");
  expect(factsIn(quantised(14)).quantization).toBe("Q4_K_S");
  expect(factsIn(quantised(17)).quantization).toBe("Q4_K");
  expect(factsIn(quantised(1_024)).quantization).toBe("Q4_K");
});

test("what a file does not tell is missing", () => {
  expect(factsIn(buildSafetensors("{}"))).toEqual({ format: "safetensors", parameters: 0, tensorCount: 0, suspicions: [] });
});

describe("the format", () => {
  test("is what the bytes say, whatever the name is", () => {
    for (const name of ["model.gguf", "model.safetensors", "model.bin", ""]) {
      expect(factsIn(GOLDEN, name).format).toBe("gguf");
      expect(factsIn(buildSafetensors("{}"), name).format).toBe("safetensors");
    }
  });

  test.each([
    ["model.GGUF", "does not begin with GGUF"],
    ["model.safetensors", "the length of the header is"],
    ["model.bin", "neither GGUF nor safetensors"],
  ])("that %s claims is named when the bytes are of none", (name, reason) => {
    expect(() => factsIn(Buffer.from("PK\u0003\u0004 a zip archive, and so a PyTorch model perhaps"), name)).toThrow(reason);
  });

  test.each([0, 1, 8, 9])("of %d bytes is none", (length) => {
    expect(() => factsIn(Buffer.alloc(length))).toThrow("neither GGUF nor safetensors");
  });
});
