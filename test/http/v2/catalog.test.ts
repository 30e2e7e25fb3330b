import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ContentRegistry, image, startContentRegistry } from "../../support/content-registry.ts";

let registry: ContentRegistry;

beforeAll(async () => {
  registry = await startContentRegistry();
  for (const name of ["models/a", "models/b", "models/a-b", "alone"]) await registry.push(name, image(), "v1");
  await registry.transition("models/b", await registry.push("models/b", image(), "v1"), "promote");
});
afterAll(() => registry[Symbol.asyncDispose]());

const catalog = async (as: string, query = ""): Promise<{ status: number; body: unknown; link: string | null }> => {
  const answer = await registry.ask(as, `/v2/_catalog${query}`);
  return { status: answer.status, body: await answer.json(), link: answer.headers.get("link") };
};
const listed = (repositories: readonly string[], link: string | null = null): object => ({ status: 200, body: { repositories }, link });

describe("GET _catalog", () => {
  test.each([
    ["operator", ["alone", "models/a", "models/a-b", "models/b"]],
    ["publisher", ["alone", "models/a", "models/a-b", "models/b"]],
    ["reviewer", ["models/a", "models/a-b", "models/b"]],
    ["reader", ["models/b"]],
    ["stranger", []],
  ])("shows a %s the repositories in which there is something to see", async (as, repositories) => {
    expect(await catalog(as)).toEqual(listed(repositories));
  });

  test("pages by n and last", async () => {
    const next = '</v2/_catalog?n=2&last=models%2Fa>; rel="next"';
    expect(await catalog("publisher", "?n=2")).toEqual(listed(["alone", "models/a"], next));
    expect(await catalog("publisher", "?n=2&last=models%2Fa")).toEqual(listed(["models/a-b", "models/b"]));
    expect(await catalog("publisher", "?last=models/a-b")).toEqual(listed(["models/b"]));
    expect(await catalog("publisher", "?n=0")).toEqual(listed([]));
    expect(await catalog("reader", "?n=1")).toEqual(listed(["models/b"]));
  });

  test("refuses an invalid page with 400", async () => {
    expect(await catalog("publisher", "?n=-1")).toMatchObject({ status: 400, body: { errors: [{ code: "UNSUPPORTED" }] } });
  });

  test("loses a repository for readers when the last trusted artifact there is revoked", async () => {
    const digest = await registry.push("models/gone", image(), "v1");
    await registry.transition("models/gone", digest, "promote");
    expect(await catalog("reader")).toEqual(listed(["models/b", "models/gone"]));
    await registry.transition("models/gone", digest, "revoke", { reason: "bad" });
    expect(await catalog("reader")).toEqual(listed(["models/b"]));
  });
});
