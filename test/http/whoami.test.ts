import { afterAll, beforeAll, expect, test } from "vitest";
import { whoamiAnswer } from "../../src/api/whoami.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startTestRegistry();
});
afterAll(() => registry.stop());

test.each([
  ["operator", { name: "operator", kind: "service", roles: [{ role: "operator", namespace: "*" }] }],
  ["runtime", { name: "runtime", kind: "service", roles: [{ role: "reader", namespace: "*" }] }],
  ["serviceToken", { name: "service-token", kind: "service-token", roles: [] }],
] as const)("%s is told who it is, and the registry's version", async (who, expected) => {
  const answer = await registry.fetchAs(who, "/v1/whoami");
  expect(answer.status).toBe(200);
  const { version, ...caller } = whoamiAnswer.parse(await answer.json());
  expect(caller).toEqual(expected);
  expect(version).toMatch(/^\d+\.\d+\.\d+/);
});

test.each(["nobody", "amr_0123456789abcdefghijABCDEFGHIJ012345"] as const)("%s is told nothing, not even on this machine", async (who) => {
  const answer = await registry.fetchAs(who, "/v1/whoami");
  expect(answer.status).toBe(401);
  expect(await answer.text()).not.toMatch(/version/);
});
