import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { type ByteSource, memorySource } from "../../src/formats/byte-source.ts";
import { FormatError } from "../../src/formats/format-error.ts";
import { factsOf, readModelFile } from "../../src/formats/model-facts.ts";
import type { ModelFile } from "../../src/formats/model-file.ts";
import { GOLDEN, buildGguf, f32, named, strings, uint32 } from "./build-gguf.ts";
import { buildSafetensors } from "./build-safetensors.ts";
import { mutation } from "./mutate.ts";

// Many runs take their time on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const GGUF = buildGguf({
  metadata: named(
    "llama",
    ["general.alignment", uint32(32)],
    ["tokens", strings(["a", "ä", "𝄞"])],
    ["b", { type: 7, bytes: Buffer.of(1) }],
  ),
  tensors: [f32("a", [1, 2]), { name: "b", type: 8, shape: [32, 2], data: Buffer.alloc(68) }],
});
const SAFETENSORS = buildSafetensors(
  '{"__metadata__":{"format":"pt","architecture":"x"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},' +
    '"b":{"dtype":"U8","shape":[7],"data_offsets":[16,23]},"c":{"dtype":"F64","shape":[],"data_offsets":[23,31]}}   ',
  Buffer.alloc(31),
);
const FILES: readonly (readonly [string, Buffer])[] = [
  ["a GGUF file", GGUF],
  ["the GGUF file of gguf-guard", GOLDEN],
  ["a safetensors file", SAFETENSORS],
];

/** A source that tells how much was read of it. */
function counted(bytes: Uint8Array): ByteSource & { readonly bytesRead: () => number } {
  const source = memorySource(bytes);
  let count = 0;
  return {
    size: source.size,
    read: (offset, into) => {
      count += into.length;
      source.read(offset, into);
    },
    bytesRead: () => count,
  };
}

function readIfGood(source: ByteSource): ModelFile | undefined {
  try {
    return readModelFile(source, "");
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

test.each(FILES)("%s is right as it is", (_, file) => {
  expect(readModelFile(memorySource(file), "").tensors.length).toBeGreaterThan(1);
});

test.each(FILES)("%s, whatever is done to it, is refused or read within its bounds, by reading little", (_, file) => {
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
      const source = counted(mutations.reduce((bytes, mutate) => mutate(bytes), file));
      const found = readIfGood(source);
      expect(source.bytesRead()).toBeLessThanOrEqual(4 * source.size + 256);
      let end = 0;
      for (const { name, offset, size } of found?.tensors ?? []) {
        expect(name).not.toBe("");
        expect(offset).toBeGreaterThanOrEqual(end);
        end = offset + size;
      }
      expect((found?.dataStart ?? 0) + end).toBeLessThanOrEqual(source.size);
      expect(new Set(found?.tensors.map(({ name }) => name)).size).toBe(found?.tensors.length ?? 0);
      expect(Number.isSafeInteger(found === undefined ? 0 : factsOf(found).parameters)).toBe(true);
    }),
    { numRuns: 4_000 },
  );
});

test("any bytes are refused, or read", () => {
  const start = fc.constantFrom(
    Buffer.from("GGUF\u0003\0\0\0"),
    Buffer.from("GGUF\u0002\0\0\0"),
    Buffer.from("\u0040\0\0\0\0\0\0\0{"),
    Buffer.alloc(0),
  );
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 400 }), (head, rest) => {
      const source = counted(Buffer.concat([head, rest]));
      readIfGood(source);
      expect(source.bytesRead()).toBeLessThanOrEqual(4 * source.size + 256);
    }),
    { numRuns: 4_000 },
  );
});
