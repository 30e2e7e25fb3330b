import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { memorySource } from "../../src/formats/byte-source.ts";
import { FormatError } from "../../src/formats/format-error.ts";
import { MAX_MANIFEST_BYTES, loadManifest } from "../../src/formats/tensor-manifest-text.ts";
import type { TensorManifest } from "../../src/formats/tensor-manifest.ts";
import { GOLDEN } from "./build-gguf.ts";
import { buildSafetensors } from "./build-safetensors.ts";
import { manifestFor, textFor, textOf } from "./make-manifest.ts";

// Many tensors take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const load = (text: string | Uint8Array): TensorManifest => loadManifest(memorySource(typeof text === "string" ? Buffer.from(text) : text));
const GOOD = manifestFor(GOLDEN);
const [FIRST, SECOND, THIRD] = GOOD.tensors;
const HASH = "0".repeat(64);

/** The golden manifest with one member changed. */
const changed = (members: Readonly<Record<string, unknown>>): string => JSON.stringify({ ...GOOD, ...members });
/** With the first tensor changed. */
const first = (members: Readonly<Record<string, unknown>>): string => changed({ tensors: [{ ...FIRST, ...members }, SECOND, THIRD] });

test("what was written is loaded as it was", () => {
  const scalar = buildSafetensors('{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', Buffer.alloc(4));
  for (const file of [GOLDEN, scalar]) expect(load(textFor(file))).toEqual(manifestFor(file));
});

test("order of members and white space do not matter", () => {
  const reversed = Object.fromEntries(Object.entries(GOOD).toReversed());
  expect(load(`\n${JSON.stringify(reversed)}  \n`)).toEqual(GOOD);
});

describe("a manifest is refused", () => {
  test.each<[string, string, string]>([
    ["that is empty", "", "an object where one must be"],
    ["that is a list", "[]", "an object where one must be"],
    ["that ends too early", textFor(GOLDEN).slice(0, -10), "not"],
    ["with something behind it", `${textFor(GOLDEN)}{}`, "something follows"],
    ["with a member that is not known", changed({ signature: "x" }), 'a member that is not known: "signature"'],
    ["with a tensor's member that is not known", first({ x: 1 }), 'tensors[0]: has a member that is not known: "x"'],
    ["with a member of an object's birth", textFor(GOLDEN).replace('"name"', '"__proto__": 1, "name"'), "not known"],
    ["with a member twice", textFor(GOLDEN).replace('"file_size"', '"tensor_count": 3, "file_size"'), "comes twice"],
    ["with a tensor's member twice", textFor(GOLDEN).replace('"offset": 0', '"offset": 0, "offset": 0'), "comes twice"],
    ["without its version", changed({ manifest_version: undefined }), "manifest_version"],
    ["of another version", changed({ manifest_version: "1.1" }), "manifest_version"],
    ["of a version in numbers", changed({ manifest_version: 1 }), "manifest_version"],
    ["with a hash too short", changed({ file_hash: "00" }), "file_hash: must be a SHA-256 digest"],
    ["with a hash in capitals", changed({ file_hash: "A".repeat(64) }), "file_hash: must be a SHA-256 digest"],
    ["with a prefixed hash", changed({ structure_hash: `sha256:${HASH}` }), "structure_hash: must be a SHA-256 digest"],
    ["with a tensor's hash too short", first({ hash: "00" }), "tensors[0].hash: must be a SHA-256 digest"],
    ["without an architecture", changed({ architecture: "" }), "architecture"],
    ["with an architecture of 257 characters", changed({ architecture: "a".repeat(257) }), "architecture"],
    ["with a type of 65 characters", changed({ quant_type: "a".repeat(65) }), "quant_type"],
    ["of an empty file", changed({ file_size: 0 }), "file_size"],
    ["with a count that is none", changed({ tensor_count: "3" }), "tensor_count"],
    ["with another count than it has tensors", changed({ tensor_count: 4 }), "tensor_count is 4, but there are 3 tensors"],
    ["without tensors", changed({ tensors: undefined }), "tensors: is missing"],
    ["with an empty list of tensors", changed({ tensors: [], tensor_count: 0, parameters: 0 }), "no tensors"],
    ["with tensors that are no list", changed({ tensors: {} }), "an array where one must be"],
    ["with a tensor that is none", changed({ tensors: [1] }), "tensors[0]"],
    ["with a tensor twice", changed({ tensors: [FIRST, FIRST, THIRD] }), 'tensor "token_embd.weight" comes twice'],
    ["with a name of two lines", first({ name: "a\nb" }), "control characters"],
    ["with other parameters than its tensors have", changed({ parameters: 44 }), "parameters is 44, but the tensors have 43 elements"],
    ["with another product than its shape has", first({ element_count: 9 }), "not the product of its shape"],
    ["with a shape that wraps around", first({ shape: [2 ** 32, 2 ** 32, 8] }), "not the product of its shape"],
    ["with a negative dimension", first({ shape: [-4, -2] }), "tensors[0].shape.0: must not be negative"],
    ["with an offset beyond 2^53", textFor(GOLDEN).replace('"offset": 0', '"offset": 18446744073709551615'), "at most 9007199254740991"],
    ["with a tensor beyond its file", first({ data_size: 1_000, offset: 400 }), "ends beyond the end of the file"],
    ["with tensors over each other", first({ data_size: 33 }), "overlaps another one"],
    ["with another root than its hashes make", changed({ merkle_root: HASH }), "merkle_root is not that of the tensors' hashes"],
    ["whose hashes make another root", first({ hash: HASH }), "merkle_root is not that of the tensors' hashes"],
  ])("%s", (_, text, reason) => {
    expect(() => load(text)).toThrow(FormatError);
    expect(() => load(text)).toThrow(reason);
  });

  test("that is larger than any, before it is read", () => {
    const source = { size: MAX_MANIFEST_BYTES + 1, read: () => expect.unreachable() };
    expect(() => loadManifest(source)).toThrow("larger than 256 MiB");
  });

  test("wherever it is cut", () => {
    const text = textFor(GOLDEN).trimEnd();
    for (let length = 0; length < text.length; length += 1) expect(() => load(text.slice(0, length))).toThrow(FormatError);
  });
});

test("far more tensors are loaded than the 100 000 that gguf-guard takes", () => {
  const count = 120_000;
  const described = Array.from({ length: count }, (_, at) => `"t${at}":{"dtype":"U8","shape":[1],"data_offsets":[${at},${at + 1}]}`);
  const file = buildSafetensors(`{${described.join(",")}}`, Buffer.alloc(count));
  expect(load(textFor(file)).tensor_count).toBe(count);
});

test("a change of any byte is refused, or gives a manifest that says something else in one place", () => {
  const whole = Buffer.from(textFor(GOLDEN));
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
      const text = Buffer.from(whole);
      text[at] = byte;
      const loaded = ifGood(() => load(text));
      // What is loaded agrees with itself: written again, it is loaded as the same.
      expect(loaded === undefined ? undefined : load(textOf(loaded))).toEqual(loaded);
    }),
    { numRuns: 1_500 },
  );
});

function ifGood<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
