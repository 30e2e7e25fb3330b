import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memorySource } from "../../src/formats/byte-source.ts";
import { FormatError } from "../../src/formats/format-error.ts";
import { type ModelDetails, readDetails } from "../../src/formats/model-details.ts";
import { factsOf, readModelFile } from "../../src/formats/model-facts.ts";
import { GOLDEN, type GgufValue, buildGguf, gstring, named, strings, text, u32, u64, uint32 } from "./build-gguf.ts";
import { buildSafetensors } from "./build-safetensors.ts";
import { mutation } from "./mutate.ts";

const details = (bytes: Uint8Array, name = ""): ModelDetails => readDetails(memorySource(bytes), name);
const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

describe("what the header of a GGUF file says", () => {
  test("are its values as people read them, with a hash where they are long", () => {
    const long = "{{ messages }}".repeat(100);
    const tokens = Array.from({ length: 32_000 }, (_, at) => `token-${at}`);
    const metadata: (readonly [string, GgufValue])[] = [
      ["general.name", text("Größe 模型")],
      ["llama.block_count", uint32(32)],
      ["llama.rope.freq_base", { type: 6, bytes: Buffer.from(new Float32Array([10_000.5]).buffer) }],
      ["general.flag", { type: 7, bytes: Uint8Array.of(1) }],
      ["general.seed", { type: 11, bytes: u64(-5n) }],
      ["tokenizer.chat_template", text(long)],
      ["tokenizer.ggml.tokens", strings(tokens)],
      ["llama.dims", { type: 9, of: 4, count: 3n, bytes: Buffer.concat([u32(1), u32(2), u32(3)]) }],
    ];
    const found = details(buildGguf({ metadata: named("llama", ...metadata), tensors: [] }));
    expect(found.metadataCount).toBe(9);
    expect(found.metadata).toEqual(
      [
        { key: "general.architecture", type: "string", value: "llama", hash: "" },
        { key: "general.name", type: "string", value: "Größe 模型", hash: "" },
        { key: "llama.block_count", type: "uint32", value: "32", hash: "" },
        { key: "llama.rope.freq_base", type: "float32", value: "10000.5", hash: "" },
        { key: "general.flag", type: "bool", value: "true", hash: "" },
        { key: "general.seed", type: "int64", value: "-5", hash: "" },
        { key: "tokenizer.chat_template", type: "string", value: long.slice(0, 300), hash: sha256(gstring(long)) },
        {
          key: "tokenizer.ggml.tokens",
          type: "array of string",
          value: "32000 items",
          hash: sha256(Buffer.concat([u32(8), u64(tokens.length), ...tokens.map(gstring)])),
        },
        { key: "llama.dims", type: "array of uint32", value: "1, 2, 3", hash: "" },
      ].toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    );
  });

  test("are its tensors by name, and a hash of them all", () => {
    const found = details(GOLDEN);
    expect(found.facts).toEqual(factsOf(readModelFile(memorySource(GOLDEN), "")));
    expect(found.tensors.map(({ name }) => name)).toEqual(found.tensors.map(({ name }) => name).toSorted());
    const lines = found.tensors.map(({ name, type, shape }) => `${name}\n${type} ${shape.join(",")}\n`);
    expect(found.tensorsHash).toBe(sha256(lines.join("")));
  });

  test("is bounded in what it lists, and counts all", () => {
    const metadata = Array.from({ length: 700 }, (_, at) => [`k${at}`, uint32(at)] as const);
    const tensors = Array.from({ length: 10_050 }, (_, at) => ({ name: `t${at}`, type: 0, shape: [8], data: Buffer.alloc(32) }));
    const found = details(buildGguf({ metadata, tensors }));
    expect([found.metadata.length, found.metadataCount, found.tensors.length, found.facts.tensorCount]).toEqual([500, 700, 10_000, 10_050]);
  });

  test("never cuts a character in half", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 250, maxLength: 400 }), (value) => {
        const [, entry] = details(
          buildGguf({
            metadata: [
              ["a", text("x")],
              ["b", text(value)],
            ],
            tensors: [],
          }),
        ).metadata;
        expect(value.startsWith(entry?.value ?? "?")).toBe(true);
        expect(entry?.hash === "").toBe(entry?.value === value);
      }),
    );
  });
});

test("a safetensors file's metadata are text", () => {
  const long = "x".repeat(1000);
  const header = { __metadata__: { format: "pt", long }, w: { dtype: "F32", shape: [2, 1], data_offsets: [0, 8] } };
  expect(details(buildSafetensors(JSON.stringify(header), Buffer.alloc(8)))).toMatchObject({
    facts: { format: "safetensors", parameters: 2 },
    metadata: [
      { key: "format", type: "string", value: "pt", hash: "" },
      { key: "long", type: "string", value: long.slice(0, 300), hash: sha256(long) },
    ],
    tensors: [{ name: "w", type: "F32", shape: [2, 1] }],
  });
});

/** The name of what was thrown. */
function thrownBy(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof FormatError ? error.name : "another error";
  }
}

test("a changed file is read as some file, or refused as none", () => {
  fc.assert(fc.property(mutation, (mutate) => thrownBy(() => details(mutate(GOLDEN))) !== "another error"));
});
