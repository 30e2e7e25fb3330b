import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NODE_HEIGHT, NODE_WIDTH, STAGES, layoutProvenance } from "../../src/ui/provenance-layout.ts";
import { type ShownProvenanceNode, provenanceTab } from "../../src/ui/provenance.ts";
import { faultsOfPage } from "../support/browser.ts";

const HOSTILE = [`"><script>alert(1)</script>`, "javascript:alert(1)", "safe\u202Egpj", "x".repeat(3_000), '"'.repeat(600), ""];
const words = fc.oneof(fc.string({ unit: "binary", maxLength: 40 }), fc.constantFrom(...HOSTILE));
const node: fc.Arbitrary<ShownProvenanceNode> = fc.record({
  stage: fc.constantFrom(...STAGES),
  title: words,
  detail: words,
  standing: fc.constantFrom("claimed", "verified", "recorded"),
  by: words,
  link: fc.constantFrom(undefined, { repository: "models/a", digest: `sha256:${"a".repeat(64)}` }),
});
const nodes = fc.array(node, { maxLength: 120 });

describe("the picture of a provenance", () => {
  test("has at most ten places of a kind and more in words, none upon another, and all within its edges", () => {
    fc.assert(
      fc.property(nodes, (all) => {
        const { nodes: placed, width, height, left } = layoutProvenance(all);
        expect(placed.length + left).toBe(all.length);
        for (const stage of STAGES) expect(placed.filter(({ node: of }) => of.stage === stage).length).toBeLessThanOrEqual(10);
        for (const [at, { x, y }] of placed.entries()) {
          expect(x >= 0 && y >= 0 && x + NODE_WIDTH <= width && y + NODE_HEIGHT <= height).toBe(true);
          const isApart = (other: { x: number; y: number }): boolean =>
            Math.abs(other.x - x) >= NODE_WIDTH || Math.abs(other.y - y) >= NODE_HEIGHT;
          expect(placed.slice(at + 1).every(isApart)).toBe(true);
        }
      }),
    );
  });

  test("has lines from left to right, that begin and end at a place", () => {
    fc.assert(
      fc.property(nodes, (all) => {
        const { nodes: placed, edges } = layoutProvenance(all);
        const [starts, ends] = [
          placed.map(({ x, y }) => `${x + NODE_WIDTH} ${y + NODE_HEIGHT / 2}`),
          placed.map(({ x, y }) => `${x} ${y + NODE_HEIGHT / 2}`),
        ];
        for (const { fromX, fromY, toX, toY } of edges) {
          expect(fromX).toBeLessThan(toX);
          expect([starts.includes(`${fromX} ${fromY}`), ends.includes(`${toX} ${toY}`)]).toEqual([true, true]);
        }
      }),
    );
  });

  test("is the same for the same provenance", () => {
    fc.assert(fc.property(nodes, (all) => JSON.stringify(layoutProvenance(all)) === JSON.stringify(layoutProvenance([...all]))));
  });
});

test("what stands in a provenance stays text, and its page has a bound", () => {
  fc.assert(
    fc.property(nodes, (all) => {
      const page = provenanceTab({ nodes: all, isCut: true, room: 30_000 }).toString();
      expect(faultsOfPage(page)).toEqual([]);
      expect(Buffer.byteLength(page)).toBeLessThan(30_000);
      expect(page.replaceAll("\n", " ")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    }),
    { numRuns: 40 },
  );
});

test("says of each place whether it is claimed, verified or recorded, in words", () => {
  const base = { detail: "", link: undefined };
  const page = provenanceTab({
    nodes: [
      { ...base, stage: "source", title: "git", standing: "claimed", by: "by an annotation" },
      { ...base, stage: "build", title: "ci", standing: "verified", by: "by release-ci" },
      { ...base, stage: "artifact", title: "models/a", standing: "recorded", by: "by this registry" },
    ],
    isCut: false,
    room: 30_000,
  }).toString();
  for (const [standing, by] of [
    ["claimed", "by an annotation"],
    ["verified", "by release-ci"],
    ["recorded", "by this registry"],
  ]) {
    expect(page).toMatch(new RegExp(`</span> ${standing}</span>\\s+<bdi>${by}</bdi>`));
    expect(page).toMatch(new RegExp(`<text class="standing [a-z]+"[^>]*>. ${standing}</text>`));
  }
});
