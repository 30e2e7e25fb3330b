import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { z } from "zod";
import { memorySource } from "../../src/formats/byte-source.ts";
import type { Tensor } from "../../src/formats/model-file.ts";
import { hashContent } from "../../src/formats/tensor-hashes.ts";
import { merkleRoot, mostFrequentTypes, structureHash, tensorManifestSchema } from "../../src/formats/tensor-manifest.ts";
import { GOLDEN, buildGguf, f32, named } from "./build-gguf.ts";
import { buildSafetensors } from "./build-safetensors.ts";
import { manifestFor, textFor } from "./make-manifest.ts";

// Large inputs take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const sha256 = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

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
  expect(sha256(textFor(GOLDEN)).toString("hex")).toBe("db15e689ee4a1591d5101faebb5d514a4cdb1e215619483900d373848bdaca30");
});

test("so is one with names that HTML, JSON and UTF-16 make something of", () => {
  const file = buildGguf({
    metadata: named("<llama> & ä"),
    tensors: [
      { name: 'a<b>&\u2028"\\ü𝄞', type: 0, shape: [2, 1], data: Buffer.from("00112233") },
      { name: "\u{e000}", type: 0, shape: [1], data: Buffer.from("0123") },
      { name: "𝄞", type: 1, shape: [2], data: Buffer.from("0123") },
    ],
  });
  // Of the file that gguf-guard 0.2.0 wrote.
  expect(sha256(textFor(file)).toString("hex")).toBe("fd6b772db5c1575a0c3702560f34e8ca3fbd3197c83257616895bd20a9fa2d6a");
});

test("safetensors gets the same document, with its own names of types", () => {
  const header = '{"w":{"dtype":"BF16","shape":[],"data_offsets":[4,6]},"v":{"dtype":"I8","shape":[2,2],"data_offsets":[0,4]}}';
  const file = buildSafetensors(header, Buffer.from("abcdef"));
  expect(manifestFor(file)).toEqual({
    manifest_version: "1.0",
    file_hash: sha256(file).toString("hex"),
    structure_hash: sha256("v:[2,2]:I8\nw:[]:BF16\n").toString("hex"),
    architecture: "unknown",
    quant_type: "I8",
    tensor_count: 2,
    parameters: 5,
    file_size: file.length,
    merkle_root: sha256(sha256("abcd"), sha256("ef")).toString("hex"),
    tensors: [
      { name: "v", type: "I8", shape: [2, 2], offset: 0, data_size: 4, hash: sha256("abcd").toString("hex"), element_count: 4 },
      { name: "w", type: "BF16", shape: [], offset: 4, data_size: 2, hash: sha256("ef").toString("hex"), element_count: 1 },
    ],
  });
  expect(textFor(file)).toContain('"shape": [],\n');
});

test("a file without tensors has no manifest", () => {
  expect(() => manifestFor(buildGguf({}))).toThrow("GGUF file contains no tensors");
  expect(() => manifestFor(buildSafetensors("{}"))).toThrow("safetensors file contains no tensors");
});

test("every manifest that is made has the form of the schema, which JSON Schema can say", () => {
  for (const file of [GOLDEN, buildGguf({ tensors: [f32("a", [1])] })]) {
    expect(tensorManifestSchema.safeParse(manifestFor(file)).success).toBe(true);
  }
  expect(z.toJSONSchema(tensorManifestSchema)).toMatchObject({ type: "object", additionalProperties: false });
});

test("the hash of the structure sorts lines by their bytes, and is the same for any order of the tensors", () => {
  const tensors = ["b", "a", "𝄞", "\u{e000}"].map((name, at) => ({ name, type: "F32", shape: [at, 2] }));
  const lines = ["a:[1,2]:F32\n", "b:[0,2]:F32\n", "\u{e000}:[3,2]:F32\n", "𝄞:[2,2]:F32\n"];
  expect(structureHash(tensors)).toBe(sha256(...lines).toString("hex"));
  expect(structureHash(tensors.toReversed())).toBe(structureHash(tensors));
});

test("the Merkle root pairs an odd last digest with itself", () => {
  const [a, b, c] = [sha256("a"), sha256("b"), sha256("c")];
  expect(merkleRoot(new Uint8Array())).toBe("");
  expect(merkleRoot(a)).toBe(a.toString("hex"));
  expect(merkleRoot(Buffer.concat([a, b]))).toBe(sha256(a, b).toString("hex"));
  expect(merkleRoot(Buffer.concat([a, b, c]))).toBe(sha256(sha256(a, b), sha256(c, c)).toString("hex"));
});

test("of types that come equally often, the lowest number names the file", () => {
  const tensors = ["Q4_K", "F16", "Q8_0", "F16", "Q4_K"].map((type) => ({ type }));
  expect(mostFrequentTypes(tensors)).toEqual(["F16", "Q4_K"]);
});

test("every tensor is hashed for itself, wherever pieces of reading begin and end", () => {
  const MIB = 1024 * 1024;
  const sizes = fc.array(fc.constantFrom(0, 1, 17, 4_096, MIB - 1, MIB, MIB + 1), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(sizes, fc.constantFrom(0, 8, MIB - 1, MIB), (lengths, dataStart) => {
      const bytes = Buffer.alloc(dataStart + lengths.reduce((sum, length) => sum + length, 0)).map((_, at) => (at * 31) % 251);
      let offset = 0;
      const tensors: Tensor[] = lengths.map((size, at) => {
        const tensor = { name: `${at}`, type: "U8", shape: [size], offset, size, elements: size };
        offset += size;
        return tensor;
      });
      const hashes = hashContent(memorySource(bytes), { dataStart, tensors });
      const expected = tensors.map((tensor) => sha256(bytes.subarray(dataStart + tensor.offset, dataStart + tensor.offset + tensor.size)));
      expect(Buffer.from(hashes.tensors).equals(Buffer.concat(expected))).toBe(true);
      expect(hashes.file).toBe(sha256(bytes).toString("hex"));
    }),
    { numRuns: 25 },
  );
});

test("the alignment that a file states decides which bytes are hashed", () => {
  const tensors = [f32("a", [1]), f32("b", [2])];
  const file = buildGguf({
    metadata: named("llama", ["general.alignment", { type: 4, bytes: Buffer.of(64, 0, 0, 0) }]),
    tensors,
    alignment: 64,
  });
  expect(manifestFor(file).tensors.map(({ offset, hash }) => [offset, hash])).toEqual([
    [0, sha256(tensors[0]?.data ?? "").toString("hex")],
    [64, sha256(tensors[1]?.data ?? "").toString("hex")],
  ]);
});
