import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ContentRegistry, image, startContentRegistry } from "../../support/content-registry.ts";

let registry: ContentRegistry;

beforeAll(async () => {
  registry = await startContentRegistry();
});
afterAll(() => registry[Symbol.asyncDispose]());

const tags = async (as: string, repository: string, query = ""): Promise<{ status: number; body: unknown; link: string | null }> => {
  const answer = await registry.ask(as, `/v2/${repository}/tags/list${query}`);
  return { status: answer.status, body: await answer.json(), link: answer.headers.get("link") };
};
const listed = (repository: string, names: readonly string[], link: string | null = null): object => ({
  status: 200,
  body: { name: repository, tags: names },
  link,
});
/** All of an answer but what differs from request to request. */
async function whole(answer: Response): Promise<unknown> {
  const headers = Object.fromEntries([...answer.headers].filter(([name]) => name !== "date" && name !== "x-request-id"));
  return { status: answer.status, headers, body: await answer.text() };
}

describe("GET tags/list", () => {
  test("lists in ASCII order, in pages that Link leads through", async () => {
    for (const tag of ["b", "a", "B", "_", "1.0"]) await registry.push("models/pages", image({ annotations: { tag } }), tag);
    expect(await tags("publisher", "models/pages")).toEqual(listed("models/pages", ["1.0", "B", "_", "a", "b"]));
    const walked: unknown[] = [];
    let path: string | undefined = "/v2/models/pages/tags/list?n=2";
    while (path !== undefined) {
      const answer = await registry.ask("publisher", path);
      walked.push(((await answer.json()) as { tags: unknown }).tags);
      path = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get("link") ?? "")?.[1];
    }
    expect(walked).toEqual([["1.0", "B"], ["_", "a"], ["b"]]);
  });

  test("takes last without n, and gives nothing and no Link for n=0", async () => {
    expect(await tags("publisher", "models/pages", "?last=_")).toEqual(listed("models/pages", ["a", "b"]));
    expect(await tags("publisher", "models/pages", "?n=0")).toEqual(listed("models/pages", []));
    expect(await tags("publisher", "models/pages", "?n=1&last=a")).toEqual(listed("models/pages", ["b"]));
  });

  test.each(["?n=-1", "?n=x", "?n=1.5", "?n=", "?last=%00", "?last=%C3%A9"])("refuses %s with 400", async (query) => {
    const answer = await tags("publisher", "models/pages", query);
    expect(answer).toMatchObject({ status: 400, body: { errors: [{ code: "UNSUPPORTED" }] } });
  });

  test("shows readers a tag from its promotion to its revocation, whatever is pushed over it", async () => {
    const first = await registry.push("models/life", image({ annotations: { v: "1" } }), "prod");
    await registry.push("models/life", image({ annotations: { v: "other" } }), "next");
    await registry.transition("models/life", first, "promote");
    expect(await tags("reader", "models/life")).toEqual(listed("models/life", ["prod"]));
    await registry.push("models/life", image({ annotations: { v: "2" } }), "prod");
    expect(await tags("reader", "models/life")).toEqual(listed("models/life", ["prod"]));
    expect(await tags("publisher", "models/life")).toEqual(listed("models/life", ["next", "prod"]));
    await registry.transition("models/life", first, "revoke", { reason: "bad" });
    expect((await tags("reader", "models/life")).status).toBe(404);
    expect(await tags("publisher", "models/life")).toEqual(listed("models/life", ["next", "prod"]));
  });

  test("leaves a tag of revoked content out for who may not read that", async () => {
    const digest = await registry.push("models/revoked", image({ annotations: { v: "r" } }), "bad");
    await registry.push("models/revoked", image({ annotations: { v: "g" } }), "good");
    await registry.transition("models/revoked", digest, "revoke", { reason: "bad" });
    expect(await tags("publisher", "models/revoked")).toEqual(listed("models/revoked", ["good"]));
    expect(await tags("reviewer", "models/revoked")).toEqual(listed("models/revoked", ["bad", "good"]));
  });

  test("answers a hidden repository with the bytes of one that does not exist, by GET and HEAD", async () => {
    await registry.push("models/hidden", image(), "v1");
    for (const as of ["reader", "stranger"]) {
      for (const method of ["GET", "HEAD"]) {
        const hidden = await whole(await registry.ask(as, "/v2/models/hidden/tags/list?n=1", { method }));
        const missing = await whole(await registry.ask(as, "/v2/models/absent/tags/list?n=1", { method }));
        expect(hidden).toEqual(missing);
        expect(hidden).toMatchObject({ status: 404 });
      }
    }
    expect(await tags("reader", "models/hidden")).toMatchObject({ body: { errors: [{ code: "NAME_UNKNOWN" }] } });
  });

  test("is not for caches", async () => {
    expect((await registry.ask("publisher", "/v2/models/pages/tags/list")).headers.get("cache-control")).toBe("private, no-store");
  });
});
