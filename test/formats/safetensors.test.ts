import { describe, expect, test, vi } from "vitest";
import { memorySource } from "../../src/formats/byte-source.ts";
import { FormatError } from "../../src/formats/format-error.ts";
import type { ModelFile } from "../../src/formats/model-file.ts";
import { readSafetensors } from "../../src/formats/safetensors.ts";
import { buildSafetensors } from "./build-safetensors.ts";

// Large inputs take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const read = (header: string | Uint8Array, data: Uint8Array = Buffer.alloc(0), length?: bigint): ModelFile =>
  readSafetensors(memorySource(buildSafetensors(header, data, length)));

/** A description as it stands in a header. */
const tensor = (dtype: string, shape: readonly (number | string)[], begin: number | string, end: number | string): string =>
  `{"dtype":"${dtype}","shape":[${shape.join(",")}],"data_offsets":[${begin},${end}]}`;

const metadata = (values: object): string => `{"__metadata__":${JSON.stringify(values)}}`;

const suspicionsOf = (values: object): readonly string[] => read(metadata(values)).suspicions;

const hiddenIn = (data: Uint8Array, dtype = "U8"): readonly string[] =>
  read(`{"hidden":${tensor(dtype, [data.length], 0, data.length)}}`, data).suspicions;

/** The record at the end of a zip archive with a comment of this length. */
function zipEnd(comment: number): Buffer {
  const record = Buffer.alloc(22);
  record.write("PK\u0005\u0006");
  record.writeUInt16LE(comment, 20);
  return record;
}

const A = `"a":${tensor("F32", [2, 2], 0, 16)}`;

describe("a safetensors file is read", () => {
  test("with its tensors in the order of their bytes, whatever that of the header is", () => {
    const file = read(`{"b":${tensor("BF16", [4], 16, 24)},${A},"__metadata__":{"format":"pt"}}`, Buffer.alloc(24));
    expect(file.tensors).toEqual([
      { name: "a", type: "F32", shape: [2, 2], offset: 0, size: 16, elements: 4 },
      { name: "b", type: "BF16", shape: [4], offset: 16, size: 8, elements: 4 },
    ]);
    expect(file).toMatchObject({ format: "safetensors", architecture: undefined, suspicions: [] });
  });

  test("with scalars, empty tensors, and no tensors at all", () => {
    const header = `{"none":${tensor("F32", [0, 7], 2, 2)},"one":${tensor("F16", [], 0, 2)},"also":${tensor("U8", [0], 2, 2)}}`;
    const { tensors } = read(header, Buffer.alloc(2));
    expect(tensors.map(({ name, elements, size }) => [name, elements, size])).toEqual([
      ["one", 1, 2],
      ["also", 0, 0],
      ["none", 0, 0],
    ]);
    expect(read("{}").tensors).toEqual([]);
  });

  test("with spaces behind its header, as writers pad it", () => {
    expect(read(`{${A}}      `, Buffer.alloc(16)).tensors).toHaveLength(1);
  });

  test("with the architecture that its metadata names", () => {
    expect(read(metadata({ "modelspec.architecture": "flux-1-dev", architecture: "other" })).architecture).toBe("flux-1-dev");
    expect(read(metadata({ architecture: "llama" })).architecture).toBe("llama");
    expect(read(metadata({ architecture: "" })).architecture).toBeUndefined();
    expect(read(metadata({ architecture: "a\nb" })).architecture).toBeUndefined();
    expect(read(metadata({ architecture: "a".repeat(257) })).architecture).toBeUndefined();
  });

  test("with names that objects have by birth", () => {
    const header = `{"__proto__":${tensor("U8", [1], 0, 1)},"constructor":${tensor("U8", [1], 1, 2)}}`;
    expect(read(header, Buffer.alloc(2)).tensors.map(({ name }) => name)).toEqual(["__proto__", "constructor"]);
  });

  test.each([
    ["BOOL", 8],
    ["F4", 4],
    ["F6_E2M3", 6],
    ["F6_E3M2", 6],
    ["U8", 8],
    ["I8", 8],
    ["F8_E5M2", 8],
    ["F8_E4M3", 8],
    ["F8_E8M0", 8],
    ["F8_E4M3FNUZ", 8],
    ["F8_E5M2FNUZ", 8],
    ["I16", 16],
    ["U16", 16],
    ["F16", 16],
    ["BF16", 16],
    ["I32", 32],
    ["U32", 32],
    ["F32", 32],
    ["C64", 64],
    ["F64", 64],
    ["I64", 64],
    ["U64", 64],
  ])("with %s of %d bits", (dtype, bits) => {
    expect(read(`{"a":${tensor(dtype, [4], 0, bits / 2)}}`, Buffer.alloc(bits / 2)).tensors).toMatchObject([{ type: dtype, elements: 4 }]);
  });
});

