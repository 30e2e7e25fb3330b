import { afterAll, beforeAll, expect, test } from "vitest";
import type { Access } from "../../src/api/operation.ts";
import { operations } from "../../src/api/operations.ts";
import type { Action, Door } from "../../src/http/route.ts";
import { type WholeRegistry, startWholeRegistry } from "../support/whole-registry.ts";

let registry: WholeRegistry;
beforeAll(async () => {
  registry = await startWholeRegistry();
});
afterAll(() => registry.close());

/** Described by the distribution specification, by the token endpoint of its clients, and, what is for people, by itself. */
const DESCRIBED_ELSEWHERE = /^\/(?:v2|auth|ui)(?:\/|$)/;

const templateOf = ({ method, path }: Door): string => `${method} ${path.replaceAll(/:(\w+)(?:\{[^}]+\})?/g, "{$1}")}`;
const described = (): readonly Door[] => registry.doors.filter(({ path }) => !DESCRIBED_ELSEWHERE.test(path));

test("every door but those of /v2, /auth and the pages is described once, and nothing else is", () => {
  const ids = operations.map(({ method, path }) => `${method} ${path}`);
  expect(ids.toSorted()).toEqual(described().map(templateOf).toSorted());
  expect(new Set(operations.map(({ id }) => id)).size).toBe(operations.length);
});

test("every door lets in whom its description says", () => {
  const access = new Map(operations.map((each) => [`${each.method} ${each.path}`, actionOf(each.access)]));
  expect(Object.fromEntries(access)).toEqual(Object.fromEntries(described().map((door) => [templateOf(door), door.action])));
});

function actionOf(access: Access): Action {
  return access === "recognised" ? "open" : (access as Action);
}
