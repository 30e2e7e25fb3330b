import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, expect, test } from "vitest";
import { parseChallenge } from "../../src/cli/authorizer.ts";
import type { Credential } from "../../src/cli/credential.ts";
import { EXIT } from "../../src/cli/failure.ts";
import { RegistryClient } from "../../src/cli/registry-client.ts";

const PASSWORD: Credential = { kind: "password", user: "alice", secret: "a password", source: "test", found: "given" };
const KEY: Credential = { ...PASSWORD, secret: "amr_0123456789abcdefghijABCDEFGHIJ012345" };

let server: Server | undefined;
afterEach(() => server?.close());

/** A registry that is nothing but its ways to log in. */
async function start(answer: (request: IncomingMessage, body: string, response: ServerResponse) => void): Promise<URL> {
  server = createServer((request, response) => void text(request).then((body) => answer(request, body, response)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

function client(origin: URL, credential: Credential | undefined): RegistryClient {
  return new RegistryClient({ origin, credential });
}

function challenge(response: ServerResponse, realm: string): void {
  response.writeHead(401, { "WWW-Authenticate": `Bearer realm="${realm}",service="test",scope="x"` }).end();
}

/** Gives a token for the right login, and serves whoever has it. */
function tokenServer(seen: string[], login: (request: IncomingMessage, body: string) => boolean) {
  return (request: IncomingMessage, body: string, response: ServerResponse): void => {
    const { authorization = "-", host = "" } = request.headers;
    const [method, path] = [String(request.method), String(request.url)];
    seen.push(`${method} ${path} ${authorization.split(" ", 1).join("")}`);
    if (path.startsWith("/auth/token")) {
      const ok = login(request, body);
      response.writeHead(ok ? 200 : 401, { "Content-Type": "application/json" }).end(ok ? '{"token":"t0","expires_in":300}' : "{}");
    } else if (authorization === "Bearer t0") response.writeHead(200).end();
    else challenge(response, `http://${host}/auth/token`);
  };
}

test("a password is exchanged for a token at the realm, once for every scope", async () => {
  const seen: string[] = [];
  const basic = `Basic ${Buffer.from("alice:a password").toString("base64")}`;
  const registry = client(await start(tokenServer(seen, ({ headers }) => headers.authorization === basic)), PASSWORD);
  await registry.ping();
  await registry.ping();
  await registry.send({ method: "GET", path: "/v2/" }, "repository:a/b:pull", [200]);
  expect(seen).toEqual([
    "GET /v2/ -",
    "GET /auth/token?service=test Basic",
    "GET /v2/ Bearer",
    "GET /v2/ Bearer",
    "GET /v2/ -",
    "GET /auth/token?service=test&scope=repository%3Aa%2Fb%3Apull Basic",
    "GET /v2/ Bearer",
  ]);
});

test("an identity token is exchanged by POST, in the body and not in the address", async () => {
  const seen: string[] = [];
  const credential: Credential = { kind: "refresh-token", user: "", secret: "amrr_x", source: "test", found: "given" };
  await client(await start(tokenServer(seen, (_, body) => new URLSearchParams(body).get("refresh_token") === "amrr_x")), credential).ping();
  expect(seen).toEqual(["GET /v2/ -", "POST /auth/token -", "GET /v2/ Bearer"]);
});

test("an API key is shown unasked, and one that is refused is not tried again as a token", async () => {
  const seen: string[] = [];
  const registry = client(await start(tokenServer(seen, () => true)), KEY);
  await expect(registry.ping()).rejects.toMatchObject({ exit: EXIT.authentication });
  expect(seen).toEqual(["GET /v2/ Basic"]);
});

test("a wrong password is an authentication failure", async () => {
  const registry = client(await start(tokenServer([], () => false)), PASSWORD);
  await expect(registry.ping()).rejects.toMatchObject({ exit: EXIT.authentication });
});

test("without a credential the failure says how to give one", async () => {
  const registry = client(await start(tokenServer([], () => false)), undefined);
  await expect(registry.ping()).rejects.toMatchObject({
    exit: EXIT.authentication,
    message: expect.stringContaining("--token-file") as string,
  });
});

test("a realm on another host gets no password", async () => {
  const seen: string[] = [];
  const origin = await start((request, _, response) => {
    seen.push(request.url ?? "");
    challenge(response, "http://127.0.0.1:1/auth/token");
  });
  await expect(client(origin, PASSWORD).ping()).rejects.toMatchObject({ exit: EXIT.authentication });
  expect(seen).toEqual(["/v2/"]);
});

test("a redirect is not followed", async () => {
  const seen: string[] = [];
  const origin = await start((request, _, response) => {
    seen.push(request.url ?? "");
    response.writeHead(307, { Location: "/elsewhere" }).end();
  });
  await expect(client(origin, KEY).ping()).rejects.toMatchObject({
    exit: EXIT.failure,
    message: expect.stringContaining("redirect") as string,
  });
  expect(seen).toEqual(["/v2/"]);
});

test("a challenge is read with quoted commas and escapes, and only a Bearer one", () => {
  expect(parseChallenge('Bearer realm="https://r/t",service="a,\\"b\\"",scope="x"')).toEqual({ realm: "https://r/t", service: 'a,"b"' });
  expect(parseChallenge('bearer service="s", realm="r"')).toEqual({ realm: "r", service: "s" });
  expect(parseChallenge('Basic realm="r"')).toBeUndefined();
  expect(parseChallenge('Bearer service="s"')).toBeUndefined();
  expect(parseChallenge(undefined)).toBeUndefined();
});
