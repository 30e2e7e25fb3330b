import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ComparedFile, type FileChange, diffFiles, diffValues } from "../../src/formats/artifact-diff.ts";

const file = fc.record({
  path: fc.constantFrom("", "a", "b", "c/d", "__proto__", "constructor"),
  digest: fc.constantFrom("sha256:1", "sha256:2", "sha256:3"),
  size: fc.nat(10),
});
const files = fc.array(file, { maxLength: 8 });

const told = (all: readonly ComparedFile[]): string[] => all.map(({ path, digest }) => `${path} ${digest}`).toSorted();
const sidesOf = (changes: readonly FileChange[], side: "from" | "to"): ComparedFile[] => changes.flatMap((change) => change[side] ?? []);

function many(name: string): ComparedFile[] {
  return Array.from({ length: 10_000 }, (_, at) => ({ path: `${name}${at}`, digest: `sha256:${at}`, size: 1 }));
}

describe("the difference of files", () => {
  test("of the same files, in whatever order, is none", () => {
    fc.assert(
      fc.property(
        files.map((all) => [...new Map(all.map((each) => [each.path, each])).values()]),
        (all) => {
          expect(diffFiles(all, all.toReversed())).toMatchObject({ changes: [], alike: all.length });
        },
      ),
    );
  });

  test("leaves nothing out: each file of either side is alike or in one change", () => {
    fc.assert(
      fc.property(files, files, (from, to) => {
        const { changes, alike } = diffFiles(from, to);
        expect(sidesOf(changes, "from").length + alike).toBe(from.length);
        expect(sidesOf(changes, "to").length + alike).toBe(to.length);
        for (const change of changes) expect(told(from.concat(to))).toEqual(expect.arrayContaining(told(sidesOf([change], "to"))));
        for (const { change, from: old, to: now } of changes) {
          const kind = old === undefined ? "added" : now === undefined ? "removed" : old.digest === now.digest ? "renamed" : "changed";
          expect(change).toBe(kind);
        }
      }),
    );
  });

  test("the other way round is the same with its sides exchanged", () => {
    const turned = { added: "removed", removed: "added", changed: "changed", renamed: "renamed" } as const;
    fc.assert(
      fc.property(files, files, (from, to) => {
        const [there, back] = [diffFiles(from, to), diffFiles(to, from)];
        expect(back.alike).toBe(there.alike);
        expect(back.changes.map(({ change }) => turned[change]).toSorted()).toEqual(there.changes.map(({ change }) => change).toSorted());
        expect([back.fromBytes, back.toBytes]).toEqual([there.toBytes, there.fromBytes]);
      }),
    );
  });

  test("of ten thousand files takes their number, not its square", () => {
    expect(diffFiles(many("a"), many("b")).changes.filter(({ change }) => change === "renamed")).toHaveLength(10_000);
  });

  test("tells the same bytes under another name from other bytes under the same name", () => {
    const from = [
      { path: "model.gguf", digest: "sha256:1", size: 10 },
      { path: "README.md", digest: "sha256:2", size: 1 },
    ];
    const to = [
      { path: "weights.gguf", digest: "sha256:1", size: 10 },
      { path: "README.md", digest: "sha256:3", size: 2 },
      { path: "run.py", digest: "sha256:4", size: 3 },
    ];
    expect(diffFiles(from, to).changes.map(({ path, change }) => [path, change])).toEqual([
      ["README.md", "changed"],
      ["run.py", "added"],
      ["weights.gguf", "renamed"],
    ]);
  });
});

test("values are compared by name: what is alike is left out, and all else told once", () => {
  const values = fc.array(fc.record({ name: fc.constantFrom("a", "b", "__proto__"), value: fc.constantFrom("1", "2") }), { maxLength: 5 });
  fc.assert(
    fc.property(values, values, (from, to) => {
      const [before, after] = [new Map(from.map(({ name, value }) => [name, value])), new Map(to.map(({ name, value }) => [name, value]))];
      const expected = [...new Set([...before.keys(), ...after.keys()])]
        .toSorted()
        .filter((name) => before.get(name) !== after.get(name))
        .map((name) => ({ name, from: before.get(name), to: after.get(name) }));
      expect(diffValues(from, to)).toEqual(expected);
    }),
  );
});
