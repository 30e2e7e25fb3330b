import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Rate } from "../../src/limits/classes.ts";
import { Gcra } from "../../src/limits/gcra.ts";

/** Takes a unit when there is one; how long to wait otherwise. */
function take(bucket: Gcra, key: string, now: number): number {
  const { units, wait } = bucket.standing(key, now);
  if (units > 0) bucket.charge(key, now, 1);
  return wait;
}

const rate = fc.record({ perSecond: fc.integer({ min: 1, max: 20 }), burst: fc.integer({ min: 1, max: 20 }) });

/** Every span between two moments at which units were taken, with the units that were. */
function spansOf(taken: readonly { readonly at: number; readonly units: number }[]): { readonly span: number; readonly units: number }[] {
  return taken.flatMap((start, first) =>
    taken.slice(first).map((end, more) => ({
      span: end.at - start.at,
      units: taken.slice(first, first + more + 1).reduce((sum, { units }) => sum + units, 0),
    })),
  );
}

function mostIn(span: number, { perSecond, burst }: Rate): number {
  return burst + (span * perSecond) / 1000 + 1e-6;
}

describe("the leaky bucket", () => {
  test("lets a burst through, then one at a time, and tells a short wait", () => {
    const bucket = new Gcra({ perSecond: 1, burst: 60 });
    for (let count = 0; count < 60; count += 1) expect(take(bucket, "a", 1000)).toBe(0);
    expect(take(bucket, "a", 1000)).toBe(1000);
    expect(take(bucket, "b", 1000)).toBe(0);
    expect(take(bucket, "a", 2000)).toBe(0);
    expect(take(bucket, "a", 2000)).toBe(1000);
  });

  test("never lets more through in any span than its burst and rate, however many units are taken at a time", () => {
    const steps = fc.array(fc.record({ gap: fc.integer({ min: 0, max: 400 }), want: fc.integer({ min: 1, max: 16 }) }), {
      minLength: 1,
      maxLength: 100,
    });
    const check = fc.check(
      fc.property(rate, steps, (limit, asked) => {
        const bucket = new Gcra(limit);
        let now = 5000;
        const taken: { readonly at: number; readonly units: number }[] = [];
        for (const { gap, want } of asked) {
          now += gap;
          const units = Math.min(want, bucket.standing("k", now).units);
          bucket.charge("k", now, units);
          taken.push({ at: now, units });
        }
        return spansOf(taken).every(({ span, units }) => units <= mostIn(span, limit));
      }),
    );
    expect(check).toMatchObject({ failed: false });
  });

  test("tells a wait that is true: nothing a moment before, one unit then, the whole burst when it says that it is full", () => {
    const check = fc.check(
      fc.property(rate, fc.integer({ min: 0, max: 3000 }), (limit, pause) => {
        const bucket = new Gcra(limit);
        bucket.charge("k", 0, limit.burst);
        const { units, wait, fullIn } = bucket.standing("k", pause);
        if (bucket.standing("k", pause + fullIn).units !== limit.burst) return false;
        if (units > 0) return wait === 0;
        return bucket.standing("k", pause + wait - 1).units === 0 && bucket.standing("k", pause + wait).units === 1;
      }),
    );
    expect(check).toMatchObject({ failed: false });
  });

  test("is not freed by a flood of fresh keys, which share one bucket when there is no room", () => {
    const bucket = new Gcra({ perSecond: 1, burst: 2 }, 100);
    take(bucket, "limited", 0);
    take(bucket, "limited", 0);
    const passed = Array.from({ length: 5000 }, (_, count) => take(bucket, `fresh-${count}`, 1)).filter((wait) => wait === 0).length;
    expect(take(bucket, "limited", 1)).toBeGreaterThan(0);
    expect(passed).toBe(99 + 2);
    expect(take(bucket, "late", 10_000)).toBe(0);
  });
});
