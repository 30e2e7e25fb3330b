import { describe, expect, test, vi } from "vitest";
import { type ByteSource, memorySource } from "../../src/formats/byte-source.ts";
import { FormatError } from "../../src/formats/format-error.ts";
import { readGguf } from "../../src/formats/gguf.ts";
import type { ModelFile } from "../../src/formats/model-file.ts";
import {
  type GgufParts,
  type GgufTensor,
  type GgufValue,
  GOLDEN,
  buildGguf,
  f32,
  gstring,
  named,
  strings,
  text,
  u32,
  u64,
  uint32,
} from "./build-gguf.ts";

// Large inputs take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const read = (parts: GgufParts): ModelFile => readGguf(memorySource(buildGguf(parts)));
const ONE = f32("a", [1, 2, 3, 4]);

/** A file of which only some pieces are given, by their offsets; all else is zero, as in a sparse file. */
function sparse(pieces: ReadonlyMap<number, Uint8Array>, size: number): ByteSource & { readonly bytesRead: () => number } {
  let count = 0;
  const fill = (offset: number, into: Uint8Array): void => {
    count += into.length;
    into.fill(0);
    for (const [start, bytes] of pieces) {
      const from = Math.max(start, offset);
      const part = bytes.subarray(from - start, Math.max(0, offset + into.length - start));
      if (part.length > 0) into.set(part, from - offset);
    }
  };
  return { size, read: fill, bytesRead: () => count };
}

/** Where an array of 128 MiB begins. */
const largeArray = (key: string): Buffer => Buffer.concat([gstring(key), u32(9), u32(10), u64(2 ** 24)]);

/** Metadata of one key. */
const meta = (key: string | Uint8Array, value: GgufValue): GgufParts => ({ metadata: [[key, value]], tensors: [ONE] });

describe("a GGUF file is read", () => {
  test("with its architecture and its tensors in their order", () => {
    expect(readGguf(memorySource(GOLDEN))).toEqual({
      format: "gguf",
      architecture: "llama",
      fileType: undefined,
      dataStart: 288,
      tensors: [
        { name: "token_embd.weight", type: "F32", shape: [4, 2], offset: 0, size: 32, elements: 8 },
        { name: "blk.0.attn_q.weight", type: "Q8_0", shape: [32], offset: 32, size: 34, elements: 32 },
        { name: "output_norm.weight", type: "F32", shape: [3], offset: 96, size: 12, elements: 3 },
      ],
      suspicions: [],
    });
  });

  test.each([2, 3])("of version %d", (version) => {
    expect(read({ version, tensors: [ONE] }).tensors).toHaveLength(1);
  });

  test("without an architecture, or with one that is no text", () => {
    expect(read({ metadata: [], tensors: [ONE] }).architecture).toBeUndefined();
    expect(read(meta("general.architecture", uint32(3))).architecture).toBeUndefined();
  });

  test("without tensors, as vocabularies are", () => {
    expect(read({ metadata: named("llama", ["tokenizer.ggml.tokens", strings(["a", "b"])]) }).tensors).toEqual([]);
  });

  test.each([1, 8, 64, 4_096, 65_536])("with the alignment %d that its metadata states", (alignment) => {
    const tensors = [f32("a", [1]), f32("b", [2]), f32("c", [3])];
    const file = read({ metadata: named("llama", ["general.alignment", uint32(alignment)]), tensors, alignment });
    expect(file.dataStart % alignment).toBe(0);
    expect(file.tensors.map(({ offset }) => offset)).toEqual([0, 1, 2].map((at) => at * Math.max(4, alignment)));
  });

  test("with every kind of metadata, of which nothing is kept", () => {
    const kinds: readonly (readonly [string, GgufValue])[] = [
      ...[1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8].flatMap((bytes, type) =>
        bytes === undefined ? [] : [[`kind.${type}`, { type, bytes: Buffer.alloc(bytes, 1) }] as const],
      ),
      ["floats", { type: 9, of: 6, count: 3n, bytes: Buffer.alloc(12) }],
      ["truths", { type: 9, of: 7, count: 2n, bytes: Buffer.of(0, 1) }],
      ["nested", { type: 9, of: 9, count: 1n, bytes: Buffer.concat([u32(8), u64(1), gstring("ä")]) }],
      ["nothing", { type: 9, of: 8, count: 0n, bytes: Buffer.alloc(0) }],
      ["long", text("ä".repeat(1_000_000))],
    ];
    expect(read({ metadata: named("llama", ...kinds), tensors: [ONE] }).architecture).toBe("llama");
  });

  test.each([128_256, 430_000])("with a vocabulary of %d tokens", (count) => {
    const tokens = strings(Array.from({ length: count }, (_, at) => `▁token ${at}`));
    const scores: GgufValue = { type: 9, of: 6, count: BigInt(count), bytes: Buffer.alloc(4 * count) };
    const metadata = named("llama", ["tokenizer.ggml.tokens", tokens], ["tokenizer.ggml.scores", scores]);
    expect(read({ metadata, tensors: [ONE] }).tensors).toHaveLength(1);
  });

  test("with tokens that are raw bytes, as vocabularies of 2023 have them", () => {
    const tokens: GgufValue = {
      type: 9,
      of: 8,
      count: 2n,
      bytes: Buffer.concat([gstring(Buffer.of(0xe2, 0x96)), gstring(Buffer.of(0xff))]),
    };
    expect(read({ metadata: named("falcon", ["tokenizer.ggml.tokens", tokens]), tensors: [ONE] }).architecture).toBe("falcon");
  });

  test("of 75 GB by reading little more than its header", () => {
    const elements = 18_750_000_000;
    const head = buildGguf({ tensors: [{ name: "a", type: 0, shape: [elements], data: Buffer.alloc(0) }] });
    const source = sparse(new Map([[0, head]]), head.length + 4 * elements);
    expect(readGguf(source).tensors).toEqual([{ name: "a", type: "F32", shape: [elements], offset: 0, size: 4 * elements, elements }]);
    expect(source.bytesRead()).toBeLessThan(1024 * 1024);
  });

  test("whatever is in its padding and behind its last tensor, as long as it is less than the alignment", () => {
    expect(read({ tensors: [ONE], tail: Buffer.alloc(31, 1) }).tensors).toHaveLength(1);
  });
});

