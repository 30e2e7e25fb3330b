import { describe, expect, test } from "vitest";
import { realmChooser } from "../../src/identity/realm.ts";

const LOOPBACK = { publicUrl: undefined, scheme: "http", host: "127.0.0.1", port: 8470 } as const;

describe("realmChooser", () => {
  test.each(["127.0.0.1:8470", "localhost:8470", "[::1]:8470"])("stays on the loopback name %s that the client used", (host) => {
    expect(realmChooser(LOOPBACK)(host)).toEqual({ realm: `http://${host}/auth/token`, service: host });
  });

  test.each([undefined, "", "evil.example", "localhost", "localhost:1", "127.0.0.1:8470.evil.example", "LOCALHOST:8470", "127.0.0.2:8470"])(
    "takes the first name for the Host %j",
    (host) => {
      expect(realmChooser(LOOPBACK)(host).realm).toBe("http://127.0.0.1:8470/auth/token");
    },
  );

  test("takes the address that it is bound to for the first name", () => {
    expect(realmChooser({ ...LOOPBACK, host: "::1" })("evil.example").service).toBe("[::1]:8470");
    expect(realmChooser({ ...LOOPBACK, host: "localhost" })(undefined).service).toBe("localhost:8470");
  });

  test("says https where it listens by TLS", () => {
    expect(realmChooser({ ...LOOPBACK, scheme: "https" })("localhost:8470").realm).toBe("https://localhost:8470/auth/token");
  });

  test("leaves the port out where a client does", () => {
    expect(realmChooser({ ...LOOPBACK, port: 80 })("localhost").realm).toBe("http://localhost/auth/token");
  });

  test.each(["evil.example", "localhost:8470", undefined])("never looks at the Host %j when PUBLIC_URL is set", (host) => {
    const choose = realmChooser({ ...LOOPBACK, publicUrl: "https://models.example" });
    expect(choose(host)).toEqual({ realm: "https://models.example/auth/token", service: "models.example" });
  });

  test("never looks at the Host on an address that is not loopback", () => {
    const choose = realmChooser({ ...LOOPBACK, host: "10.0.0.5" });
    expect(choose("localhost:8470").service).toBe("10.0.0.5:8470");
    expect(choose("evil.example").service).toBe("10.0.0.5:8470");
  });
});
