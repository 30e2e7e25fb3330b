import { afterEach, describe, expect, test } from "vitest";
import type { Door } from "../../src/http/route.ts";
import { type Edge, type EdgeOptions, RawClient, startEdge } from "../support/edge.ts";

/** Settled when the endless answer was given up. */
let givenUp = Promise.withResolvers<void>();

const doors: Door[] = [
  { method: "GET", path: "/v1/ok", action: "open", handle: (c) => c.text(c.req.header("x-last") ?? "ok") },
  {
    method: "GET",
    path: "/v1/large",
    action: "open",
    handle: (c) =>
      c.body(
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(1024 * 1024)),
          cancel: () => givenUp.resolve(),
        }),
      ),
  },
  {
    method: "PUT",
    path: "/v1/slow",
    action: "open",
    handle: async (c) => {
      await new Promise((resolve) => {
        setTimeout(resolve, 800);
      });
      return c.text("done");
    },
  },
];

let edge: Edge | undefined;
afterEach(async () => {
  await edge?.stop();
  edge = undefined;
});
async function start(options: Partial<EdgeOptions> = {}): Promise<Edge> {
  edge = await startEdge({ doors, ...options });
  return edge;
}

function withHeaders(count: number): string {
  const junk = Array.from({ length: count - 3 }, (_, at) => `X-${at}: 1\r\n`).join("");
  return `GET /v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\n${junk}X-Last: seen\r\nConnection: close\r\n\r\n`;
}

describe("headers", () => {
  test("that drip are cut with 408", async () => {
    const { port } = await start({ bounds: { headers: 200, checkInterval: 50 } });
    const client = new RawClient(port);
    client.send("GET /v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    const drip = setInterval(() => client.send("x"), 20);
    const received = await client.closed;
    clearInterval(drip);
    expect(received).toMatch(/^HTTP\/1\.1 408 /);
    expect(received).toMatch(/X-Request-Id: [0-9a-f-]{36}\r\n/);
  });

  test("over 16 KiB are refused with 431", async () => {
    const { port } = await start();
    const client = new RawClient(port);
    client.send(`GET /v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Big: ${"a".repeat(17_000)}\r\n\r\n`);
    expect(await client.closed).toMatch(/^HTTP\/1\.1 431 /);
  });

  test("beyond 64 are refused, so that none that a proxy appends is dropped unseen", async () => {
    const { port } = await start();
    const most = new RawClient(port);
    most.send(withHeaders(64));
    expect(await most.closed).toMatch(/^HTTP\/1\.1 200 [^]*seen$/);
    for (const count of [65, 100]) {
      const client = new RawClient(port);
      client.send(withHeaders(count));
      expect(await client.closed).toMatch(/^HTTP\/1\.1 431 /);
    }
  });
});

describe("what is no proper request", () => {
  test.each([
    ["no HTTP", "hello\r\n\r\n"],
    ["two lengths", "PUT /v1/ok HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["no Host", "GET /v1/ok HTTP/1.1\r\n\r\n"],
    ["two Hosts", "GET /v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\r\nhost: registry.example\r\nConnection: close\r\n\r\n"],
    ["a bad Host", "GET /v1/ok HTTP/1.1\r\nHost: a/b\r\n\r\n"],
    ["a backslash in the path", "GET /v1\\ok HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
  ])("(%s) is a 400", async (_, text) => {
    const { port } = await start();
    const client = new RawClient(port);
    client.send(text);
    expect(await client.closed).toMatch(/^HTTP\/1\.1 400 /);
  });
});

test("HTTP/1.0 needs no Host, as the checks of load balancers have none", async () => {
  const { port } = await start();
  const client = new RawClient(port);
  client.send("GET /v1/ok HTTP/1.0\r\n\r\n");
  expect(await client.closed).toMatch(/^HTTP\/1\.1 200 [^]*ok$/);
});

describe("a connection", () => {
  test("that is idle is closed", async () => {
    const { port } = await start({ bounds: { idle: 150, keepAlive: 100 } });
    const client = new RawClient(port);
    client.send("GET /v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    expect(await client.closed).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("whose client takes none of its answer is cut", async () => {
    givenUp = Promise.withResolvers();
    const { port } = await start({ bounds: { idle: 200 } });
    const client = new RawClient(port);
    client.send("GET /v1/large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    client.pause();
    await expect(givenUp.promise).resolves.toBeUndefined();
    client.destroy();
  });

  test("that waits for work of ours is not cut", async () => {
    const { url } = await start({ bounds: { idle: 100 } });
    const answer = await fetch(`${url}/v1/slow`, { method: "PUT" });
    expect(await answer.text()).toBe("done");
  });
});
