import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Condition, meets } from "../../src/policy/condition.ts";

const NOW = Date.parse("2026-03-01T12:00:00Z");
const PREDICATE = { result: "clean", tools: ["a", { b: 1 }], "a/b": { "~": 0 }, at: "2026-03-01T11:00:00Z", none: null };

const met = (condition: Condition, predicate: unknown = PREDICATE): boolean => meets(predicate, condition, NOW).met;

test.each<[Condition, boolean]>([
  [{ path: "/result", op: "eq", value: "clean" }, true],
  [{ path: "/result", op: "eq", value: "cle" }, false],
  [{ path: "/result", op: "in", value: ["ok", "clean"] }, true],
  [{ path: "/result", op: "in", value: ["ok"] }, false],
  [{ path: "/result", op: "prefix", value: "cle" }, true],
  [{ path: "/result", op: "prefix", value: "lean" }, false],
  [{ path: "/tools", op: "contains", value: { b: 1 } }, true],
  [{ path: "/tools", op: "contains", value: "b" }, false],
  [{ path: "/result", op: "contains", value: "c" }, false],
  [{ path: "/tools/1/b", op: "eq", value: 1 }, true],
  [{ path: "/tools/01/b", op: "eq", value: 1 }, false],
  [{ path: "/tools/length", op: "exists" }, false],
  [{ path: "/a~1b/~0", op: "eq", value: 0 }, true],
  [{ path: "/none", op: "exists" }, true],
  [{ path: "/missing", op: "exists" }, false],
  [{ path: "/constructor", op: "exists" }, false],
  [{ path: "/__proto__", op: "exists" }, false],
  [{ path: "/at", op: "maxAgeSeconds", value: 3_600 }, true],
  [{ path: "/at", op: "maxAgeSeconds", value: 3_599 }, false],
  [{ path: "/result", op: "maxAgeSeconds", value: 3_600 }, false],
])("meets() %j: %s", (condition, expected) => {
  expect(met(condition)).toBe(expected);
});

test("meets() takes only times that say their zone, and none from far ahead", () => {
  const condition = { path: "/at", op: "maxAgeSeconds", value: 60 } as const;
  for (const at of ["2026-03-01T12:00:00", "1 March 2026 12:00 UTC", NOW, "2026-03-01T12:06:00Z"])
    expect(met(condition, { at })).toBe(false);
  for (const at of ["2026-03-01T13:00:00+01:00", "2026-03-01T12:04:00Z"]) expect(met(condition, { at })).toBe(true);
});

test("meets() says until when an age is young enough", () => {
  const condition = { path: "/at", op: "maxAgeSeconds", value: 7_200 } as const;
  expect(meets(PREDICATE, condition, NOW)).toEqual({ met: true, until: NOW + 3_600_000 });
});

test("meets() fails for every path that is not there, whatever the statement holds", () => {
  const paths = fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.jsonValue(), paths, (predicate, names) => {
      const path = `/missing/${names.map((name) => name.replaceAll("~", "~0").replaceAll("/", "~1")).join("/")}`;
      const present = typeof predicate === "object" && predicate !== null && Object.hasOwn(predicate, "missing");
      fc.pre(!present);
      expect(met({ path, op: "exists" }, predicate)).toBe(false);
    }),
  );
});
