import { afterEach, describe, expect, test } from "vitest";
import { wholeBody } from "../../src/http/body.ts";
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
    path: "/v1/body",
    action: "open",
    handle: async (c) => c.text(`${(await wholeBody(c, 1000)).length} ${c.req.header("authorization") ?? "nobody"}`),
  },
  {
    method: "PUT",
    path: "/v1/known",
    action: "credential",
    handle: async (c) => c.text(`${(await wholeBody(c, 1000)).length}`),
  },
  {
    method: "PUT",
    path: "/v1/slow",
    action: "open",
    handle: async (c) => {
      await new Promise((resolve) => {
        setTimeout(resolve, 2500);
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

/** Everything that a server says to some text until it ends the connection. */
async function answerTo(text: string): Promise<string> {
  const { port } = edge ?? (await start());
  const client = new RawClient(port);
  client.send(text);
  return client.closed;
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
  const GET = "GET /v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  const PUT = "PUT /v1/body HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  const CHUNKS = "\r\n\r\n1\r\na\r\n0\r\n\r\n";
  test.each([
    ["no HTTP", "hello\r\n\r\n"],
    ["another version", "GET /v1/ok HTTP/1.2\r\nHost: a\r\n\r\n"],
    ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["no Host", "GET /v1/ok HTTP/1.1\r\n\r\n"],
    ["two Hosts", `${GET}X-A: b\r\nhost: registry.example\r\nConnection: close\r\n\r\n`],
    ["a bad Host", "GET /v1/ok HTTP/1.1\r\nHost: a/b\r\n\r\n"],
    ["a URL of another Host", "GET http://registry.example/v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"],
    ["a URL with a user", "GET http://a@127.0.0.1/v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"],
    ["a URL of another scheme", "GET ftp://127.0.0.1/v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
    ["no slash before the path", "GET v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
    ["the server as a whole", "OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
    ["a backslash in the path", "GET /v1\\ok HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
    ["a space before a colon", `${GET}X-A : b\r\n\r\n`],
    ["a space before the colon of a coding", `${PUT}Transfer-Encoding : chunked${CHUNKS}`],
    ["a folded line", `${GET}X-A: b\r\n c\r\n\r\n`],
    ["a folded coding", `${PUT}Transfer-Encoding:\r\n chunked${CHUNKS}`],
    ["a folded first line", "GET /v1/ok HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n"],
    ["a bare CR in a value", `${GET}X-A: b\rc\r\n\r\n`],
    ["a bare CR after a line", "GET /v1/ok HTTP/1.1\r\nHost: 127.0.0.1\rX-A: b\r\n\r\n"],
    ["a bare LF after a line", "GET /v1/ok HTTP/1.1\r\nHost: 127.0.0.1\nX-A: b\r\n\r\n"],
    ["a bare LF after the first line", "GET /v1/ok HTTP/1.1\nHost: 127.0.0.1\r\n\r\n"],
    ["a bare LF after the last line", `${GET}\n`],
    ["a NUL", `${GET}X-A: b\0c\r\n\r\n`],
    ["a length and a coding", `${PUT}Content-Length: 1\r\nTransfer-Encoding: chunked${CHUNKS}`],
    ["a coding and a length", `${PUT}Transfer-Encoding: chunked\r\nContent-Length: 1${CHUNKS}`],
    ["two lengths", `${PUT}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
    ["one length twice", `${PUT}Content-Length: 1\r\nContent-Length: 1\r\n\r\na`],
    ["a list of lengths", `${PUT}Content-Length: 1, 1\r\n\r\na`],
    ["an empty length", `${PUT}Content-Length:\r\n\r\n`],
    ["a length with a sign", `${PUT}Content-Length: +1\r\n\r\na`],
    ["a length in hex", `${PUT}Content-Length: 0x1\r\n\r\na`],
    ["a length beyond all numbers", `${PUT}Content-Length: 99999999999999999999\r\n\r\na`],
    ["an empty coding", `${PUT}Transfer-Encoding:\r\nContent-Length: 1\r\n\r\na`],
    ["chunks of chunks", `${PUT}Transfer-Encoding: chunked, chunked${CHUNKS}`],
    ["chunks of chunks by two lines", `${PUT}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked${CHUNKS}`],
    ["chunks that are not last", `${PUT}Transfer-Encoding: chunked, gzip${CHUNKS}`],
    ["a control character before the coding", `${PUT}Transfer-Encoding: \x0bchunked${CHUNKS}`],
    ["chunks in HTTP/1.0", `PUT /v1/body HTTP/1.0\r\nTransfer-Encoding: chunked${CHUNKS}`],
    ["chunks and more to come in HTTP/1.0", `PUT /v1/body HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked${CHUNKS}`],
    ["a bare LF after a chunk's size", `${PUT}Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n`],
    ["a bare LF after a chunk's extension", `${PUT}Transfer-Encoding: chunked\r\n\r\n1;b\na\r\n0\r\n\r\n`],
    ["a chunk's size that is no number", `${PUT}Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n`],
    ["a chunk's size beyond all numbers", `${PUT}Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n`],
    ["a chunk longer than its size", `${PUT}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`],
    ["a length behind the chunks", `${PUT}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nContent-Length: 1\r\n\r\n`],
    ["a coding behind the chunks", `${PUT}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n`],
  ])("(%s) is a 400", async (_, text) => {
    expect(await answerTo(text)).toMatch(/^HTTP\/1\.1 400 /);
  });

  test.each([
    ["beside chunks", "gzip, chunked"],
    ["in a line of its own", "gzip\r\nTransfer-Encoding: chunked"],
    ["without chunks", "gzip"],
    ["that does nothing", "identity"],
    ["that has no name", ", chunked"],
    ["that is nearly chunks", "xchunked"],
    ["with a parameter", "chunked;a=b"],
  ])("since it has a coding %s is a 501 (RFC 9112 §6.1), which ends the connection", async (_, coding) => {
    for (const head of [PUT, GET]) {
      const said = await answerTo(`${head}Transfer-Encoding: ${coding}${CHUNKS}`);
      expect(said).toMatch(/^HTTP\/1\.1 501 [^]*Connection: close\r\n[^]*X-Request-Id: /);
      expect(said.match(/HTTP\/1\.1/g)).toHaveLength(1);
    }
  });

  test("ends the connection: what stands behind it is no request", async () => {
    const behind = `${CHUNKS}${PUT}Content-Length: 0\r\nConnection: close\r\n\r\n`;
    for (const head of [`${PUT}Transfer-Encoding: gzip, chunked`, `PUT /v1/body HTTP/1.0\r\nTransfer-Encoding: chunked`]) {
      expect((await answerTo(head + behind)).match(/HTTP\/1\.1 \d+/g)).toEqual([expect.stringMatching(/ (?:400|501)$/)]);
    }
    expect((await answerTo(`${GET}\r\n${PUT}Transfer-Encoding: gzip, chunked${behind}`)).match(/HTTP\/1\.1 \d+/g)).toEqual([
      "HTTP/1.1 200",
      "HTTP/1.1 501",
    ]);
  });

  test("is none that asks for a tunnel", async () => {
    expect(await answerTo("CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n")).toBe("");
  });

  test.each([
    ["a URL with its Host", "GET http://127.0.0.1/v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", "ok"],
    ["another protocol that is wished for", `${GET}Connection: upgrade, close\r\nUpgrade: websocket\r\n\r\n`, "ok"],
    [
      "HTTP/2 that is wished for",
      `${GET}Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
      "ok",
    ],
    ["chunks by another name", `${PUT}Connection: close\r\nTransfer-Encoding: Chunked${CHUNKS}`, "1 nobody"],
    ["extensions of chunks", `${PUT}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\na\r\n0\r\n\r\n`, "1 nobody"],
    [
      "headers behind the chunks, which count for nothing",
      `${PUT}Connection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n1\r\na\r\n0\r\nAuthorization: Bearer known\r\n\r\n`,
      "1 nobody",
    ],
  ])("is not what has %s", async (_, text, body) => {
    expect(await answerTo(text)).toMatch(new RegExp(`^HTTP/1\\.1 200 [^]*\\r\\n\\r\\n${body}$`));
  });
});

/** The head of a request that asks before it sends its body. */
function asking(path: string, more = ""): string {
  return `PUT ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n${more}\r\n`;
}

describe("a client that asks whether its body is wanted", () => {
  test("is told so when it is read, once", async () => {
    const { port } = await start();
    const client = new RawClient(port);
    client.send(asking("/v1/body", "Connection: close\r\n"));
    await client.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    client.send("a");
    expect(await client.closed).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [^]*1 nobody$/);
  });

  test.each([
    ["nobody knows it", "/v1/known", 401],
    ["its body is too large", "/v1/body", 413, "2000"],
    ["there is no such place", "/v1/nowhere", 404],
  ])("gets that alone, and the end of the connection, when %s", async (_, path, status, length = "1") => {
    expect(await answerTo(asking(path).replace("Length: 1", `Length: ${length}`))).toMatch(
      new RegExp(`^HTTP/1\\.1 ${status} [^]*Connection: close\\r\\n`),
    );
  });

  test("is not told in HTTP/1.0, which knows no such answer", async () => {
    const text = "PUT /v1/body HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na";
    expect(await answerTo(text)).toMatch(/^HTTP\/1\.1 200 [^]*1 nobody$/);
  });

  test.each(["something", "something, 100-continue", "100-continue=1"])(
    "and expects %s is a 417, which ends the connection",
    async (more) => {
      expect(await answerTo(asking("/v1/body").replace("100-continue", more))).toMatch(
        /^HTTP\/1\.1 417 [^]*Connection: close\r\n[^]*X-Request-Id: /,
      );
    },
  );
});

test("HTTP/1.0 needs no Host, as the checks of load balancers have none", async () => {
  const { port } = await start();
  const client = new RawClient(port);
  client.send("GET /v1/ok HTTP/1.0\r\n\r\n");
  expect(await client.closed).toMatch(/^HTTP\/1\.1 200 [^]*ok$/);
});

describe("a connection", () => {
  test("that never asks for anything is closed", async () => {
    const { port } = await start({ bounds: { idle: 150 } });
    expect(await new RawClient(port).closed).toBe("");
  });

  test("that is idle after a request is closed", async () => {
    const { port } = await start({ bounds: { keepAlive: 100 } });
    const client = new RawClient(port);
    client.send("GET /v1/ok HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    expect(await client.closed).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("whose client takes none of its answer is cut", async () => {
    givenUp = Promise.withResolvers();
    const { port } = await start({ bounds: { idle: 1000 } });
    const client = new RawClient(port);
    client.send("GET /v1/large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    client.pause();
    await expect(givenUp.promise).resolves.toBeUndefined();
    client.destroy();
  });

  test("that waits for work of ours is not cut", async () => {
    const { url } = await start({ bounds: { idle: 1000 } });
    const answer = await fetch(`${url}/v1/slow`, { method: "PUT" });
    expect(await answer.text()).toBe("done");
  });
});
