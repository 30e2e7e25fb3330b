import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TrustedProxies } from "../../src/http/client-address.ts";
import type { Door } from "../../src/http/route.ts";
import { startEdge } from "../support/edge.ts";

const proxies = new TrustedProxies([
  { address: "10.0.0.0", prefix: 8 },
  { address: "2001:db8:1::", prefix: 48 },
]);

describe("who asks", () => {
  test.each([
    ["the peer, when there is no proxy", "192.0.2.1", undefined, "192.0.2.1"],
    ["the peer, when it is no proxy of ours and says that it speaks for somebody", "192.0.2.1", "198.51.100.1", "192.0.2.1"],
    ["whom a proxy of ours speaks for", "10.1.2.3", "198.51.100.1", "198.51.100.1"],
    ["the last stranger of a chain, and not whom that one names", "10.1.2.3", "127.0.0.1, 198.51.100.1, 10.9.9.9", "198.51.100.1"],
    ["the first of a chain of ours alone", "10.1.2.3", "10.0.0.7,10.0.0.8", "10.0.0.7"],
    ["the proxy, when what it says is no address", "10.1.2.3", "198.51.100.1, unknown", "10.1.2.3"],
    ["whom it speaks for, with a port", "10.1.2.3", "198.51.100.1:4711", "198.51.100.1"],
    ["an IPv6 address, with a port", "2001:db8:1::5", "[2001:db8:2::1]:443", "2001:db8:2::1"],
    ["an IPv4 address in IPv6 clothes", "10.1.2.3", "::ffff:198.51.100.1", "198.51.100.1"],
    ["the proxy, when it says nothing", "10.1.2.3", "", "10.1.2.3"],
  ])("is %s", (_, peer, forwarded, client) => {
    expect(proxies.clientOf(peer, forwarded)).toBe(client);
  });

  test("is nobody that a client made up, whatever it writes before the proxy's own word", () => {
    // Text at random names nobody: what somebody would write are addresses.
    const hops = fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 20 })), { maxLength: 5 }).map((each) => each.join(", "));
    const check = fc.check(
      fc.property(fc.oneof(hops, fc.string({ maxLength: 200 })), fc.ipV4(), (written, client) => {
        fc.pre(!client.startsWith("10."));
        return proxies.clientOf("10.0.0.1", `${written}, ${client}`) === client && proxies.clientOf(client, written) === client;
      }),
    );
    expect(check).toMatchObject({ failed: false });
  });

  test("is the peer where no proxy is trusted", () => {
    expect(new TrustedProxies([]).clientOf("10.0.0.1", "198.51.100.1")).toBe("10.0.0.1");
  });
});

test("limits and the audit hold to whom a proxy of ours speaks for", async () => {
  const seen: string[] = [];
  const door: Door = {
    method: "GET",
    path: "/v1/x",
    action: "open",
    handle: (c) => {
      seen.push(c.get("address"));
      return c.body(null);
    },
  };
  const edge = await startEdge({ doors: [door], proxies: new TrustedProxies([{ address: "127.0.0.0", prefix: 8 }]) });
  await fetch(`${edge.url}/v1/x`, { headers: { "X-Forwarded-For": "1.2.3.4, 198.51.100.1" } });
  await fetch(`${edge.url}/v1/x`);
  await edge.stop();
  expect(seen).toEqual(["198.51.100.1", "127.0.0.1"]);
});
