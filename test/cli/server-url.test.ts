import { expect, test } from "vitest";
import { EXIT } from "../../src/cli/failure.ts";
import { parseServerUrl } from "../../src/cli/server-url.ts";

test.each([
  "http://127.0.0.1:8470",
  "http://127.8.9.10:1/",
  "http://localhost:8470",
  "http://[::1]:8470",
  "https://registry.example",
  "https://192.0.2.1:8443/",
])("%s is accepted", (text) => {
  expect(parseServerUrl(text).origin).toBe(new URL(text).origin);
});

test.each([
  ["http off loopback", "http://registry.example"],
  ["http to a name that only looks like loopback", "http://127.0.0.1.example"],
  ["http to any address", "http://0.0.0.0:8470"],
  ["user-info", "https://user:secret@registry.example"],
  ["a user alone", "https://user@registry.example"],
  ["a path", "https://registry.example/base"],
  ["a query", "https://registry.example/?a=b"],
  ["a fragment", "https://registry.example/#a"],
  ["another scheme", "ftp://registry.example"],
  ["no address", "registry"],
])("%s is wrong usage", (_, text) => {
  expect(() => parseServerUrl(text)).toThrow(expect.objectContaining({ exit: EXIT.usage }));
});

test("the refusal of user-info does not repeat the secret", () => {
  expect(() => parseServerUrl("https://user:hunter2@registry.example")).toThrow(/^(?!.*hunter2)/s);
});
