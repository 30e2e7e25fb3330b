import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/formats/byte-source.ts";
import { type ManifestCheck, checkManifest, checkText } from "../../src/formats/tensor-manifest-check.ts";
import { type TensorManifest, merkleRoot, structureHash } from "../../src/formats/tensor-manifest.ts";
import { type GgufTensor, GOLDEN, buildGguf, f32, named } from "./build-gguf.ts";
import { manifestFor, textOf } from "./make-manifest.ts";

const check = (file: Uint8Array, manifest: TensorManifest | string): ManifestCheck =>
  checkManifest(memorySource(file), "model.gguf", memorySource(Buffer.from(typeof manifest === "string" ? manifest : textOf(manifest))));

/** A manifest with other tensors, which agrees with itself. */
function withTensors(manifest: TensorManifest, tensors: TensorManifest["tensors"]): TensorManifest {
  return {
    ...manifest,
    tensors,
    tensor_count: tensors.length,
    parameters: tensors.reduce((sum, { element_count }) => sum + element_count, 0),
    merkle_root: merkleRoot(Buffer.concat(tensors.map(({ hash }) => Buffer.from(hash, "hex")))),
    structure_hash: structureHash(tensors),
  };
}

const GOOD = manifestFor(GOLDEN);

/** A file of the same tensors with another token. */
const tokens = (value: string): Buffer =>
  buildGguf({ metadata: named("llama", ["t", { type: 8, text: value }]), tensors: [f32("a", [1])] });

/** The golden file with one byte changed. */
function flipped(at: number): Buffer {
  const file = Buffer.from(GOLDEN);
  file[at] = (file[at] ?? 0) ^ 1;
  return file;
}

describe("a file and its manifest", () => {
  test("match", () => {
    expect(check(GOLDEN, GOOD)).toEqual({ outcome: "match", count: 0, lines: [] });
  });

  test("do not when a byte of a tensor changed, and the tensor is named", () => {
    const lines = ["file hash mismatch", "blk.0.attn_q.weight: hash mismatch", "Merkle root mismatch"];
    expect(check(flipped(288 + 40), GOOD)).toEqual({ outcome: "mismatch", count: 3, lines });
  });

  test("do not when only padding or metadata changed", () => {
    expect(check(flipped(288 + 70), GOOD).lines).toEqual(["file hash mismatch"]);
    expect(check(tokens("b"), manifestFor(tokens("a"))).lines).toEqual(["file hash mismatch"]);
  });

  test("do not when the architecture changed", () => {
    expect(check(GOLDEN, { ...GOOD, architecture: "qwen2" }).lines).toEqual(["architecture mismatch"]);
  });

  test("do not when what is said of the whole is something else", () => {
    const zero = "0".repeat(64);
    expect(check(GOLDEN, { ...GOOD, file_hash: zero }).lines).toEqual(["file hash mismatch"]);
    expect(check(GOLDEN, { ...GOOD, structure_hash: zero }).lines).toEqual(["structure hash mismatch"]);
    expect(check(GOLDEN, { ...GOOD, quant_type: "Q8_0" }).lines).toEqual(["quantization type mismatch"]);
    expect(check(GOLDEN, { ...GOOD, file_size: 417 }).lines).toEqual(["file size mismatch"]);
  });

  test("do when the type is any of those that come equally often, since early gguf-guard left it to chance", () => {
    const half: GgufTensor = { name: "b", type: 1, shape: [2], data: Buffer.alloc(4) };
    const file = buildGguf({ tensors: [f32("a", [1]), half] });
    const manifest = manifestFor(file);
    expect(manifest.quant_type).toBe("F32");
    expect(check(file, { ...manifest, quant_type: "F16" }).outcome).toBe("match");
    expect(check(file, { ...manifest, quant_type: "Q4_0" }).outcome).toBe("mismatch");
  });

  test("do not when a tensor is missing from the manifest, or from the file", () => {
    const fewer = withTensors(GOOD, GOOD.tensors.slice(0, 2));
    const all = ["structure hash mismatch", "quantization type mismatch", "tensor count mismatch", "parameter count mismatch"];
    expect(check(GOLDEN, { ...fewer, quant_type: "Q8_0" }).lines).toEqual([
      ...all,
      "output_norm.weight: not in manifest",
      "Merkle root mismatch",
    ]);
    const added = { name: "extra", type: "F32", shape: [1], offset: 128, data_size: 4, hash: "1".repeat(64), element_count: 1 };
    expect(check(GOLDEN, withTensors(GOOD, [...GOOD.tensors, added])).lines).toEqual([
      "structure hash mismatch",
      "tensor count mismatch",
      "parameter count mismatch",
      "extra: manifest tensor not present in file",
      "Merkle root mismatch",
    ]);
  });

  test.each([
    ["type", { type: "F16" }],
    ["shape", { shape: [2, 4] }],
    ["offset", { offset: 128 }],
    ["size", { data_size: 16 }],
  ])("do not when a tensor has another %s", (_, change) => {
    const [first, ...rest] = GOOD.tensors;
    if (first === undefined) throw new Error("the golden file has tensors");
    const { lines } = check(GOLDEN, withTensors(GOOD, [{ ...first, ...change }, ...rest]));
    expect(lines).toContain("token_embd.weight: tensor metadata mismatch");
  });
});

describe("what cannot be checked is not called tampered", () => {
  test("a manifest that is none", () => {
    expect(check(GOLDEN, "{}")).toMatchObject({ outcome: "cannot-check", lines: [expect.stringMatching(/^load manifest: /)] });
  });

  test("a file of a kind that is not read, when it is the very file of which the manifest says so", () => {
    const unknown = buildGguf({ tensors: [{ ...f32("a", [1]), type: 43 }] });
    const manifest = { ...GOOD, file_hash: createHash("sha256").update(unknown).digest("hex"), file_size: unknown.length };
    expect(check(unknown, manifest)).toMatchObject({ outcome: "cannot-check", lines: [expect.stringContaining("not known here")] });
  });

  test("a file without tensors is just another file", () => {
    expect(check(buildGguf({}), GOOD).lines).toEqual(["file hash mismatch", "file size mismatch", "GGUF file contains no tensors"]);
  });

  test("but another file, cut short or not a model at all, is a mismatch whatever is in it", () => {
    expect(check(GOLDEN.subarray(0, 390), GOOD)).toEqual({
      outcome: "mismatch",
      count: 3,
      lines: ["file hash mismatch", "file size mismatch", "the file ends before its tensors: it has 390 bytes and needs 396"],
    });
  });
});

describe("a check in words", () => {
  test("is what gguf-guard prints", () => {
    expect(checkText({ outcome: "match", count: 0, lines: [] })).toBe("PASS: all tensors match manifest");
    expect(checkText(check(flipped(288), GOOD))).toBe(
      "FAIL: 3 mismatches\n  file hash mismatch\n  token_embd.weight: hash mismatch\n  Merkle root mismatch",
    );
    expect(checkText({ outcome: "cannot-check", count: 0, lines: ["why"] })).toBe("error: why");
  });

  test("counts all mismatches, and tells a thousand", () => {
    const tensors = Array.from({ length: 1_500 }, (_, at) => f32(`t${at}`, [at]));
    const file = buildGguf({ tensors });
    const other = buildGguf({ tensors: tensors.map(({ name }) => f32(name, [-1])) });
    const result = check(other, manifestFor(file));
    expect([result.count, result.lines.length]).toEqual([1_502, 1_000]);
    expect(checkText(result)).toMatch(/^FAIL: 1502 mismatches\n(?: {2}.*\n){1000} {2}\.\.\. and 502 more$/);
  });
});