describe("a safetensors file is refused", () => {
  const sixteen = Buffer.alloc(16);

  test.each<[string, string | Uint8Array, Uint8Array, string]>([
    ["without a brace", `[]`, sixteen, "does not begin with {"],
    ["with a space before the brace", ` {${A}}`, sixteen, "does not begin with {"],
    ["with a line feed behind the header", `{${A}}\n`, sixteen, "other than spaces"],
    ["with a second object behind the header", `{${A}}{}`, sixteen, "other than spaces"],
    ["with NULs behind the header", `{${A}}\0`, sixteen, "other than spaces"],
    ["that is not JSON", `{'a':1}`, sixteen, "not JSON"],
    ["with a comma too many", `{${A},}`, sixteen, "not JSON"],
    ["with a byte order mark", Buffer.concat([Buffer.of(0xef, 0xbb, 0xbf), Buffer.from(`{${A}}`)]), sixteen, "does not begin with {"],
    ["that is not UTF-8", Buffer.concat([Buffer.from(`{"`), Buffer.of(0xff), Buffer.from(`":1}`)]), sixteen, "not UTF-8"],
    ["with half a surrogate pair", `{"\\ud800":${tensor("F32", [4], 0, 16)}}`, sixteen, "half of a surrogate pair"],
    ["with a tensor twice", `{${A},${A}}`, sixteen, 'the key "a" comes twice'],
    ["with a tensor twice, once in escapes", `{${A},"\\u0061":${tensor("F32", [0], 16, 16)}}`, sixteen, 'the key "a" comes twice'],
    ["with a field twice", `{"a":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, sixteen, "comes twice"],
    ["with metadata twice", `{"__metadata__":{},"__metadata__":{},${A}}`, sixteen, "comes twice"],
    ["with a key of metadata twice", `{"__metadata__":{"a":"1","a":"2"},${A}}`, sixteen, "comes twice"],
    ["with metadata that is no object", `{"__metadata__":"a",${A}}`, sixteen, "an object where one must be"],
    ["with metadata that is no text", `{"__metadata__":{"a":1},${A}}`, sixteen, "not JSON"],
    ["with nested metadata", `{"__metadata__":{"a":{}},${A}}`, sixteen, "not JSON"],
    ["with a tensor that is no object", `{"a":1}`, sixteen, "is not described by"],
    ["with a field too few", `{"a":{"dtype":"F32","shape":[4]}}`, sixteen, "is not described by"],
    ["with a field too many", `{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"x":1}}`, sixteen, "is not described by"],
    ["with a shape that is no list", `{"a":{"dtype":"F32","shape":4,"data_offsets":[0,16]}}`, sixteen, "is not described by"],
    ["with three offsets", `{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8,16]}}`, sixteen, "is not described by"],
    ["with offsets that go back", `{"a":${tensor("F32", [4], 16, 0)}}`, sixteen, "is not described by"],
    ["with a negative dimension", `{"a":${tensor("F32", [-4], 0, 16)}}`, sixteen, "is not described by"],
    ["with half a dimension", `{"a":${tensor("F32", ["4.5"], 0, 16)}}`, sixteen, "is not described by"],
    ["with a dimension of 2^64", `{"a":${tensor("F32", ["18446744073709551616"], 0, 16)}}`, sixteen, "is not described by"],
    ["with a product of 2^66", `{"a":${tensor("F32", [2 ** 22, 2 ** 22, 2 ** 22], 0, 16)}}`, sixteen, "another size"],
    ["with a size that its shape does not make", `{"a":${tensor("F32", [3], 0, 16)}}`, sixteen, "another size"],
    ["with half a byte", `{"a":${tensor("F4", [3], 0, 1)}}`, Buffer.alloc(1), "another size"],
    ["with an unknown type", `{"a":${tensor("F128", [1], 0, 16)}}`, sixteen, 'has the type "F128"'],
    ["with a tensor without a name", `{"":${tensor("F32", [4], 0, 16)}}`, sixteen, "has no name"],
    ["with a name of two lines", `{"a\\nb":${tensor("F32", [4], 0, 16)}}`, sixteen, "control characters"],
    ["with a name of 4097 bytes", `{"${"n".repeat(4_097)}":${tensor("F32", [4], 0, 16)}}`, sixteen, "longer than 4096 bytes"],
    ["with a hole before the first tensor", `{"a":${tensor("F32", [3], 4, 16)}}`, sixteen, "leaves a gap"],
    ["with a hole", `{"a":${tensor("F32", [1], 0, 4)},"b":${tensor("F32", [2], 8, 16)}}`, sixteen, "leaves a gap"],
    ["with tensors over each other", `{"a":${tensor("F32", [3], 0, 12)},"b":${tensor("F32", [2], 8, 16)}}`, sixteen, "overlaps"],
    ["with one tensor in another", `{"a":${tensor("F32", [4], 0, 16)},"b":${tensor("F32", [1], 4, 8)}}`, sixteen, "overlaps"],
    ["with too little data", `{${A}}`, Buffer.alloc(15), "ends before its tensors"],
    ["with too much data", `{${A}}`, Buffer.alloc(17), "1 bytes follow the last tensor"],
    ["with data of no tensor", `{}`, Buffer.alloc(1), "1 bytes follow the last tensor"],
    ["with JSON nested without end", `{"a":${"[".repeat(100_000)}`, sixteen, "nested more than 32 deep"],
    [
      "with a list without end for a shape",
      `{"a":{"dtype":"F32","shape":[${"1,".repeat(100_000)}1],"data_offsets":[0,16]}}`,
      sixteen,
      "more than 256",
    ],
    [
      "with a number without end",
      `{"a":{"dtype":"F32","shape":[${"1".repeat(100_000)}],"data_offsets":[0,16]}}`,
      sixteen,
      "more than 64 characters",
    ],
  ])("%s", (_, header, data, reason) => {
    expect(() => read(header, data)).toThrow(FormatError);
    expect(() => read(header, data)).toThrow(reason);
  });

  test.each([
    [2n ** 64n - 1n, "the length of the header is 18446744073709551615"],
    [2n ** 63n, "the length of the header is 9223372036854775808"],
    [100_000_001n, "the length of the header is 100000001"],
    [100_000_000n, "ends inside its header"],
    [10_000n, "ends inside its header"],
    [0n, "does not begin with {"],
  ])("with a header of %d bytes that it does not have", (length, reason) => {
    expect(() => read(`{${A}}`, sixteen, length)).toThrow(reason);
  });

  test("wherever it is cut", () => {
    const whole = buildSafetensors(`{${A},"__metadata__":{"format":"pt"}}`, sixteen);
    expect(readSafetensors(memorySource(whole)).tensors).toHaveLength(1);
    for (let length = 0; length < whole.length; length += 1) {
      expect(() => readSafetensors(memorySource(whole.subarray(0, length)))).toThrow(FormatError);
    }
  });
});

describe("what a person should look at", () => {
  const program = Buffer.alloc(256);
  program.write("MZ");
  program.writeUInt32LE(128, 0x3c);
  program.write("PE\0\0", 128, "latin1");

  test.each<[string, Uint8Array]>([
    ["a zip archive", Buffer.from("PK\u0003\u0004 and so on")],
    ["an empty zip archive", Buffer.from("PK\u0005\u0006 and so on")],
    ["an ELF program", Buffer.from("\u007fELF\u0002\u0001\u0001")],
    ["a 7z archive", Buffer.of(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0, 4)],
    ["a gzip file", Buffer.of(0x1f, 0x8b, 0x08, 0x00, 1, 2)],
    ["a Windows program", program],
    ["a pickle", Buffer.from("\u0080\u0004\u0095...cos\nsystem\n.", "latin1")],
  ])("is a tensor that begins as %s does", (what, data) => {
    expect(hiddenIn(data)).toEqual([`tensor "hidden" begins as ${what} does`]);
    expect(hiddenIn(data, "I8")).toHaveLength(1);
    // Other types are numbers that mean nothing as bytes.
    expect(hiddenIn(data, "BOOL")).toEqual([]);
  });

  test.each<[string, Uint8Array]>([
    ["MZ alone", Buffer.from("MZ and nothing more of a program than its first two letters, in 64 bytes")],
    ["a pickle's first bytes alone", Buffer.of(0x80, 0x04, 0x95, 0)],
    ["gzip's first bytes with flags that it does not have", Buffer.of(0x1f, 0x8b, 0x08, 0xff)],
    ["a tensor too short for anything", Buffer.of(0x50)],
  ])("is not %s", (_, data) => {
    expect(hiddenIn(data)).toEqual([]);
  });

  test("is a file that is a zip archive as well, of whatever type its last tensor is", () => {
    const zip = Buffer.concat([Buffer.alloc(10), zipEnd(8), Buffer.from("comments")]);
    expect(hiddenIn(zip, "F8_E4M3")).toEqual(["the file ends as a zip archive does"]);
    expect(hiddenIn(Buffer.concat([Buffer.alloc(10), zipEnd(7), Buffer.from("comments")]), "F8_E4M3")).toEqual([]);
  });

  test("is metadata that a page could run, and metadata without end", () => {
    expect(suspicionsOf({ note: "<script>alert(1)</script>" })).toEqual(['the metadata "note" holds markup']);
    expect(suspicionsOf({ link: "JavaScript:alert(1)" })).toEqual(['the metadata "link" holds markup']);
    expect(suspicionsOf({ tags: "<s> </s> <|im_start|> <pad> a<b <lora:x:1>" })).toEqual([]);
    expect(suspicionsOf({ big: "x".repeat(11 * 1024 * 1024) })).toEqual(["the metadata is larger than 10 MiB"]);
    expect(suspicionsOf(Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`k${at}`, "<script>"])))).toHaveLength(16);
  });
});