describe("the types of ggml", () => {
  /** Number, elements and bytes of a block: reference table of the format. */
  const TYPES: readonly (readonly [string, number, number, number])[] = [
    ["F32", 0, 1, 4],
    ["F16", 1, 1, 2],
    ["Q4_0", 2, 32, 18],
    ["Q4_1", 3, 32, 20],
    ["Q5_0", 6, 32, 22],
    ["Q5_1", 7, 32, 24],
    ["Q8_0", 8, 32, 34],
    ["Q8_1", 9, 32, 36],
    ["Q2_K", 10, 256, 84],
    ["Q3_K", 11, 256, 110],
    ["Q4_K", 12, 256, 144],
    ["Q5_K", 13, 256, 176],
    ["Q6_K", 14, 256, 210],
    ["Q8_K", 15, 256, 292],
    ["IQ2_XXS", 16, 256, 66],
    ["IQ2_XS", 17, 256, 74],
    ["IQ3_XXS", 18, 256, 98],
    ["IQ1_S", 19, 256, 50],
    ["IQ4_NL", 20, 32, 18],
    ["IQ3_S", 21, 256, 110],
    ["IQ2_S", 22, 256, 82],
    ["IQ4_XS", 23, 256, 136],
    ["I8", 24, 1, 1],
    ["I16", 25, 1, 2],
    ["I32", 26, 1, 4],
    ["I64", 27, 1, 8],
    ["F64", 28, 1, 8],
    ["IQ1_M", 29, 256, 56],
    ["BF16", 30, 1, 2],
    ["TQ1_0", 34, 256, 54],
    ["TQ2_0", 35, 256, 66],
    ["MXFP4", 39, 32, 17],
    ["NVFP4", 40, 64, 36],
    ["Q1_0", 41, 128, 18],
    ["Q2_0", 42, 64, 18],
  ];

  test.each(TYPES)("%s has its size", (name, type, elements, bytes) => {
    const tensor: GgufTensor = { name: "a", type, shape: [2 * elements, 3], data: Buffer.alloc(6 * bytes) };
    expect(read({ tensors: [tensor] }).tensors).toEqual([
      { name: "a", type: name, shape: [2 * elements, 3], offset: 0, size: 6 * bytes, elements: 6 * elements },
    ]);
  });

  test.each(TYPES.filter(([, , elements]) => elements > 1))("rows of %s are whole blocks", (_, type, elements, bytes) => {
    const tensor: GgufTensor = { name: "a", type, shape: [elements / 2, 2], data: Buffer.alloc(bytes) };
    expect(() => read({ tensors: [tensor] })).toThrow(/no multiple of/);
  });

  test.each([4, 5, 31, 32, 33, 36, 37, 38])("number %d was withdrawn", (type) => {
    expect(() => read({ tensors: [{ ...ONE, type }] })).toThrow("withdrawn");
  });

  test.each([43, 142, 0xff_ff_ff_ff])("number %d is not known", (type) => {
    expect(() => read({ tensors: [{ ...ONE, type }] })).toThrow(`not known here (number ${type})`);
  });
});

const I64_MAX = 2n ** 63n - 1n;

