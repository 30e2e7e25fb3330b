import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { type CliError, EXIT } from "../../src/cli/failure.ts";
import { HttpClient } from "../../src/cli/http.ts";
import { refusedBy } from "../../src/cli/refused.ts";

let server: Server | undefined;
afterEach(() => server?.close());

async function refused(status: number, body: string, headers: Record<string, string> = {}): Promise<CliError> {
  server = createServer((_, response) => response.writeHead(status, { "X-Request-Id": "r1", ...headers }).end(body));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = new HttpClient(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  try {
    return await refusedBy(await client.send({ method: "GET", path: "/" }));
  } finally {
    client.close();
  }
}

test("a problem of the native API is told in its own words, with its code and request id", async () => {
  const error = await refused(409, JSON.stringify({ title: "Conflict", detail: "the tag moved", code: "conflict", status: 409 }));
  expect(error).toMatchObject({
    exit: EXIT.conflict,
    message: "the tag moved (HTTP 409, conflict, request r1)",
    answer: { code: "conflict" },
  });
});

test.each([
  ['{"error":"in the way"}', "in the way (HTTP 409, request r1)"],
  ["in the way\n", "in the way (HTTP 409, request r1)"],
])("an error of the predecessor's API is told in its own words, whether it is JSON or text: %j", async (body, message) => {
  expect(await refused(409, body)).toMatchObject({ exit: EXIT.conflict, message });
});

test("the predecessor's 403 for a credential is no missing right", async () => {
  expect((await refused(403, '{"error":"forbidden: invalid service token"}')).exit).toBe(EXIT.authentication);
  server?.close();
  expect((await refused(403, JSON.stringify({ error: 'artifact "x" is in "acquired" state' }))).exit).toBe(EXIT.denied);
});

test.each([
  [409, "content-addressed object failed digest verification\n"],
  [409, '{"error":"hash verification failed: hash mismatch: expected a, got b"}'],
  [403, '{"errors":[{"code":"DENIED","message":"integrity check failed: the stored bytes do not have this digest"}]}'],
])("bytes that are not those of their digest are an integrity failure, whatever was refused for them: %i %s", async (status, body) => {
  expect((await refused(status, body)).exit).toBe(EXIT.integrity);
});

test("a reason that somebody gave is none", async () => {
  const said = { errors: [{ code: "DENIED", message: "revoked: integrity check failed: the scanner" }] };
  expect((await refused(403, JSON.stringify(said))).exit).toBe(EXIT.denied);
});

test("an error of the distribution API is told in its own words", async () => {
  const error = await refused(403, JSON.stringify({ errors: [{ code: "DENIED", message: "revoked: bad" }] }));
  expect(error).toMatchObject({ exit: EXIT.denied, message: "revoked: bad (HTTP 403, DENIED, request r1)", answer: { code: "denied" } });
});

test.each([
  [400, EXIT.failure],
  [401, EXIT.authentication],
  [403, EXIT.denied],
  [404, EXIT.notFound],
  [409, EXIT.conflict],
  [422, EXIT.denied],
  [429, EXIT.unavailable],
  [500, EXIT.failure],
  [503, EXIT.unavailable],
  [507, EXIT.unavailable],
])("HTTP %i exits with %i", async (status, exit) => {
  expect((await refused(status, "")).exit).toBe(exit);
});

test("an answer of a proxy is shown, without what a terminal would obey", async () => {
  expect((await refused(502, "bad \u001b[31mgateway")).message).toBe("bad \\u{1b}[31mgateway (HTTP 502, request r1)");
});

test("Retry-After is read in seconds and as a date", async () => {
  expect((await refused(429, "", { "Retry-After": "7" })).answer?.retryAfter).toBe(7);
  server?.close();
  expect((await refused(429, "", { "Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT" })).answer?.retryAfter).toBe(0);
});
