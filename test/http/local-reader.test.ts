import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { networkInterfaces } from "node:os";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isFromThisMachine, isLoopbackAddress } from "../../src/http/local-reader.ts";
import type { Ask } from "../../src/http/route.ts";
import { type Edge, RawClient, startEdge } from "../support/edge.ts";

let edge: Edge;
beforeAll(async () => {
  edge = await startEdge({ doors: [{ method: "GET", path: "/who", action: "open", handle: (c) => c.text(String(isFromThisMachine(c))) }] });
});
afterAll(() => edge.stop());

/** By node:http, which sets the headers that a fetch may not. */
async function isLocal(headers: Readonly<Record<string, string>>): Promise<string> {
  const [answer] = (await once(request(`${edge.url}/who`, { headers }).end(), "response")) as [IncomingMessage];
  return text(answer);
}

describe("a program of this machine", () => {
  test.each(["127.0.0.1", "127.0.0.1:8470", "localhost", "localhost:1", "[::1]:8470", "127.1.2.3"])(
    "calls the registry %s",
    async (host) => {
      expect(await isLocal({ host })).toBe("true");
    },
  );

  test.each<[string, Readonly<Record<string, string>>]>([
    ["itself a page of the registry", { host: "127.0.0.1:1", origin: "http://127.0.0.1:1", "sec-fetch-site": "same-origin" }],
    ["a person's address bar", { host: "localhost:1", "sec-fetch-site": "none" }],
  ])("may be %s", async (_, headers) => {
    expect(await isLocal(headers)).toBe("true");
  });
});

test("whoever names no Host is none", async () => {
  const client = new RawClient(edge.port);
  client.send("GET /who HTTP/1.0\r\n\r\n");
  expect(await client.closed).toMatch(/false$/);
});

test("a program of another machine is none, whatever it calls the registry, and neither is one that comes by this machine's own address", async ({
  skip,
}) => {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const own = addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  if (own === undefined) return skip("this machine has no address but loopback");
  const door = { method: "GET", path: "/who", action: "open", handle: (c: Ask) => c.text(String(isFromThisMachine(c))) } as const;
  const open = await startEdge({ doors: [door], host: "0.0.0.0" });
  const asked = request(`http://${own}:${open.port}/who`, { headers: { host: `127.0.0.1:${open.port}` } }).end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  expect(await text(answer)).toBe("false");
  await open.stop();
});

describe("none is", () => {
  test.each<[string, Readonly<Record<string, string>>]>([
    ["a page whose name was bound to loopback", { host: "evil.example" }],
    ["a name that only begins like loopback", { host: "127.0.0.1.evil.example" }],
    ["a name that only ends like it", { host: "evil-localhost" }],
    ["a proxy, by Forwarded", { host: "127.0.0.1", forwarded: "for=192.0.2.1" }],
    ["a proxy, by X-Forwarded-For", { host: "127.0.0.1", "x-forwarded-for": "192.0.2.1" }],
    ["a proxy, by X-Forwarded-Proto", { host: "127.0.0.1", "x-forwarded-proto": "https" }],
    ["a proxy, by an empty header", { host: "127.0.0.1", "x-forwarded-host": "" }],
    ["a proxy, by Via", { host: "127.0.0.1", via: "1.1 proxy" }],
    ["another site's script", { host: "127.0.0.1", "sec-fetch-site": "cross-site" }],
    ["a neighbour's script", { host: "127.0.0.1", "sec-fetch-site": "same-site" }],
    ["another origin", { host: "127.0.0.1:1", origin: "https://evil.example" }],
    ["another port's page", { host: "127.0.0.1:1", origin: "http://127.0.0.1:2" }],
    ["a page without an origin", { host: "127.0.0.1:1", origin: "null" }],
  ])("%s", async (_, headers) => {
    expect(await isLocal(headers)).toBe("false");
  });

  test.each(["192.0.2.1", "::ffff:127.0.0.1", "", "1127.0.0.1", "127.0.0.1x", "::2"])("the address %j", (address) => {
    expect(isLoopbackAddress(address)).toBe(false);
  });
});
