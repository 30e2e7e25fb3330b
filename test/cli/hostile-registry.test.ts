import { once } from "node:events";
import { type RequestListener, type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Credential } from "../../src/cli/credential.ts";
import { RegistryClient, type Repository } from "../../src/cli/registry-client.ts";
import { pushBlob } from "../../src/cli/upload.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { repositoryNameSchema } from "../../src/oci/reference.ts";

const PASSWORD: Credential = { kind: "password", user: "alice", secret: "a password", source: "test", found: "given" };

let servers: Server[];
let client: RegistryClient | undefined;
/** What arrived at a host that nobody named but the registry. */
let elsewhere: string[];
/** `//host:port` of it. */
let place: string;

beforeEach(async () => {
  servers = [];
  elsewhere = [];
  const origin = await listen((request, response) => {
    elsewhere.push(`${request.url ?? ""} ${request.headers.authorization ?? ""}`);
    response.writeHead(200, { "Content-Type": "application/json" }).end('{"token":"t"}');
  });
  place = `//${origin.host}/`;
});
afterEach(() => {
  client?.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

async function listen(listener: RequestListener): Promise<URL> {
  const server = createServer(listener);
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

async function registry(listener: RequestListener, credential?: Credential): Promise<Repository> {
  client = new RegistryClient({ origin: await listen(listener), credential });
  return client.repository(repositoryNameSchema.parse("models/m"));
}

async function all(tags: AsyncIterable<string>): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const tag of tags) found.push(tag);
  return found;
}

// A path that begins with two slashes is the address of a host where it is resolved against another address.
test("an upload does not follow a location whose path reads as another host", async () => {
  const source = {
    digest: digestOf("x"),
    size: 1,
    open: async function* () {
      yield Buffer.from("x");
    },
  };
  for (const location of [place, `${place}upload`]) {
    const repository = await registry((request, response) => {
      const answers = { HEAD: 404, POST: 202 }[request.method ?? ""] ?? 201;
      response.writeHead(answers, { Location: `http://${request.headers.host ?? ""}${location}` }).end();
    });
    await expect(pushBlob(repository, source)).rejects.toThrow("outside of itself");
  }
  expect(elsewhere).toEqual([]);
});

test("a list does not follow a link whose path reads as another host", async () => {
  const repository = await registry((request, response) => {
    const link = `<http://${request.headers.host ?? ""}${place}tags>; rel="next"`;
    response.writeHead(200, { Link: link, "Content-Type": "application/json" }).end('{"tags":["a"]}');
  });
  await expect(all(repository.tags())).rejects.toThrow("outside of itself");
  expect(elsewhere).toEqual([]);
});

test("a password is not sent to a realm whose path reads as another host", async () => {
  const paths: string[] = [];
  const repository = await registry((request, response) => {
    paths.push(request.url ?? "");
    const realm = `http://${request.headers.host ?? ""}${place}token`;
    response.writeHead(401, { "WWW-Authenticate": `Bearer realm="${realm}"` }).end();
  }, PASSWORD);
  await expect(repository.client.ping()).rejects.toThrow("HTTP 401");
  expect(elsewhere).toEqual([]);
  expect(paths).toEqual(["/v2/", `${place}token`]);
});
