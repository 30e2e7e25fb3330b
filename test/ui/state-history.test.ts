import * as fc from "fast-check";
import { expect, test } from "vitest";
import { STATES } from "../../src/lifecycle/state.ts";
import { type ShownDay, barsOf, historyText } from "../../src/ui/state-history.ts";
import { faultsOfPage } from "../support/browser.ts";

const count = fc.oneof(fc.nat(5), fc.nat(10_000_000));
const days: fc.Arbitrary<readonly ShownDay[]> = fc.array(
  fc.record({
    day: fc.constant("2026-11-26"),
    counts: fc.record({ acquired: count, quarantined: count, trusted: count, revoked: count, deleted: count }),
  }),
  { maxLength: 30 },
);

test("the bars stand within the picture, on each other, and as high as their share of the highest", () => {
  fc.assert(
    fc.property(days, (all) => {
      const highest = Math.max(1, ...all.map(({ counts }) => STATES.reduce((sum, state) => sum + counts[state], 0)));
      for (const { state, x, y, height } of barsOf(all, 100)) {
        expect(y >= -0.1 && y + height <= 100.2).toBe(true);
        const of = all[x / 20]?.counts[state] ?? -1;
        expect(Math.abs(height - (of / highest) * 100)).toBeLessThanOrEqual(0.1);
      }
    }),
  );
});

test("picture and table are markup without a fault, of bounded size", () => {
  fc.assert(
    fc.property(days, (all) => {
      const text = historyText(all).toString();
      expect(faultsOfPage(text)).toEqual([]);
      expect(text.length).toBeLessThan(25_000);
    }),
    { numRuns: 30 },
  );
});
