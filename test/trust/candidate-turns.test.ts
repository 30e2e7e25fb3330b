import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type ReadOf, inTurns } from "../../src/trust/candidate-turns.ts";

/** A candidate that is told from others by its name alone. */
const named = (name: string): ReadOf["candidates"][number] => ({ id: name }) as unknown as ReadOf["candidates"][number];

const names = (all: readonly ReadOf[]): readonly string[] => inTurns(all).map(({ id }) => id);

function read(pusher: string, ...of: readonly string[]): ReadOf {
  return { pusher, candidates: of.map(named) };
}

test("pushers take turns, and the manifests of one as well", () => {
  const junk = read("a", ...Array.from({ length: 64 }, (_, at) => `junk ${at}`));
  expect(names([junk, read("a", "second"), read("b", "other's")]).slice(0, 3)).toEqual(["junk 0", "other's", "second"]);
  expect(names([read("a"), read("b")])).toEqual([]);
});

test("whatever others push, a pusher's evidence comes no later than once for each pusher and each of its own before", () => {
  const pushed = fc.array(fc.record({ pusher: fc.constantFrom("a", "b", "c"), count: fc.nat({ max: 20 }) }), { maxLength: 12 });
  fc.assert(
    fc.property(pushed, (all) => {
      const found = all.map(({ pusher, count }, n) => read(pusher, ...Array.from({ length: count }, (_, at) => `${pusher} ${n} ${at}`)));
      const order = names(found);
      expect(order.toSorted()).toEqual(found.flatMap(({ candidates }) => candidates.map(({ id }) => id)).toSorted());
      for (const pusher of ["a", "b", "c"]) {
        const places = order.flatMap((name, place) => (name.startsWith(pusher) ? place : []));
        for (const [nth, place] of places.entries()) expect(place).toBeLessThan((nth + 1) * 3);
      }
    }),
  );
});
