import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { memorySource } from "../../src/formats/byte-source.ts";
import { readModelFile } from "../../src/formats/model-facts.ts";
import { hashContent } from "../../src/formats/tensor-hashes.ts";
import { manifestText } from "../../src/formats/tensor-manifest-text.ts";
import { type TensorManifest, manifestOf } from "../../src/formats/tensor-manifest.ts";
import { GOLDEN } from "./build-gguf.ts";

function manifestFor(bytes: Uint8Array, name = "model.gguf"): TensorManifest {
  const source = memorySource(bytes);
  const file = readModelFile(source, name);
  return manifestOf(file, hashContent(source, file), source.size);
}

const textFor = (bytes: Uint8Array): string => [...manifestText(manifestFor(bytes))].join("");

const GOLDEN_TEXT = `{
  "manifest_version": "1.0",
  "file_hash": "0a9bbb9fe96b578755a94c730dafbc777c57ae4e8a5eaec62562b7c4495336a2",
  "structure_hash": "e33c0bd1b237e7baab3bbc35e6cf190dc1b6c79b633b40726843d629982e031e",
  "architecture": "llama",
  "quant_type": "F32",
  "tensor_count": 3,
  "parameters": 43,
  "file_size": 416,
  "merkle_root": "52608d100881117afa9d3477cd7b352b05a72f546942f152cacbd488737a8fae",
  "tensors": [
    {
      "name": "token_embd.weight",
      "type": "F32",
      "shape": [
        4,
        2
      ],
      "offset": 0,
      "data_size": 32,
      "hash": "0571cfe42be5c7b95de9afc7c7ba1286fb7a2ef10a9035f8d6b87d21a3bc8387",
      "element_count": 8
    },
    {
      "name": "blk.0.attn_q.weight",
      "type": "Q8_0",
      "shape": [
        32
      ],
      "offset": 32,
      "data_size": 34,
      "hash": "2b18d47bb0e1eef6abadd46706abf6d6ed177d5232a2f3895e5fe5d7285d38f3",
      "element_count": 32
    },
    {
      "name": "output_norm.weight",
      "type": "F32",
      "shape": [
        3
      ],
      "offset": 96,
      "data_size": 12,
      "hash": "8a31a40ecac0ceb4d87b30bd156ca7a547e8e33dc071454b765fbc777d1c34a1",
      "element_count": 3
    }
  ]
}
`;

test("the manifest of a GGUF file is byte for byte what gguf-guard writes", () => {
  expect(textFor(GOLDEN)).toBe(GOLDEN_TEXT);
  // Of the file that gguf-guard 0.2.0 wrote.
  expect(createHash("sha256").update(textFor(GOLDEN)).digest("hex")).toBe(
    "db15e689ee4a1591d5101faebb5d514a4cdb1e215619483900d373848bdaca30",
  );
});
