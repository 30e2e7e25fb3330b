import { once } from "node:events";
import { type RequestListener, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { z } from "zod";
import { EXIT } from "../../src/cli/failure.ts";
import { ConnectionError, HttpClient, bytesBody, discard, readBody, readJson } from "../../src/cli/http.ts";

let server: Server | undefined;
let client: HttpClient | undefined;
afterEach(() => {
  client?.close();
  server?.closeAllConnections();
  server?.close();
});

async function start(listener: RequestListener, options: ConstructorParameters<typeof HttpClient>[1] = {}): Promise<HttpClient> {
  server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  client = new HttpClient(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), options);
  return client;
}

async function* failing(): AsyncGenerator<Buffer> {
  yield Buffer.alloc(10);
  throw new Error("the disk is gone");
}

test("a body has its length and arrives whole", async () => {
  const http = await start((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => response.end(`${request.headers["content-length"] ?? ""} ${Buffer.concat(chunks).toString()}`));
  });
  const answer = await http.send({ method: "PUT", path: "/", body: bytesBody(Buffer.from("abc")) });
  expect((await readBody(answer, 100)).toString()).toBe("3 abc");
});

test("a refusal that comes before the end of a large body is told, and the rest is not sent", async () => {
  let opened = 0;
  const http = await start((_, response) => response.writeHead(507).end("full"));
  async function* endless(): AsyncGenerator<Buffer> {
    for (;;) {
      opened += 1;
      yield Buffer.alloc(64 * 1024);
    }
  }
  const answer = await http.send({ method: "PUT", path: "/", body: { length: 1024 ** 4, open: endless } });
  expect([answer.status, (await readBody(answer, 100)).toString()]).toEqual([507, "full"]);
  expect(opened).toBeLessThan(1024 ** 2);
});

test("a body whose source fails is not sent to the end, and its own error is told", async () => {
  const http = await start((request) => request.resume());
  await expect(http.send({ method: "PUT", path: "/", body: { length: 100, open: failing } })).rejects.toThrow("the disk is gone");
});

test("a connection that the server closed while it was idle is not a failure of a request without effect", async () => {
  const sockets = new Set<Socket>();
  let requests = 0;
  const http = await start(({ socket }, response) => {
    sockets.add(socket);
    requests += 1;
    // The client learns of the end only when it has sent its next request.
    if (requests === 2) socket.destroy();
    else response.end("ok");
  });
  for (let i = 0; i < 2; i += 1) expect((await readBody(await http.send({ method: "GET", path: "/" }), 10)).toString()).toBe("ok");
  expect([requests, sockets.size]).toEqual([3, 2]);
});

test("a connection that breaks within a request with an effect is told", async () => {
  const http = await start((request) => request.socket.destroy());
  await expect(http.send({ method: "POST", path: "/", body: bytesBody(Buffer.from("x")) })).rejects.toBeInstanceOf(ConnectionError);
});

test("a registry that does not speak TLS is told as that, without what a library says of it", async () => {
  const { origin } = await start((_, response) => response.end());
  const secure = new HttpClient(new URL(origin.href.replace("http:", "https:")));
  const error = await secure.send({ method: "GET", path: "/" }).catch((thrown: unknown) => thrown);
  secure.close();
  expect(error).toBeInstanceOf(ConnectionError);
  expect(String(error)).toMatch(/failed: no TLS was agreed on \(is the address http:\/\/, and REGISTRY_URL right\?\)$/);
});

test("a registry that is not there is unavailable, with the remedy", async () => {
  const nowhere = new HttpClient(new URL("http://127.0.0.1:1"));
  await expect(nowhere.send({ method: "GET", path: "/" })).rejects.toMatchObject({
    exit: EXIT.unavailable,
    message: expect.stringContaining("REGISTRY_URL") as string,
  });
});

test.each([
  ["never begins", () => undefined],
  ["never ends", (response: ServerResponse) => response.write("a")],
])("an answer to a bounded request that %s is given up", async (_, begin) => {
  const http = await start((_request, response) => void begin(response), { boundedMilliseconds: 50 });
  const whole = http.send({ method: "GET", path: "/", time: "bounded" }).then((answer) => readBody(answer, 100));
  await expect(whole).rejects.toThrow(/no whole answer came within 0\.05 s/);
});

test("a bounded request that is answered leaves nothing behind that could cut the next one", async () => {
  const http = await start((_, response) => response.end("ok"), { boundedMilliseconds: 60_000 });
  const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const answer = await http.send({ method: "GET", path: "/", time: "bounded" });
  expect((await readBody(answer, 100)).toString()).toBe("ok");
  await new Promise(setImmediate);
  expect(process.getActiveResourcesInfo().filter((name) => name === "Timeout").length).toBeLessThanOrEqual(before);
});

test("an answer that is larger than it may be is given up", async () => {
  const http = await start((_, response) => response.end("x".repeat(1000)));
  await expect(readBody(await http.send({ method: "GET", path: "/" }), 999)).rejects.toMatchObject({ exit: EXIT.failure });
});

test("an answer that breaks off is a broken connection", async () => {
  const http = await start((_, response) => {
    response.writeHead(200, { "Content-Length": "10" }).write("half");
    setImmediate(() => response.destroy());
  });
  await expect(readBody(await http.send({ method: "GET", path: "/" }), 100)).rejects.toBeInstanceOf(ConnectionError);
});

test("JSON of another form than expected is a failure, without its content", async () => {
  const http = await start((_, response) => response.end('{"secret":"hunter2"}'));
  const answer = await http.send({ method: "GET", path: "/" });
  await expect(readJson(answer, 100, z.object({ ok: z.boolean() }))).rejects.toMatchObject({
    exit: EXIT.failure,
    message: expect.not.stringContaining("hunter2") as string,
  });
});

test("a body that nobody reads is let go, and the connection is used again", async () => {
  const sockets = new Set<Socket>();
  const http = await start((request, response) => {
    sockets.add(request.socket);
    response.end("ignored");
  });
  for (let i = 0; i < 3; i += 1) {
    const answer = await http.send({ method: "GET", path: "/" });
    const ended = once(answer.body, "end");
    discard(answer);
    await ended;
  }
  expect(sockets.size).toBe(1);
});