describe("a GGUF file is refused", () => {
  test.each<[string, GgufParts, string]>([
    ["version 0", { version: 0, tensors: [ONE] }, "version 0"],
    ["version 1", { version: 1, tensors: [ONE] }, "version 1"],
    ["version 4", { version: 4, tensors: [ONE] }, "version 4"],
    ["big-endian, version 2", { version: 0x02_00_00_00, tensors: [ONE] }, "big-endian"],
    ["big-endian, version 3", { version: 0x03_00_00_00, tensors: [ONE] }, "big-endian"],
    ["more tensors than bytes", { tensorCount: 400_000n, tensors: [ONE] }, "ends inside its header"],
    ["2^63 tensors", { tensorCount: 2n ** 63n, tensors: [ONE] }, "the number of tensors is 9223372036854775808"],
    ["2^64 - 1 tensors", { tensorCount: 2n ** 64n - 1n, tensors: [ONE] }, "the number of tensors is 18446744073709551615"],
    ["more keys than bytes", { keyCount: 90_000n, tensors: [ONE] }, "ends inside its header"],
    ["2^63 keys", { keyCount: 2n ** 63n, tensors: [ONE] }, "the number of metadata keys is 9223372036854775808"],
    ["an empty key", meta("", uint32(1)), "key is empty"],
    ["a key with NUL", meta("a\0b", uint32(1)), "has a NUL"],
    ["a key that is not UTF-8", meta(Buffer.of(0xff), uint32(1)), "key is not UTF-8"],
    ["a key of 4097 bytes", meta("k".repeat(4_097), uint32(1)), "the length of a metadata key is 4097"],
    ["a key twice", { metadata: named("llama", ["a", uint32(1)], ["a", uint32(2)]), tensors: [ONE] }, 'key "a" comes twice'],
    ["the architecture twice", { metadata: named("llama", ["general.architecture", text("qwen2")]), tensors: [ONE] }, "comes twice"],
    ["an empty architecture", { metadata: named(""), tensors: [ONE] }, "general.architecture is no name"],
    ["an architecture of two lines", { metadata: named("a\nb"), tensors: [ONE] }, "general.architecture is no name"],
    ["an architecture of 257 bytes", { metadata: named("a".repeat(257)), tensors: [ONE] }, "the length of general.architecture is 257"],
    ["a value of an unknown type", meta("a", { type: 13, bytes: u32(0) }), "has the type 13"],
    ["items of an unknown type", meta("a", { type: 9, of: 13, count: 1n, bytes: u32(0) }), "has the type 13"],
    ["a truth value of 2", meta("a", { type: 7, bytes: Buffer.of(2) }), "neither 0 nor 1"],
    ["a truth value of 2 among others", meta("a", { type: 9, of: 7, count: 2n, bytes: Buffer.of(1, 2) }), "neither 0 nor 1"],
    ["a text that is not UTF-8", meta("a", { type: 8, bytes: gstring(Buffer.of(0xc3, 0x28)) }), "is not UTF-8"],
    ["a text of 2^63 bytes", meta("a", { type: 8, bytes: u64(2n ** 63n) }), "the length of a metadata text"],
    ["a text longer than the file", meta("a", { type: 8, bytes: u64(1_000_000) }), "ends inside its header"],
    ["an array of 2^63 items", meta("a", { type: 9, of: 0, count: 2n ** 63n, bytes: u32(0) }), "the length of"],
    ["an array of 16 777 217 items", meta("a", { type: 9, of: 0, count: 2n ** 24n + 1n, bytes: u32(0) }), "the length of"],
    ["an array longer than the file", meta("a", { type: 9, of: 10, count: 2n ** 24n, bytes: u32(0) }), "ends inside its header"],
    ["texts more than the file can hold", meta("a", { type: 9, of: 8, count: 2n ** 24n, bytes: u32(0) }), "ends inside its header"],
    ["arrays nested nine deep", meta("a", nested(9)), "nested more than 8 deep"],
    ["alignment 0", meta("general.alignment", uint32(0)), "general.alignment is 0"],
    ["alignment 48", meta("general.alignment", uint32(48)), "general.alignment is 48"],
    ["alignment 131072", meta("general.alignment", uint32(131_072)), "general.alignment is 131072"],
    ["alignment of another type", meta("general.alignment", { type: 10, bytes: u64(32) }), "not of the type uint32"],
    ["a tensor without a name", { tensors: [{ ...ONE, name: "" }] }, "has no name"],
    ["a name of 64 bytes", { tensors: [{ ...ONE, name: "n".repeat(64) }] }, "the length of a tensor's name is 64"],
    ["a name of two lines", { tensors: [{ ...ONE, name: "a\nb" }] }, "control characters"],
    ["two tensors of one name", { tensors: [ONE, { ...ONE }] }, 'two tensors have the name "a"'],
    ["no dimension", { tensors: [{ ...ONE, shape: [] }] }, "has 0 dimensions"],
    ["five dimensions", { tensors: [{ ...ONE, shape: [4, 1, 1, 1, 1] }] }, "has 5 dimensions"],
    ["a dimension of 0", { tensors: [{ ...ONE, shape: [4, 0] }] }, "a dimension of 0"],
    ["a negative dimension", { tensors: [{ ...ONE, shape: [-4n] }] }, "a dimension of tensor"],
    ["a product that wraps around to 4", { tensors: [{ ...ONE, shape: [2n ** 32n + 4n, 2n ** 32n + 1n] }] }, "larger than the file"],
    ["a product of 2^66", { tensors: [{ ...ONE, shape: [2n ** 22n, 2n ** 22n, 2n ** 22n] }] }, "larger than the file"],
    ["more elements than 2^63", { tensors: [{ ...ONE, shape: [I64_MAX, 2] }] }, "a dimension of tensor"],
    ["a tensor beyond the end", { tensors: [{ ...ONE, shape: [32] }] }, "ends before its tensors"],
    ["an offset that wraps around", { tensors: [{ ...ONE, offset: 2n ** 64n - 32n }] }, "the offset of tensor"],
    ["a gap before the first tensor", { tensors: [{ ...ONE, offset: 32n }] }, "but must at 0"],
    ["a misaligned tensor", { tensors: [ONE, { ...ONE, name: "b", offset: 16n }] }, "but must at 32"],
    ["a gap between tensors", { tensors: [ONE, { ...ONE, name: "b", offset: 64n }] }, "but must at 32"],
    ["tensors over each other", { tensors: [ONE, { ...ONE, name: "b", offset: 0n }] }, "but must at 32"],
    [
      "tensors in another order",
      {
        tensors: [
          { ...ONE, offset: 32n },
          { ...ONE, name: "b", offset: 0n },
        ],
      },
      "but must at 0",
    ],
    ["bytes behind the last tensor", { tensors: [ONE], tail: Buffer.alloc(32) }, "32 bytes follow the last tensor"],
    ["bytes behind a header alone", { tail: Buffer.alloc(40) }, "40 bytes follow the last tensor"],
  ])("%s", (_, parts, reason) => {
    expect(() => read(parts)).toThrow(FormatError);
    expect(() => read(parts)).toThrow(reason);
  });

  test("when it was placed by another alignment than it states", () => {
    const tensors = [f32("a", [1]), f32("b", [2])];
    expect(() => read({ metadata: named("llama", ["general.alignment", uint32(64)]), tensors, alignment: 32 })).toThrow(FormatError);
    expect(() => read({ tensors, alignment: 64 })).toThrow("but must at 32");
  });

  test("wherever it is cut", () => {
    const whole = buildGguf({
      metadata: named("llama", ["tokens", strings(["one", "two"])], ["general.alignment", uint32(32)]),
      tensors: [ONE, f32("b", [1])],
    });
    expect(readGguf(memorySource(whole)).tensors).toHaveLength(2);
    for (let length = 0; length < whole.length; length += 1) {
      expect(() => readGguf(memorySource(whole.subarray(0, length)))).toThrow(FormatError);
    }
  });

  test("when its header goes on for more than 256 MiB, of which little was read", () => {
    const first = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(0), u64(2), largeArray("a")]);
    const source = sparse(
      new Map([
        [0, first],
        [first.length + 2 ** 27, largeArray("b")],
      ]),
      2 ** 40,
    );
    expect(() => readGguf(source)).toThrow("the header is longer than 256 MiB");
    expect(source.bytesRead()).toBeLessThan(4 * 1024 * 1024);
  });

  test("when its keys take more than 16 MiB together", () => {
    const keys = Array.from({ length: 4_200 }, (_, at) => [`${at}`.padStart(4_096, "k"), { type: 0, bytes: Buffer.of(0) }] as const);
    expect(() => read({ metadata: keys, tensors: [ONE] })).toThrow("more than 16 MiB together");
  });

  test("when it is larger than any disk", () => {
    expect(() => readGguf(sparse(new Map([[0, GOLDEN]]), 2 ** 49 + 1))).toThrow("larger than 512 TiB");
  });
});

/** An array in an array in an array, so many of them. */
function nested(depth: number): GgufValue {
  const inner = Array.from({ length: depth - 1 }, () => Buffer.concat([u32(9), u64(1)]));
  const [, ...rest] = [...inner, Buffer.concat([u32(0), u64(1), Buffer.of(1)])];
  return { type: 9, of: 9, count: 1n, bytes: Buffer.concat(rest) };
}
