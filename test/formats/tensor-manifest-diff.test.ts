import { expect, test } from "vitest";
import { diffManifests, diffText } from "../../src/formats/tensor-manifest-diff.ts";
import { buildGguf, f32, named } from "./build-gguf.ts";
import { manifestFor } from "./make-manifest.ts";

const BASE = manifestFor(buildGguf({ tensors: [f32("a", [1, 2]), f32("b", [3]), f32("c", [4]), f32("d", [5])] }));

test("a manifest is the same as itself", () => {
  const diff = diffManifests(BASE, BASE);
  expect(diff).toEqual({ same: true, members: [], tensors: { from: 4, to: 4, alike: 4 }, count: 0, differences: [] });
  expect(diffText(diff)).toBe("The manifests describe the same file.");
});

test("each tensor that differs is named, with what differs; where it lies does not count", () => {
  const half = { name: "c", type: 1, shape: [1], data: Buffer.alloc(2) };
  const other = manifestFor(buildGguf({ tensors: [f32("new", [0]), f32("a", [1, 2, 3]), f32("b", [9]), half] }));
  const diff = diffManifests(BASE, other);
  expect(diff).toMatchObject({ same: false, tensors: { from: 4, to: 4, alike: 0 }, count: 5 });
  expect(diff.differences).toEqual([
    { name: "a", change: "shape" },
    { name: "b", change: "content" },
    { name: "c", change: "type" },
    { name: "d", change: "removed" },
    { name: "new", change: "added" },
  ]);
  const moved = manifestFor(buildGguf({ tensors: [f32("b", [3]), f32("a", [1, 2]), f32("c", [4]), f32("d", [5])] }));
  expect(diffManifests(BASE, moved)).toMatchObject({ count: 0, tensors: { alike: 4 } });
});

test("a change of metadata alone is told from one of tensors", () => {
  const other = manifestFor(
    buildGguf({ metadata: named("qwen2"), tensors: [f32("a", [1, 2]), f32("b", [3]), f32("c", [4]), f32("d", [5])] }),
  );
  const diff = diffManifests(BASE, other);
  expect(diff.members).toEqual([
    { member: "file_hash", from: BASE.file_hash, to: other.file_hash },
    { member: "architecture", from: "llama", to: "qwen2" },
  ]);
  expect(diffText(diff)).toBe(`file_hash: ${BASE.file_hash} -> ${other.file_hash}\narchitecture: llama -> qwen2\nAll 4 tensors are alike.`);
});

test("all differences are counted, and a thousand told", () => {
  const tensors = Array.from({ length: 1_200 }, (_, at) => f32(`t${at}`, [at]));
  const other = tensors.map(({ name }) => f32(name, [-1]));
  const diff = diffManifests(manifestFor(buildGguf({ tensors })), manifestFor(buildGguf({ tensors: other })));
  expect([diff.count, diff.differences.length, diff.tensors.alike]).toEqual([1_200, 1_000, 0]);
  expect(diffText(diff)).toMatch(/1200 tensors differ, 0 are alike:\n {2}t0: other content\n[^]*\n {2}\.\.\. and 200 more$/);
});
